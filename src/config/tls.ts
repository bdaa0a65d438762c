import { createHash, createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { SealpostError } from '../errors.ts';
import { readPrivateFile, readPublicFile } from './secrets.ts';

/**
 * SHA-256 of the public key of the certificate that is built into the SMTP library. Its private key is published with
 * the library, so using it means having no TLS at all (threats S16).
 */
const libraryKey = 'c7c33a9a1bf0b606c384fb4b141f01191a14471f441f0cffd7865e4d81de754e';

/** Certificate chain and key of a listener, in PEM. */
export interface ListenerTls {
  cert: Buffer;
  key: Buffer;
}

/**
 * Reads a certificate and its key, for a listener or for connections of our own, and checks that they belong together.
 *
 * @throws {SealpostError} `file-access`, `file-mode`, `certificate-malformed`, `key-malformed`, `key-mismatch`
 */
export function readCertificateAndKey(files: {
  cert: string;
  key: string;
}): ListenerTls & { notBefore: Date; notAfter: Date } {
  const cert = readPublicFile(files.cert);
  const key = readPrivateFile(files.key);
  const certificate = attempt('certificate-malformed', `${files.cert}: is not a certificate in PEM`, () =>
    pemOnly(cert, () => new X509Certificate(cert)),
  );
  const privateKey = attempt(
    'key-malformed',
    `${files.key}: is not a private key in PEM without password`,
    () => pemOnly(key, () => createPrivateKey(key)),
  );
  if (!certificate.checkPrivateKey(privateKey))
    throw new SealpostError('key-mismatch', `${files.key}: is not the key of ${files.cert}`, {
      hint: 'the certificate of the key comes first in its file, then its chain',
    });
  const spki = createPublicKey(privateKey).export({ type: 'spki', format: 'der' });
  if (createHash('sha256').update(spki).digest('hex') === libraryKey)
    throw new SealpostError('key-malformed', `${files.key}: is the published key of the SMTP library`, {
      hint: 'make a key of your own',
    });
  return { cert, key, notBefore: certificate.validFromDate, notAfter: certificate.validToDate };
}

function pemOnly<T>(data: Buffer, read: () => T): T {
  if (!data.includes('-----BEGIN ')) throw new Error('not PEM');
  return read();
}

function attempt<T>(code: 'certificate-malformed' | 'key-malformed', message: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw new SealpostError(code, message, { cause });
  }
}
