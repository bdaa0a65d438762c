import type { KeyObject } from 'node:crypto';
import type { Certificate } from '../pki/index.ts';
import type { CommonAttributes } from './attributes.ts';
import type { CertificateIdentifier } from './certificate-identifier.ts';
import type { ReceiptRequest, SigningCertificate } from './ess-attributes.ts';
import type { RecipientReport } from './recipients/recipient.ts';

/** What is known about a CMS object before its content, by type. OIDs are dotted. */
export type CmsHead = EnvelopedHead | SignedHead | CompressedHead | DigestedHead | DataHead;

/** What is known after the whole object has been read. */
export type CmsTail = EnvelopedTail | SignedTail | CompressedTail | DigestedTail | DataTail;

export interface EncryptionReport {
  name: string;
  oid: string;
  keyBits: number;
  /** RC2 only: the effective bits. */
  effectiveBits: number | undefined;
  /** True for authenticated encryption. */
  aead: boolean;
  /** Whether the key is derived from the algorithm identifier (RFC 9709). */
  keyDerived: boolean;
}

/** EnvelopedData, AuthEnvelopedData and EncryptedData. */
export interface EnvelopedHead {
  type: 'enveloped-data' | 'auth-enveloped-data' | 'encrypted-data';
  /** contentType of what is inside; id-data for a MIME entity. */
  contentType: string;
  encryption: EncryptionReport;
  recipients: RecipientReport[];
  /** The length of the content, if known in advance; for CBC with a definite length, padding included. */
  contentOctets: { readonly least: number; readonly most: number } | undefined;
  /** Certificates included by the sender, such as that of its static key. */
  originatorCertificates: Certificate[];
  weak: string[];
}

export interface EnvelopedTail {
  type: EnvelopedHead['type'];
  /** Remarks on a message that was decrypted in spite of them. */
  notes: string[];
  /** OIDs of the unprotected attributes. */
  unprotectedAttributes: string[];
}

export interface SignedHead {
  type: 'signed-data';
  contentType: string;
  /** Names, or OIDs if unknown. */
  digestAlgorithms: string[];
  /** True if the signed content is not inside. */
  detached: boolean;
}

/** Why a signature is invalid; `ok` if it is valid. */
export type SignatureReason =
  | 'ok'
  | 'content-missing'
  | 'certificate-missing'
  | 'certificate-unusable'
  | 'key-parameters-missing'
  | 'key-restricted'
  | 'digest-unsupported'
  | 'signature-unsupported'
  | 'digest-mismatch'
  | 'content-type-mismatch'
  | 'attributes-malformed'
  | 'signature-malformed'
  | 'algorithm-mismatch'
  | 'certificate-mismatch'
  | 'signature-mismatch';

export interface SignerReport {
  identifier: CertificateIdentifier;
  /** Name, or OID if unknown. */
  digestAlgorithm: string;
  signatureAlgorithm: {
    name: string;
    oid: string;
    /** For PSS: digest, mgf1, saltLength; for the key: bits or curve. */
    parameters: Record<string, string>;
  };
  /** Undefined if the signer signed the content without attributes. */
  signedAttributes: SignedAttributes | undefined;
  unsignedAttributes: string[];
  /** Countersignatures of this signature, as far as they can be read; at most ten. */
  countersignatures: SignerReport[];
  /** From the message, or from the caller's certificates. */
  certificate: Certificate | undefined;
  /** Other certificates that the identifier names, and whose key also verifies the signature. */
  alternatives: readonly Certificate[];
  /** The signature alone. Whether the certificate is to be trusted is up to pki and the caller. */
  valid: boolean;
  /** The key that verified the signature, if it is valid. Trust in the signer must be trust in exactly this key. */
  verifiedBy: KeyObject | undefined;
  reason: SignatureReason;
  weak: string[];
}

/** What a signature protects in addition to the content. */
export interface SignedAttributes extends CommonAttributes {
  signingCertificates: SigningCertificate[];
  receiptRequest: ReceiptRequest | undefined;
  encryptionKeyPreference: CertificateIdentifier | undefined;
}

export interface SignedTail {
  type: 'signed-data';
  certificates: Certificate[];
  /** Elements in the set of certificates that could not be read as X.509. */
  otherCertificates: number;
  /** Each a CertificateList in DER. */
  crls: Buffer[];
  /** Each an OCSPResponse in DER (RFC 5940). */
  ocspResponses: Buffer[];
  signers: SignerReport[];
}

export interface CompressedHead {
  type: 'compressed-data';
  contentType: string;
}

export interface CompressedTail {
  type: 'compressed-data';
  compressedOctets: number;
  contentOctets: number;
}

export interface DigestedHead {
  type: 'digested-data';
  contentType: string;
  digestAlgorithm: string;
}

export interface DigestedTail {
  type: 'digested-data';
  valid: boolean;
}

export interface DataHead {
  type: 'data';
}

export interface DataTail {
  type: 'data';
}
