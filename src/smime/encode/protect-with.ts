import type { Certificate, Identity } from '../../pki/index.ts';
import type { EncodeOptions, EncryptOptions, SignOptions } from './encode-options.ts';
import type { Protection } from './presets.ts';

/** Who signs, and for whom is encrypted. */
export interface ProtectionParties {
  /** Undefined: nobody signs. */
  readonly identity?: Identity | undefined;
  readonly coSigners?: readonly Identity[] | undefined;
  /** Empty: nothing is encrypted. */
  readonly recipients: readonly Certificate[];
  /** The own certificate that answers are to be encrypted for, when it is not the signer's. */
  readonly encryptionCertificate?: Certificate | undefined;
  readonly allowWeak?: boolean | undefined;
  /** The explicit word for mail that nobody signs and that is encrypted for nobody. */
  readonly unprotected?: boolean | undefined;
  readonly at: Date;
}

/** Options of the encoder from a way of protection (a preset, or the settings of a partner) and who takes part. */
export function protectWith(protection: Protection, parties: ProtectionParties): EncodeOptions {
  const { compress, minimumRsaBits, curves } = protection;
  const sign = signOptions(protection, parties);
  const encrypt = encryptOptions(protection, parties);
  return {
    ...(sign && { sign }),
    ...(encrypt && { encrypt }),
    ...(sign && encrypt && protection.tripleWrap && { signAgain: sign }),
    ...(compress !== 'none' && { compress }),
    headerProtection: protection.headerProtection,
    legacyDisplay: protection.legacyDisplay,
    innerTransferEncoding: protection.innerTransferEncoding,
    bodyAsAttachment: protection.bodyAsAttachment,
    unprotected: parties.unprotected ?? false,
    keys: { rsaBits: minimumRsaBits, ...(curves && { curves }) },
  };
}

function signOptions(protection: Protection, parties: ProtectionParties): SignOptions | undefined {
  const { identity, coSigners, encryptionCertificate, allowWeak = false, at } = parties;
  if (identity === undefined || protection.sign === 'none') return undefined;
  return {
    identity,
    ...(coSigners && { coSigners }),
    form: protection.sign,
    digest: protection.digest,
    scheme: protection.signatureScheme,
    addCertificates: protection.addSigningCertificate,
    algorithmProtection: protection.algorithmProtection,
    ...(encryptionCertificate && { encryptionCertificate }),
    allowWeak,
    at,
  };
}

function encryptOptions(protection: Protection, parties: ProtectionParties): EncryptOptions | undefined {
  const { recipients, identity, encryptionCertificate, allowWeak = false } = parties;
  if (recipients.length === 0) return undefined;
  const { contentEncryption, keyTransport, keyAgreementDigest, authEnvelopedType, encryptToSelf } =
    protection;
  const self = encryptToSelf ? (encryptionCertificate ?? identity?.certificate) : undefined;
  return {
    recipients: self === undefined ? recipients : [...recipients, self],
    contentEncryption,
    deriveKey: protection.deriveKey,
    keyTransport,
    ...(keyAgreementDigest && { keyAgreementDigest }),
    ...(authEnvelopedType && { authEnvelopedType }),
    allowWeak,
  };
}
