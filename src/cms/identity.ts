import type { KeyObject } from 'node:crypto';
import { type Certificate, keyIdentifiersOf } from '../pki/index.ts';

/** A private key with its certificate, for anything that a message may be encrypted for, old certificates included. */
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
  /** For EncryptedData, whose key is agreed on outside of the message. */
  contentKeys?: readonly { name: string; key: Buffer }[];
  /** More certificates to search for signers and originators of static keys. */
  certificates?: readonly Certificate[];
  /**
   * Certificates that the receiver has anyway. They are searched after those, by look-up, because there may be many.
   */
  known?: KnownCertificates;
}

/** Certificates that can be looked up. */
export interface KnownCertificates {
  /** Candidates for a word of `pki/lookup.ts`. The caller compares them with what it looks for. */
  find(word: string): readonly Certificate[];
}

/** The identifier to write. */
export function keyIdentifierOf(certificate: Certificate): Buffer {
  return keyIdentifiersOf(certificate)[0];
}
