import type { OwnIdentity } from '../../src/config/keys.ts';
import { readConfig } from '../../src/config/load.ts';
import type { PartnerConfig } from '../../src/config/schema.ts';
import { type Authors, parseHeaders, readMailHeader } from '../../src/message/index.ts';
import type { PartnerCertificate } from '../../src/partner/index.ts';
import type { Certificate, Identity } from '../../src/pki/index.ts';

/**
 * Partners as the configuration reader makes them; `entries` is YAML below `partners:`. They neither encrypt nor sign.
 */
export function partnersOf(entries: string): PartnerConfig[] {
  const plain = entries.replaceAll(/ \}\s*$/gm, ', encrypt: false, sign: none }');
  const read = readConfig(`partners:${plain.trimEnd() === '' ? ' []' : plain}`, 'partners.yaml');
  if (read.config === undefined) throw new Error(JSON.stringify(read.problems));
  return read.config.partners;
}

/** What a header of these lines says about who it is from. */
export function authorsOf(...lines: string[]): Authors {
  return readMailHeader(parseHeaders(Buffer.from(`${lines.join('\r\n')}\r\n\r\n`))).authors;
}

/** A certificate as the configuration names it, for both uses and without a term unless said otherwise. */
export function entryOf(
  certificate: Certificate,
  settings: Partial<PartnerCertificate> = {},
): PartnerCertificate {
  const { thumbprint } = certificate;
  return {
    ...{ certificate, thumbprint, use: ['encrypt', 'verify'], confirmed: false, source: 'configuration' },
    ...settings,
  };
}

/** One of our own keys as the configuration names it. */
export function ownOf<T extends Identity>(identity: T, settings: Partial<OwnIdentity> = {}): T & OwnIdentity {
  return { ...identity, use: ['decrypt', 'sign'], entry: 0, ...settings };
}
