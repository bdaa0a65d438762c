/**
 * How outbound messages are protected, and the named presets for it: pure data, so that settings and codec share one
 * source. Statements about a profile go as far as its text was read.
 */
import { type DigestFor, digestsFor } from '../../pki/algorithms.ts';

export { type ContentEncryption, contentEncryptions } from '../../cms/algorithms.ts';

/** For RSA keys; `by-key-size`: OAEP with SHA-256 for keys of 4096 bits or more, else PKCS#1 v1.5. */
export type KeyTransport = 'pkcs1' | `oaep-${DigestFor<'oaep'>}` | 'by-key-size';
export const keyTransports: readonly KeyTransport[] = [
  'pkcs1',
  ...digestsFor('oaep').map((name) => `oaep-${name}` as const),
  'by-key-size',
];

/** Digests of the key derivation for ECDH, X25519 and X448. */
export type KeyAgreementDigest = DigestFor<'key-agreement'>;
export const keyAgreementDigests: readonly KeyAgreementDigest[] = digestsFor('key-agreement');

/** For RSA keys; `as-certificate`: PSS if the signer's certificate is itself signed with PSS. */
export const signatureSchemes = ['pkcs1', 'pss', 'as-certificate'] as const;
export type SignatureScheme = (typeof signatureSchemes)[number];

export type SignatureDigest = DigestFor<'signature'>;
export const signatureDigests: readonly SignatureDigest[] = digestsFor('signature');

export const compressions = ['none', 'before-signing', 'after-signing'] as const;
export type Compression = (typeof compressions)[number];

export const signatureForms = ['opaque', 'detached', 'none'] as const;
export const transferEncodings = ['base64', 'binary'] as const;

/** How a message is protected, apart from keys and people. The settings of a partner have the same names. */
export interface Protection {
  /** Such as `aes-256-cbc`: a name of `src/cms/algorithms.ts`. AEAD ciphers make AuthEnvelopedData (RFC 5083). */
  readonly contentEncryption: string;
  readonly keyTransport: KeyTransport;
  /** The content key is derived from the algorithm identifier (RFC 9709). */
  readonly deriveKey: boolean;
  /** Undefined: SHA-256, for X448 SHA-512 (RFC 8418). */
  readonly keyAgreementDigest?: KeyAgreementDigest;
  readonly sign: (typeof signatureForms)[number];
  /**
   * Such as `sha256`: a name of `src/pki/algorithms.ts`, for RSA and ECDSA. Ed25519, Ed448 and ML-DSA have digests of
   * their own (RFC 8419, section 2.3; RFC 9882, section 3.3).
   */
  readonly digest: string;
  readonly signatureScheme: SignatureScheme;
  readonly addSigningCertificate: boolean;
  readonly algorithmProtection: boolean;
  readonly compress: Compression;
  readonly tripleWrap: boolean;
  readonly headerProtection: boolean;
  readonly legacyDisplay: boolean;
  readonly innerTransferEncoding: (typeof transferEncodings)[number];
  readonly bodyAsAttachment: boolean;
  readonly encryptToSelf: boolean;
  /** Shorter RSA keys, of recipients and signers, are refused. */
  readonly minimumRsaBits: number;
  /** Curves that EC keys may be on, by their names in node:crypto; undefined: any. */
  readonly curves?: readonly string[];
  /** The smime-type of AuthEnvelopedData. */
  readonly authEnvelopedType?: 'authEnveloped-data' | 'authenticated-enveloped-data';
}

/** Single settings; undefined is as if it were not there. */
export type ProtectionSettings = { readonly [Name in keyof Protection]?: Protection[Name] | undefined };

export interface Preset {
  /** What it is for and what it contains, for the settings page. */
  readonly about: string;
  readonly protection: Protection;
}

const safe: Protection = {
  contentEncryption: 'aes-256-cbc',
  deriveKey: false,
  keyTransport: 'pkcs1',
  sign: 'opaque',
  digest: 'sha256',
  signatureScheme: 'pkcs1',
  addSigningCertificate: true,
  algorithmProtection: false,
  compress: 'none',
  tripleWrap: false,
  headerProtection: false,
  legacyDisplay: false,
  innerTransferEncoding: 'base64',
  bodyAsAttachment: false,
  encryptToSelf: false,
  minimumRsaBits: 1024,
};

