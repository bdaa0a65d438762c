import { randomBytes as nodeRandomBytes } from 'node:crypto';
import {
  boundOaep,
  type EnvelopedDataOptions,
  EnvelopedDataWriter,
  envelopedDataChunks,
  type RecipientOptions,
} from '../../cms/index.ts';
import { SealpostError } from '../../errors.ts';
import type { Sink } from '../../message/index.ts';
import { type Certificate, keyKindOf, keyTraits, nameOf, useFault } from '../../pki/index.ts';
import { DefiniteOrStreaming } from './definite-or-streaming.ts';
import type { Encoding } from './options.ts';

/**
 * Encrypts its input as EnvelopedData or AuthEnvelopedData (RFC 8551, sections 3.3 and 3.4) into `output`.
 *
 * Errors: `encode-recipient`, `encode-policy`.
 */
export function encryptingSink(output: Sink, encoding: Encoding): Sink {
  const { recipients, contentEncryption, deriveKey, allowWeak, randomBytes = nodeRandomBytes } = encoding;
  const enveloped: EnvelopedDataOptions = {
    recipients: recipients.map((certificate) => recipientOptions(certificate, encoding)),
    contentEncryption,
    deriveKey,
    allowWeak,
    randomBytes,
  };
  return new DefiniteOrStreaming(
    output,
    (content) => envelopedDataChunks(content, enveloped),
    () => new EnvelopedDataWriter(enveloped, output),
  );
}

/** From this size on, `by-key-size` uses OAEP. */
const OAEP_BITS = 4096;

/**
 * How to encrypt the content key for a certificate, depending on its key.
 *
 * Errors: `encode-recipient` if key or keyUsage do not allow it.
 */
function recipientOptions(certificate: Certificate, encoding: Encoding): RecipientOptions {
  const kind = encryptingKind(certificate);
  if (kind === 'rsa' || kind === 'rsaes-oaep') {
    // RFC 4055 section 4.1: the key may only be used with the parameters that are given beside it
    const bound = boundOaep(certificate.publicKeyInfo);
    if (bound !== undefined) return { certificate, oaep: { digest: bound.digest.name, label: bound.label } };
    const digest = /^oaep-(.+)$/.exec(keyTransport(certificate, encoding))?.[1];
    return digest === undefined ? { certificate } : { certificate, oaep: { digest } };
  }
  if (kind === 'ec' || kind === 'x25519' || kind === 'x448') {
    return { certificate, digest: encoding.keyAgreementDigest ?? (kind === 'x448' ? 'sha512' : 'sha256') };
  }
  return { certificate };
}

/**
 * How the content key will reach a certificate's key, in the words of `UsedEncryption`.
 *
 * Errors: `encode-recipient` if key or keyUsage do not allow it.
 */
export function managementFor(certificate: Certificate, encoding: Encoding): string {
  const options = recipientOptions(certificate, encoding);
  const kind = keyKindOf(certificate);
  if ('oaep' in options && options.oaep !== undefined) return `rsa-oaep-${options.oaep.digest}`;
  if (kind === 'rsa') return 'rsa-pkcs1';
  // RFC 2631 knows no other digest
  if (kind === 'dh') return 'dh-sha1';
  if (!('digest' in options)) return kind;
  return `${kind === 'ec' ? 'ecdh' : 'xdh'}-${options.digest}`;
}

function keyTransport(certificate: Certificate, encoding: Encoding): string {
  const bits = keyTraits(certificate.publicKeyInfo).bits ?? 0;
  const chosen =
    encoding.keyTransport !== 'by-key-size'
      ? encoding.keyTransport
      : bits >= OAEP_BITS
        ? 'oaep-sha256'
        : 'pkcs1';
  // a key that is marked for OAEP must not be used otherwise (RFC 4055, section 4.1)
  return chosen === 'pkcs1' && keyKindOf(certificate) === 'rsaes-oaep' ? 'oaep-sha256' : chosen;
}

function encryptingKind(certificate: Certificate): string {
  const fault = useFault(certificate, 'encrypt');
  if (fault === undefined) return keyKindOf(certificate);
  throw new SealpostError('encode-recipient', `${nameOf(certificate)} ${fault.message}`, {
    hint: 'ask for the certificate that is for encryption',
  });
}
