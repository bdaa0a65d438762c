import { Budget } from '../../budget.ts';
import { SealpostError } from '../../errors.ts';
import { defaultMessageLimits, type MessageLimits } from '../../message/index.ts';
import { type Certificate, type Identity, keyTraits, nameOf } from '../../pki/index.ts';
import { type Protection, type ProtectionSettings, protectionOf } from './presets.ts';

/** Who signs, and for whom the message is encrypted. */
export interface Parties {
  /** Signs, in the form that `sign` says. Default: nobody signs. */
  readonly identity?: Identity | undefined;
  /** More signers over the same content, for instance with another algorithm. */
  readonly coSigners?: readonly Identity[] | undefined;
  /**
   * The certificates to encrypt for. Their keys may be of any kind: RSA, Diffie-Hellman, EC, X25519, X448, ML-KEM.
   * Default: nothing is encrypted.
   */
  readonly recipients?: readonly Certificate[] | undefined;
  /**
   * Our own certificate that replies should be encrypted for (RFC 8551, section 2.5.3). It is sent along. Default: the
   * signer's, if it may encrypt.
   */
  readonly encryptionCertificate?: Certificate | undefined;
  /** The signing-time. Required for signing. */
  readonly at?: Date | undefined;
  /** The operator's explicit permission for weak ciphers and digests. */
  readonly allowWeak?: boolean | undefined;
  /** Explicitly allows a message that is neither signed nor encrypted nor compressed. */
  readonly unprotected?: boolean | undefined;
}

/**
 * How a message is protected (`Protection`, whose missing settings come from the preset `default`), and who takes part.
 * A setting of a partner reaches the layer that reads it by its name alone.
 */
export interface EncodeOptions extends Parties, ProtectionSettings {
  /** Content ciphers for smimeCapabilities, the preferred one first. Default: those that this decoder prefers. */
  readonly capabilities?: readonly string[];
  readonly limits?: MessageLimits;
  /** The budget of this message. Default: a new one. */
  readonly budget?: Budget;
  readonly randomBytes?: (size: number) => Buffer;
}

/** Options in which nothing is left open. */
export interface Encoding extends Protection, Pick<EncodeOptions, 'capabilities' | 'randomBytes'> {
  /** If empty, nobody signs. */
  readonly signers: readonly Identity[];
  /** Each once, including our own certificate for `encryptToSelf`. If empty, nothing is encrypted. */
  readonly recipients: readonly Certificate[];
  /** Encryption was requested, but there is nobody to encrypt for. */
  readonly lacksRecipients: boolean;
  readonly encryptionCertificate: Certificate | undefined;
  readonly at: Date | undefined;
  readonly allowWeak: boolean;
  readonly unprotected: boolean;
  /** Includes the budget of the message. */
  readonly limits: MessageLimits & { readonly budget: Budget };
}

/** Settles options, once for all passes over a message. Throws nothing: see `checkParties`. */
export function settle(options: EncodeOptions | Encoding): Encoding {
  if ('signers' in options) return options;
  const { identity, coSigners = [], encryptionCertificate, at, limits = defaultMessageLimits } = options;
  const protection = protectionOf('default', options);
  const encoding: Encoding = {
    ...protection,
    signers: identity === undefined || protection.sign === 'none' ? [] : [identity, ...coSigners],
    recipients: recipientsOf(options, protection),
    lacksRecipients: options.recipients?.length === 0,
    encryptionCertificate,
    at,
    allowWeak: options.allowWeak ?? false,
    unprotected: options.unprotected ?? false,
    limits: { ...limits, budget: options.budget ?? new Budget() },
    ...(options.capabilities && { capabilities: options.capabilities }),
    ...(options.randomBytes && { randomBytes: options.randomBytes }),
  };
  return encoding;
}

/**
 * Checks who takes part, before the first octet.
 *
 * Errors: `encode-recipient`, `encode-signer` if there is no recipient, or if a key is weaker than required.
 */
export function checkParties(encoding: Encoding): void {
  if (encoding.lacksRecipients) {
    throw new SealpostError('encode-recipient', 'there is no certificate to encrypt for', {
      hint: "add the partner's certificate",
    });
  }
  for (const { certificate } of encoding.signers) checkKey(certificate, encoding, 'encode-signer');
  for (const certificate of encoding.recipients) checkKey(certificate, encoding, 'encode-recipient');
}

function recipientsOf(
  { recipients, identity, encryptionCertificate }: Parties,
  { encryptToSelf }: Protection,
): readonly Certificate[] {
  if (recipients === undefined || recipients.length === 0) return [];
  const self = encryptToSelf ? (encryptionCertificate ?? identity?.certificate) : undefined;
  const all = self === undefined ? recipients : [...recipients, self];
  return [...new Map(all.map((certificate) => [certificate.thumbprint, certificate])).values()];
}

/** Throws `code`, naming the certificate, if its key is weaker than required. */
function checkKey(
  certificate: Certificate,
  { minimumRsaBits, curves }: Protection,
  code: 'encode-signer' | 'encode-recipient',
): void {
  const { family, bits } = keyTraits(certificate.publicKeyInfo);
  const name = () => `the key of ${nameOf(certificate)},`;
  if (family === 'rsa' && bits !== undefined && bits < minimumRsaBits) {
    throw new SealpostError(code, `${name()} has ${bits} bits; at least ${minimumRsaBits} are required`, {
      hint: 'use a certificate with a longer key, or another preset',
    });
  }
  // node looks a key's details up each time they are read
  const namedCurve =
    curves === undefined ? undefined : certificate.publicKey.asymmetricKeyDetails?.namedCurve;
  if (namedCurve !== undefined && curves?.includes(namedCurve) === false) {
    throw new SealpostError(code, `${name()} is on ${namedCurve}; allowed are ${curves.join(', ')}`, {
      hint: 'use a certificate with a key on one of these curves, or another preset',
    });
  }
}

export const isSigned = ({ signers }: Encoding) => signers.length > 0;
export const isEncrypted = ({ recipients }: Encoding) => recipients.length > 0;
/** Signs the signed and encrypted message again (RFC 2634, section 1.1). */
export const isSignedAgain = (encoding: Encoding) =>
  encoding.tripleWrap && isSigned(encoding) && isEncrypted(encoding);
/** Whether the entity is sent without any layer around it. */
export const isClear = (encoding: Encoding) =>
  !isSigned(encoding) && !isEncrypted(encoding) && encoding.compress === 'none';