export const presetNames = [
  'default',
  'bsi-tr-03116-4',
  'edi-energy',
  'direct',
  'as1',
  'kim',
  'secon',
  'biztalk',
] as const;
export type PresetName = (typeof presetNames)[number];

export const presets: Readonly<Record<PresetName, Preset>> = {
  default: {
    about:
      'Safe, and readable by Outlook, Thunderbird, Apple Mail and OpenSSL: AES-256-CBC, RSA PKCS#1 v1.5 key transport, opaque signature with SHA-256.',
    protection: safe,
  },
  'bsi-tr-03116-4': {
    about:
      'BSI TR-03116-4 of 2023: AES-256-GCM (CBC was allowed until 2025), RSAES-OAEP and RSASSA-PSS with SHA-256, RSA keys of 3072 bits or more, ECDH and ECDSA on NIST and Brainpool curves of 256 bits or more.',
    protection: {
      ...safe,
      contentEncryption: 'aes-256-gcm',
      keyTransport: 'oaep-sha256',
      signatureScheme: 'pss',
      minimumRsaBits: 3072,
      curves: [
        'brainpoolP256r1',
        'brainpoolP384r1',
        'brainpoolP512r1',
        'prime256v1',
        'secp384r1',
        'secp521r1',
      ],
    },
  },
  'edi-energy': {
    about:
      'EDI@Energy (German energy market): AES-256-CBC, RSAES-OAEP and RSASSA-PSS with SHA-256; the file is an attachment. If a partner asks for GCM, also set contentEncryption to aes-128-gcm.',
    protection: {
      ...safe,
      keyTransport: 'oaep-sha256',
      signatureScheme: 'pss',
      bodyAsAttachment: true,
    },
  },
  direct: {
    about:
      'Direct Project (US health): multipart/signed with SHA-256, then AES-128-CBC and RSA-OAEP. Based on the reference implementation; certificates are not looked up in DNS or LDAP.',
    protection: {
      ...safe,
      contentEncryption: 'aes-128-cbc',
      keyTransport: 'oaep-sha256',
      sign: 'detached',
    },
  },
  as1: {
    about:
      'AS1 (RFC 3335) with current algorithms: multipart/signed with SHA-256, then AES-256-CBC. It does not request signed receipts.',
    protection: { ...safe, sign: 'detached' },
  },
  kim: {
    about:
      'KIM (German health, gemSpec_CM_KOMLE): opaque signature with PSS in binary transfer encoding inside AES-256-GCM, RSAES-OAEP with SHA-256, encrypted to the sender too. The recipient-emails attribute of the client module is not written.',
    protection: {
      ...safe,
      contentEncryption: 'aes-256-gcm',
      keyTransport: 'oaep-sha256',
      signatureScheme: 'pss',
      innerTransferEncoding: 'binary',
      encryptToSelf: true,
      authEnvelopedType: 'authenticated-enveloped-data',
    },
  },
  secon: {
    about:
      'GKV SECON (German health insurers): AES-256-CBC; RSAES-OAEP with SHA-256 for RSA keys of 4096 bits or more, otherwise PKCS#1 v1.5; PSS if your certificate is signed with PSS.',
    protection: { ...safe, keyTransport: 'by-key-size', signatureScheme: 'as-certificate' },
  },
  biztalk: {
    about:
      'What BizTalk Server before 2016 and its partners can read: 3DES, RSA PKCS#1 v1.5, opaque signature with SHA-1. SHA-1 needs allowWeak.',
    protection: { ...safe, contentEncryption: 'des-ede3-cbc', digest: 'sha1' },
  },
};

const protectionNames = Object.keys({
  ...safe,
  keyAgreementDigest: undefined,
  curves: undefined,
  authEnvelopedType: undefined,
}) as (keyof Protection)[];

/** A preset with some settings replaced; undefined keeps the preset's. */
export function protectionOf(preset: PresetName, settings: ProtectionSettings = {}): Protection {
  const own: { -readonly [Name in keyof Protection]?: unknown } = {};
  for (const name of protectionNames) if (settings[name] !== undefined) own[name] = settings[name];
  return { ...presets[preset].protection, ...(own as Partial<Protection>) };
}
