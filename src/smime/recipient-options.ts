import { oids } from '../asn1/index.ts';
import { boundOaep, type RecipientOptions } from '../cms/index.ts';
import { SealpostError } from '../errors.ts';
import { type Certificate, keyFacts } from '../pki/index.ts';
import type { EncryptOptions } from './encode-options.ts';

/** From this size on `by-key-size` takes OAEP. */
const OAEP_BITS = 4096;
const kem = /^ml-kem-/;
/** Key types of node:crypto that can be encrypted for, with the keyUsage that allows it (RFC 8550, section 4.4.2). */
const usages = new Map<string, 'keyEncipherment' | 'keyAgreement'>([
  ['rsa', 'keyEncipherment'],
  ['dh', 'keyAgreement'],
  ['ec', 'keyAgreement'],
  ['x25519', 'keyAgreement'],
  ['x448', 'keyAgreement'],
]);

/**
 * How to encrypt the content key for a certificate: the kind is its key's.
 *
 * Errors: `encode-recipient` where key or keyUsage do not allow it.
 */
export function recipientOptions(certificate: Certificate, options: EncryptOptions): RecipientOptions {
  const type = encryptingType(certificate);
  if (type === 'rsa') {
    // RFC 4055 section 4.1: parameters beside the key are the only ones that it may be used with
    const bound = boundOaep(certificate.publicKeyInfo);
    if (bound !== undefined) return { certificate, oaep: { digest: bound.digest.name, label: bound.label } };
    const digest = /^oaep-(.+)$/.exec(keyTransport(certificate, options))?.[1];
    return digest === undefined ? { certificate } : { certificate, oaep: { digest } };
  }
  if (type === 'ec' || type === 'x25519' || type === 'x448') {
    return { certificate, digest: options.keyAgreementDigest ?? (type === 'x448' ? 'sha512' : 'sha256') };
  }
  return { certificate };
}

function keyTransport(certificate: Certificate, options: EncryptOptions): string {
  const bits = certificate.publicKey.asymmetricKeyDetails?.modulusLength ?? 0;
  const chosen =
    options.keyTransport !== 'by-key-size'
      ? options.keyTransport
      : bits >= OAEP_BITS
        ? 'oaep-sha256'
        : 'pkcs1';
  // a key that is marked for OAEP must not be used otherwise (RFC 4055, section 4.1)
  return chosen === 'pkcs1' && certificate.publicKeyInfo.algorithm === oids.rsaesOaep
    ? 'oaep-sha256'
    : chosen;
}

function encryptingType(certificate: Certificate): string {
  // node:crypto has no name for keys with X9.42 parameters
  const isDh = keyFacts(certificate.publicKeyInfo).family === 'dh';
  const type = isDh ? 'dh' : (certificate.publicKey.asymmetricKeyType ?? 'unknown');
  const usage = usages.get(type) ?? (kem.test(type) ? 'keyEncipherment' : undefined);
  if (usage === undefined) {
    throw new SealpostError(
      'encode-recipient',
      `${nameOf(certificate)}: a key of type ${type} can sign but not encrypt`,
      {
        hint: 'ask for the certificate that is for encryption',
      },
    );
  }
  const allowed = certificate.keyUsage;
  if (allowed !== undefined && !allowed.has(usage)) {
    throw new SealpostError(
      'encode-recipient',
      `${nameOf(certificate)}: its keyUsage (${[...allowed].join(', ')}) has no ${usage}, so it may not be encrypted for`,
      { hint: 'ask for the certificate that is for encryption' },
    );
  }
  return type;
}

function nameOf({ subject, serialHex }: Certificate): string {
  return `${subject}, serial ${serialHex}`;
}
