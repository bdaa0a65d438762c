/** What a person decides about a certificate, at the command line or through the API. */
import { SealpostError } from '../errors.ts';
import type { Certificate } from '../pki/index.ts';
import { usesOf } from './configured.ts';
import { idOf, type StoredCertificate } from './entry.ts';
import type { KnownCertificate } from './known.ts';
import type { CertStore, Decision, NewCertificate } from './store.ts';
import { storedUses } from './words.ts';

/** Notes the act before it happens. */
type Note = (thumbprint: string) => Promise<void>;

/** What the person has seen. */
export interface Compared {
  sha256: string;
  version: number;
}

export type Changes = Partial<Pick<StoredCertificate, 'uses' | 'from' | 'until'>>;

const conflict = (message: string, hint?: string) =>
  new SealpostError('certificate-conflict', message, hint === undefined ? {} : { hint });

/** SHA-256 in hex as people write it: with colons or blanks, in any case. */
const hexOf = (text: string) => text.replace(/[\s:]/g, '').toLowerCase();

/**
 * The entry of a certificate that may be approved.
 *
 * @throws {SealpostError} `certificate-conflict` if it is configured, approved (for this very partner), or was revoked
 */
export function approvable({ entry, state }: KnownCertificate): StoredCertificate {
  if (entry === undefined) throw conflict('the certificate is in the configuration, and needs no approval');
  if (entry.state === 'approved' && state !== 'waiting')
    throw conflict('the certificate is approved already');
  if (entry.state === 'revoked') throw conflict('the certificate was revoked, and is not approved again');
  return entry;
}

/**
 * Approves what was compared.
 *
 * @throws {SealpostError} `certificate-conflict` if it is another one, or if something was decided meanwhile
 */
export async function approveCertificate(
  store: CertStore,
  known: KnownCertificate,
  { sha256, version }: Compared,
  how: { decision: Decision; changes: Changes; record: Note },
): Promise<void> {
  const entry = approvable(known);
  if (hexOf(sha256) !== entry.thumbprint)
    throw conflict(`the SHA-256 of the certificate is ${entry.thumbprint}, and another one was compared`);
  if (version !== entry.version)
    throw conflict(
      `the certificate has version ${entry.version} by now, and version ${version} was compared`,
    );
  await how.record(entry.thumbprint);
  await store.decide(entry.thumbprint, entry.version, 'approved', how.decision, how.changes);
}

/** Errors: `certificate-conflict` if it is configured or refused already. */
export async function rejectCertificate(
  store: CertStore,
  { entry }: KnownCertificate,
  how: { decision: Decision; record: Note },
): Promise<void> {
  if (entry === undefined)
    throw conflict('the certificate is in the configuration', 'remove it there, or revoke it');
  if (entry.state === 'rejected' || entry.state === 'revoked')
    throw conflict(`the certificate is ${entry.state} already`);
  await how.record(entry.thumbprint);
  await store.decide(entry.thumbprint, entry.version, 'rejected', how.decision);
}

/** Its key is in wrong hands; it may also be one of the configuration. Errors: `certificate-conflict`. */
export async function revokeCertificate(
  store: CertStore,
  { entry, certificate, partner, uses }: KnownCertificate,
  how: { decision: Decision; record: Note },
): Promise<void> {
  if (uses.includes('tls'))
    throw conflict('the certificate is of TLS, where nothing would refuse it', 'replace it in its files');
  if (entry?.state === 'revoked') throw conflict('the certificate is revoked already');
  await how.record(certificate.thumbprint);
  if (entry) await store.decide(entry.thumbprint, entry.version, 'revoked', how.decision);
  else await store.put(certificate, byHand(partner ?? '', certificate), 'revoked', how.decision);
}

/** Adds a certificate to those of a partner. Errors: `certificate-conflict` if the store has it already. */
export async function pinCertificate(
  store: CertStore,
  certificate: Certificate,
  partner: string,
  how: { decision: Decision; changes: Changes; record: Note },
): Promise<void> {
  if (store.of(certificate.thumbprint) !== undefined)
    throw conflict(`certificate ${idOf(certificate)} is known already`, 'see it with sealpost certs show');
  await how.record(certificate.thumbprint);
  await store.put(certificate, { ...byHand(partner, certificate), ...how.changes }, 'approved', how.decision);
}

const byHand = (partner: string, certificate: Certificate): NewCertificate => ({
  ...{ partner, uses: usesOf({ certificate }, storedUses), from: null, until: null },
  ...{ source: 'operator', findings: [], rule: null, announcedBy: null, message: null },
});
