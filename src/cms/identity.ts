import { createHash, type KeyObject } from 'node:crypto';
import type { Certificate } from '../pki/certificate.ts';

/** A private key with its certificate, old ones included: what a message may be encrypted for. */
export interface DecryptionIdentity {
  /** The operator's name for it. */
  name: string;
  /** Made once: parsing a PEM at each message costs two thirds of the rate. */
  privateKey: KeyObject;
  certificate: Certificate;
}

/** A symmetric key that a KEKRecipientInfo names (RFC 5652 section 6.2.3). */
export interface KeyEncryptionKey {
  name: string;
  /** The keyIdentifier octets. */
  keyIdentifier: Buffer;
  key: Buffer;
}

/** Everything that may open a message. */
export interface DecryptionKeys {
  identities: readonly DecryptionIdentity[];
  keyEncryptionKeys?: readonly KeyEncryptionKey[];
  /** Tried in turn for a PasswordRecipientInfo. */
  passwords?: readonly { name: string; password: Buffer }[];
  /** For EncryptedData, whose key is agreed outside of the message. */
  contentKeys?: readonly { name: string; key: Buffer }[];
  /** More certificates among which signers and the originators of static keys are looked for. */
  certificates?: readonly Certificate[];
}

const computed = new WeakMap<Certificate, Buffer>();

/**
 * The key identifier of a certificate: its extension, or where it has none method 1 of RFC 5280
 * section 4.2.1.2 (SHA-1 of the public key), which is what senders then use.
 */
export function keyIdentifierOf(certificate: Certificate): Buffer {
  const extension = certificate.subjectKeyIdentifier;
  if (extension !== undefined) return extension;
  let identifier = computed.get(certificate);
  if (identifier === undefined) {
    identifier = createHash('sha1').update(certificate.publicKeyInfo.key).digest();
    computed.set(certificate, identifier);
  }
  return identifier;
}
