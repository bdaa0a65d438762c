/**
 * How outbound messages are protected, and named presets for it. Pure data, so that settings and codec share one
 * source. A preset is what a profile (`profiles/*.json`) says about outbound mail.
 */
import as1 from '../../../profiles/as1.json' with { type: 'json' };
import biztalkClassic from '../../../profiles/biztalk-classic.json' with { type: 'json' };
import bsiTr02102 from '../../../profiles/bsi-tr-02102.json' with { type: 'json' };
import bsiTr03116 from '../../../profiles/bsi-tr-03116-4.json' with { type: 'json' };
import cabfSmimeBr from '../../../profiles/cabf-smime-br.json' with { type: 'json' };
import direct from '../../../profiles/direct.json' with { type: 'json' };
import ediEnergy from '../../../profiles/edi-energy.json' with { type: 'json' };
import kim from '../../../profiles/kim.json' with { type: 'json' };
import secon from '../../../profiles/secon.json' with { type: 'json' };
import smime32 from '../../../profiles/smime-3.2.json' with { type: 'json' };
import smime40 from '../../../profiles/smime-4.0.json' with { type: 'json' };
import { contentEncryptions } from '../../cms/algorithms.ts';
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
  /** Derive the content key from the algorithm identifier (RFC 9709). */
  readonly deriveKey: boolean;
  /** Undefined: SHA-256; for X448, SHA-512 (RFC 8418). */
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
  /** RSA keys of recipients and signers that are shorter are refused. */
  readonly minimumRsaBits: number;
  /** Curves that EC keys may use, by their names in node:crypto; undefined: any. */
  readonly curves?: readonly string[];
  /** The smime-type of AuthEnvelopedData. */
  readonly authEnvelopedType?: 'authEnveloped-data' | 'authenticated-enveloped-data';
}

/** Some of the settings. An undefined one counts as not given. */
export type ProtectionSettings = { readonly [Name in keyof Protection]?: Protection[Name] | undefined };

/** A profile file, as far as it is read here. */
interface ProfileFile {
  readonly name: string;
  readonly about: string;
  readonly outbound: object;
}

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

/** The profile files. The room `profile` reads their rules. */
export const profileFiles: readonly ProfileFile[] = [
  smime32,
  smime40,
  bsiTr03116,
  bsiTr02102,
  ediEnergy,
  direct,
  as1,
  kim,
  secon,
  biztalkClassic,
  cabfSmimeBr,
];

const protectionNames = Object.keys({
  ...safe,
  keyAgreementDigest: undefined,
  curves: undefined,
  authEnvelopedType: undefined,
}) as (keyof Protection)[];

const isOneOf = (values: readonly unknown[]) => (value: unknown) => values.includes(value);
const isBoolean = isOneOf([true, false]);

/** What each setting of a preset may be. */
const allowed: Readonly<Record<keyof Protection, (value: unknown) => boolean>> = {
  contentEncryption: isOneOf(contentEncryptions),
  deriveKey: isBoolean,
  keyTransport: isOneOf(keyTransports),
  keyAgreementDigest: isOneOf(keyAgreementDigests),
  sign: isOneOf(signatureForms),
  digest: isOneOf(signatureDigests),
  signatureScheme: isOneOf(signatureSchemes),
  addSigningCertificate: isBoolean,
  algorithmProtection: isBoolean,
  compress: isOneOf(compressions),
  tripleWrap: isBoolean,
  headerProtection: isBoolean,
  legacyDisplay: isBoolean,
  innerTransferEncoding: isOneOf(transferEncodings),
  bodyAsAttachment: isBoolean,
  encryptToSelf: isBoolean,
  minimumRsaBits: Number.isInteger,
  curves: (value) => Array.isArray(value) && value.every((name) => typeof name === 'string'),
  authEnvelopedType: isOneOf(['authEnveloped-data', 'authenticated-enveloped-data']),
};
const rules: ReadonlyMap<string, (value: unknown) => boolean> = new Map(Object.entries(allowed));

function isSettings(outbound: object): outbound is ProtectionSettings {
  return Object.entries(outbound).every(([name, value]) => rules.get(name)?.(value) === true);
}

/** What a profile says about outbound mail, without the settings of the default. */
export function outboundOf({ name, outbound }: ProfileFile): ProtectionSettings {
  if (isSettings(outbound)) return outbound;
  throw new TypeError(`profile ${name}: outbound is not made of settings of a partner`);
}

function presetOf(file: ProfileFile): Preset {
  return { about: file.about, protection: overlaid(safe, outboundOf(file)) };
}

const plain = presetOf(smime32);
const classic = presetOf(biztalkClassic);

/** By name. `default` and `biztalk` are the former names of `smime-3.2` and `biztalk-classic`. */
export const presets = {
  default: plain,
  'smime-3.2': plain,
  'smime-4.0': presetOf(smime40),
  'bsi-tr-03116-4': presetOf(bsiTr03116),
  'bsi-tr-02102': presetOf(bsiTr02102),
  'edi-energy': presetOf(ediEnergy),
  direct: presetOf(direct),
  as1: presetOf(as1),
  kim: presetOf(kim),
  secon: presetOf(secon),
  biztalk: classic,
  'biztalk-classic': classic,
  'cabf-smime-br': presetOf(cabfSmimeBr),
} satisfies Readonly<Record<string, Preset>>;
export type PresetName = keyof typeof presets;

const isPresetName = (name: string): name is PresetName => Object.hasOwn(presets, name);
export const presetNames: readonly PresetName[] = Object.keys(presets).filter(isPresetName);

/** A preset with some settings replaced. An undefined one keeps the preset's value. */
export function protectionOf(preset: PresetName, settings: ProtectionSettings = {}): Protection {
  return overlaid(presets[preset].protection, settings);
}

function overlaid(protection: Protection, settings: ProtectionSettings): Protection {
  const own: { -readonly [Name in keyof Protection]?: unknown } = {};
  for (const name of protectionNames) if (settings[name] !== undefined) own[name] = settings[name];
  return { ...protection, ...(own as Partial<Protection>) };
}
