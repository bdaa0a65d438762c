/** The key pair that backups are sealed to: X25519. Keep the private half on another machine, or in a safe. */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { SealpostError } from '../errors.ts';
import { fileLimits, readRegularFile } from '../files.ts';

/** Both halves as PEM (RFC 8410). */
export function makeBackupKey(): { privateKey: string; publicKey: string; key: KeyObject } {
  const { privateKey, publicKey } = generateKeyPairSync('x25519');
  return {
    privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    publicKey: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    key: publicKey,
  };
}

/** Errors: `file-access`, `backup-invalid`. */
export function readBackupKey(file: string, half: 'public' | 'private'): KeyObject {
  const text = readRegularFile(file, fileLimits.secret).toString('latin1');
  try {
    // Node would also derive the public half from a private key, which does not belong on the machine that backs up.
    const isPrivate = text.includes('PRIVATE KEY');
    if (isPrivate !== (half === 'private')) throw new Error('the other half');
    const key = isPrivate ? createPrivateKey(text) : createPublicKey(text);
    if (key.asymmetricKeyType === 'x25519') return key;
    throw new Error('another kind of key');
  } catch (cause) {
    throw new SealpostError('backup-invalid', `${file} is not the ${half} half of a key for backups`, {
      hint: 'sealpost backup keygen makes both: the public half for backup, the private one for verify and restore',
      cause,
    });
  }
}
