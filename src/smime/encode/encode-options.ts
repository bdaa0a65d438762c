import type { Budget } from '../../budget.ts';
import type { MessageLimits } from '../../message/index.ts';
import type { Certificate, Identity } from '../../pki/index.ts';
import type { KeyAgreementDigest, KeyTransport, SignatureScheme } from './presets.ts';

export interface SignOptions {
  readonly identity: Identity;
  /** More signers over the same content, such as one with another algorithm. */
  readonly coSigners?: readonly Identity[];
  /** `opaque`: application/pkcs7-mime; `detached`: multipart/signed, readable without S/MIME. */
  readonly form: 'opaque' | 'detached';
  /**
   * Such as `sha256`, which is the default, for RSA and ECDSA keys. Ed25519, Ed448 and ML-DSA have digests of
   * their own (RFC 8419, section 2.3; RFC 9882, section 3.3): another one named here gives way to them.
   */
  readonly digest?: string;
  /** For RSA keys: PKCS#1 v1.5, PSS, or PSS where the certificate itself is signed with it. */
  readonly scheme: SignatureScheme;
  /** What signing-time says. */
  readonly at: Date;
  /** The operator's explicit word for SHA-1 and MD5. */
  readonly allowWeak?: boolean;
  /** Sends the certificates of the signers and of their issuers along: true unless given. */
  readonly addCertificates?: boolean;
  /**
   * The certificate that answers are to be encrypted for (RFC 8551, section 2.5.3), sent along; the signer's own, if it
   * may encrypt, unless given.
   */
  readonly encryptionCertificate?: Certificate;
  /** Signs which algorithms were used too (RFC 6211), so that nobody can name others. */
  readonly algorithmProtection?: boolean;
  /** Content ciphers for smimeCapabilities, the preferred one first; what the decoder here prefers unless given. */
  readonly capabilities?: readonly string[];
}

export interface EncryptOptions {
  /** Keys of any kinds in one message: RSA, Diffie-Hellman, EC, X25519, X448, ML-KEM. */
  readonly recipients: readonly Certificate[];
  /** Such as `aes-256-cbc`; `aes-256-gcm` and other AEAD ciphers make AuthEnvelopedData (RFC 5083). */
  readonly contentEncryption: string;
  /** How the content key is encrypted for RSA keys; for OAEP with the digest for hash and MGF1. */
  readonly keyTransport: KeyTransport;
  /** Digest of the derivation for EC, X25519 and X448 keys; SHA-256, for X448 SHA-512, unless given. */
  readonly keyAgreementDigest?: KeyAgreementDigest;
  /** The operator's explicit word for weak ciphers. */
  readonly allowWeak?: boolean;
  /** Derives the content key from the algorithm identifier (RFC 9709), which few readers know; false unless given. */
  readonly deriveKey?: boolean;
  /** The smime-type of AuthEnvelopedData (RFC 8551, section 3.2.2) unless a profile has a word of its own. */
  readonly authEnvelopedType?: 'authEnveloped-data' | 'authenticated-enveloped-data';
}

/** What the keys of recipients and signers must be. */
export interface KeyRequirements {
  readonly rsaBits?: number;
  /** Names of node:crypto, such as `prime256v1`. */
  readonly curves?: readonly string[];
}

export interface EncodeOptions {
  sign?: SignOptions;
  /** With `sign` too, the signed message is encrypted. */
  encrypt?: EncryptOptions;
  /** Signs what was signed and encrypted once more (RFC 2634, section 1.1). Needs `encrypt`. */
  signAgain?: SignOptions;
  /** Compresses (RFC 3274) the entity before it is signed, or what was signed. Without `sign` both are the same. */
  readonly compress?: 'before-signing' | 'after-signing';
  /** Puts the header fields under the protection, and "[...]" for the subject outside of an encrypted one (RFC 9788). */
  readonly headerProtection?: boolean;
  /**
   * Repeats a subject that header protection hides at the start of the text, for readers that know nothing of it
   * (RFC 9788, section 5.2.2). Does nothing without `headerProtection` and `encrypt`.
   */
  readonly legacyDisplay?: boolean;
  /** Of CMS objects inside others; the outermost is always base64. base64 unless given, which every reader takes. */
  readonly innerTransferEncoding?: 'base64' | 'binary';
  /** Marks a body that is one part as an attachment, with a file name where one is known. */
  readonly bodyAsAttachment?: boolean;
  readonly keys?: KeyRequirements;
  /** The explicit word for a message that is neither signed nor encrypted nor compressed. */
  readonly unprotected?: boolean;
  readonly limits?: MessageLimits;
  /** What this message may cost; one of its own with the defaults unless given. */
  readonly budget?: Budget;
  readonly randomBytes?: (size: number) => Buffer;
}
