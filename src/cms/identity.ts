import { createHash, type KeyObject } from 'node:crypto';
import type { Certificate } from '../pki/index.ts';

/** A private key with its certificate, old ones included: what a message may be encrypted for. */
export interface DecryptionIdentity {
  /** The operator's name for it. */
  name: string;
  /** Made once, because parsing a PEM for each message would cost two thirds of the throughput. */
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

/** All keys that may open a message. */
export interface DecryptionKeys {
  identities: readonly DecryptionIdentity[];
  keyEncryptionKeys?: readonly KeyEncryptionKey[];
  /** Tried in turn for a PasswordRecipientInfo. */
  passwords?: readonly { name: string; password: Buffer }[];
  /** For EncryptedData, whose key is agreed outside of the message. */
  contentKeys?: readonly { name: string; key: Buffer }[];
  /** More certificates in which signers and originators of static keys are searched. */
  certificates?: readonly Certificate[];
}

const computed = new WeakMap<Certificate, readonly [Buffer, Buffer]>();

/**
 * What senders use as the key identifier of a certificate, the usual one first: its extension; without one, method 1 of
 * RFC 5280 section 4.2.1.2 (SHA-1 of the public key), or what Windows and .NET make, SHA-1 over the whole
 * SubjectPublicKeyInfo (CERT_KEY_IDENTIFIER_PROP_ID).
 */
export function keyIdentifiersOf(certificate: Certificate): readonly [Buffer, ...Buffer[]] {
  const extension = certificate.subjectKeyIdentifier;
  if (extension !== undefined) return [extension];
  let identifiers = computed.get(certificate);
  if (identifiers === undefined) {
    const { key, der } = certificate.publicKeyInfo;
    const sha1 = (octets: Buffer) => createHash('sha1').update(octets).digest();
    identifiers = [sha1(key), sha1(der)];
    computed.set(certificate, identifiers);
  }
  return identifiers;
}

/** The one to write. */
export function keyIdentifierOf(certificate: Certificate): Buffer {
  return keyIdentifiersOf(certificate)[0];
}
