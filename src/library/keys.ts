import { SealpostError } from '../errors.ts';
import {
  type Certificate,
  createIdentity,
  type Identity,
  isPkcs12,
  readCertificates as readCertificatesOf,
  readPkcs12,
  readPrivateKey,
} from '../pki/index.ts';
import { bufferOf, type Octets } from './octets.ts';

export interface IdentityOptions {
  /** Of an encrypted private key, or of a PKCS#12 file. */
  readonly password?: string | undefined;
  /** The certificate and its issuers, when they are not in the file of the key. Not for PKCS#12, which has them. */
  readonly certificates?: Octets | undefined;
  /** What verdicts and errors call it; the subject of the certificate, or the name in the PKCS#12 file, by default. */
  readonly name?: string | undefined;
}

/**
 * Reads an identity: a private key with its certificate, which decrypts and signs.
 *
 * @param key PEM (PKCS#8, PKCS#1, SEC 1; plain or encrypted), DER, or a PKCS#12 file (.p12, .pfx). PEM and PKCS#12 may
 *   hold the certificates too.
 * @returns the identity; certificates beside its own become its chain, which signatures carry along
 * @throws SealpostError `key-malformed`; `password` when it is missing or wrong; `certificate-malformed`;
 *   `key-mismatch` when no certificate belongs to the key, or when a PKCS#12 file holds several keys (`readIdentities`)
 */
export function readIdentity(key: Octets, options: IdentityOptions = {}): Identity {
  const [identity, ...others] = readIdentities(key, options);
  if (identity === undefined) throw new SealpostError('key-malformed', 'there is no private key in the file');
  if (others.length > 0) {
    throw new SealpostError('key-mismatch', `the file has ${others.length + 1} private keys`, {
      hint: 'read them with readIdentities and choose one',
    });
  }
  return identity;
}

/** As `readIdentity`, for a PKCS#12 file that may hold several private keys. */
export function readIdentities(key: Octets, options: IdentityOptions = {}): Identity[] {
  const { password, name } = options;
  const data = bufferOf(key);
  if (isPkcs12(data)) {
    const { identities } = readPkcs12(data, password);
    return identities.map((each) => (name === undefined ? each : Object.freeze({ ...each, name })));
  }
  const privateKey = readPrivateKey(data, password);
  const certificates = readCertificatesOf(bufferOf(options.certificates ?? key));
  const { certificate } = createIdentity(name ?? 'own', certificates, privateKey);
  return [createIdentity(name ?? certificate.subject, certificates, privateKey)];
}

/**
 * Reads all certificates of a file: PEM with any text around it, DER, or PKCS#7 (.p7b, .p7c).
 *
 * @throws SealpostError `certificate-malformed`, also when there is none
 */
export function readCertificates(data: Octets): Certificate[] {
  return readCertificatesOf(bufferOf(data));
}
