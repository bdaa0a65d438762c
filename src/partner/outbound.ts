import { contentCipherOf } from '../cms/algorithms.ts';
import type { LoadedKeys, PartnerConfig } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import { type Certificate, nameOf } from '../pki/index.ts';
import { contentEncryptions } from '../smime/encode/presets.ts';
import { type EncodeOptions, encodeSync, protectionOf } from '../smime/index.ts';
import {
  encryptionCertificates,
  ownIdentity,
  type PartnerCertificate,
  type ShownKeys,
  withRevoked,
} from './certificates.ts';
import { type RecipientStates, revokedAmong } from './recipient-revocation.ts';

/** Our own keys, and the certificates of partners by name: of the configuration, and those that were approved. */
export interface OutboundKeys extends Pick<LoadedKeys, 'identities'> {
  readonly partners: ReadonlyMap<string, readonly PartnerCertificate[]>;
  /** Ciphers that a partner said it can read, the preferred one first. */
  announced?(partner: string): readonly string[] | undefined;
}

/**
 * The protection that the partner's entry asks for, with the certificates in force at a time.
 *
 * @param shown what the partner has shown it can read; not needed with `encryptTo: all`
 * @param states whether its certificates were revoked, as far as that is asked
 * @throws {SealpostError} `encode-recipient`, `encode-signer` if none is in force; `encode-revocation` if it is not
 *   known whether one was revoked, and must be
 */
export function outboundProtection(
  partner: PartnerConfig,
  keys: OutboundKeys,
  at: Date,
  shown?: ShownKeys,
  states?: RecipientStates,
): EncodeOptions {
  const { name, preset, allowWeak, encryptionIdentity } = partner;
  const protection = protectionOf(preset, partner);
  const identityOf = (each: string | undefined) => ownIdentity(name, each, keys.identities, 'sign', at);
  const signs = protection.sign !== 'none';
  const identity = signs ? identityOf(partner.identity) : undefined;
  const recipients = partner.encrypt
    ? recipientsOf(partner, keys.partners.get(name) ?? [], at, shown, states)
    : undefined;
  const announced = partner.negotiate ? keys.announced?.(name) : undefined;
  return {
    ...protection,
    ...(announced && { contentEncryption: negotiatedCipher(protection.contentEncryption, announced) }),
    identity,
    coSigners: signs ? partner.coSigners.map(identityOf) : [],
    recipients,
    encryptionCertificate: answersFor(name, encryptionIdentity, keys, at),
    allowWeak,
    unprotected: !signs && !partner.encrypt,
    at,
  };
}

function recipientsOf(
  { name, encryptTo }: PartnerConfig,
  certificates: readonly PartnerCertificate[],
  at: Date,
  shown: ShownKeys | undefined,
  states: RecipientStates | undefined,
): Certificate[] {
  const entries = states ? withRevoked(certificates, revokedAmong(states.of)) : certificates;
  const chosen = encryptionCertificates(name, entries, at, encryptTo, shown).map(
    ({ certificate }) => certificate,
  );
  if (states?.mode !== 'hard') return chosen;
  for (const certificate of chosen) {
    const state = states.of.get(certificate.thumbprint);
    if (state?.status !== 'good')
      throw new SealpostError(
        'encode-revocation',
        `partner ${name}: it is not known whether ${nameOf(certificate)} was revoked: ${state?.why ?? 'no authority has answered so far'}`,
      );
  }
  return chosen;
}

/** The newest certificate in force of the identity that the partner is to encrypt for. */
function answersFor(
  partner: string,
  identity: string | undefined,
  keys: OutboundKeys,
  at: Date,
): Certificate | undefined {
  if (identity === undefined) return undefined;
  return ownIdentity(partner, identity, keys.identities, 'decrypt', at).certificate;
}

/**
 * Protects a small mail as mail to the partner would be. Problems with certificates, keys and settings show now instead
 * of with the first order.
 *
 * @throws {SealpostError} as the encoder does
 */
export function tryProtection(
  partner: PartnerConfig,
  keys: OutboundKeys,
  at: Date,
  states?: RecipientStates,
): void {
  const options = outboundProtection(partner, keys, at, undefined, states);
  encodeSync(Buffer.from('Content-Type: text/plain\r\n\r\ntest\r\n'), options);
}

/**
 * The content cipher for a partner that has said what it can read: the one that it prefers among those that are at
 * least as good as the setting: as many bits, authenticated if that is, and never one that is weak. So a statement can
 * raise what the setting says, and cannot go below it.
 *
 * @param announced names or object identifiers, the preferred one first
 */
export function negotiatedCipher(setting: string, announced: readonly string[]): string {
  const floor = contentCipherOf(setting);
  if (floor === undefined) return setting;
  for (const name of announced) {
    const cipher = contentCipherOf(name);
    if (cipher === undefined || cipher.strength !== 'strong') continue;
    if (cipher.keyBits < floor.keyBits || (floor.aead && !cipher.aead)) continue;
    const wanted = contentEncryptions.find((each) => cipher.settable.includes(each));
    if (wanted !== undefined) return wanted;
  }
  return setting;
}
