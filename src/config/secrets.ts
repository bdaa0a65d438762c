/** Reads files that settings name, with care: public files, secrets, and the configuration itself. */
import { SealpostError } from '../errors.ts';
import { fileLimits, readRegularFile } from '../files.ts';
import type { Secret } from './schema.ts';

/**
 * Reads a file that anyone may read, such as a certificate.
 *
 * @throws {SealpostError} `file-access`
 */
export function readPublicFile(path: string): Buffer {
  return readRegularFile(path, fileLimits.certificates);
}

/**
 * Reads a file that others must not read, such as a password or private key. The mode of the opened file is checked, so
 * that the file cannot be swapped between the check and the read. A file owned by root may be readable by its group,
 * because that is how an orchestrator gives secrets to an unprivileged process (PostgreSQL has the same rule for its
 * keys).
 *
 * @throws {SealpostError} `file-access`, `file-mode`
 */
export function readPrivateFile(path: string): Buffer {
  return readRegularFile(path, fileLimits.secret, ({ mode, uid }) => {
    const own = uid === process.geteuid?.() || uid !== 0;
    if (process.platform !== 'win32' && (mode & (own ? 0o077 : 0o037)) !== 0)
      throw new SealpostError(
        'file-mode',
        `${path}: mode ${(mode & 0o777).toString(8).padStart(4, '0')} lets others read or write it`,
        { hint: `run: chmod 600 ${path}` },
      );
  });
}

/**
 * The secret itself, from its file (without one trailing newline) or from the environment. Read it when you need it and
 * do not keep it, because the file may be renewed while the daemon runs.
 *
 * @throws {SealpostError} `file-access`, `file-mode`, `config-invalid` (variable not set, empty secret)
 */
export function readSecret(secret: Secret, env: NodeJS.ProcessEnv = process.env): string {
  if ('env' in secret) {
    const value = env[secret.env];
    if (value === undefined || value === '')
      throw new SealpostError('config-invalid', `the environment variable ${secret.env} is not set`, {
        hint: 'set it for the process, or name a file in place of env',
      });
    return value;
  }
  const value = readPrivateFile(secret.file)
    .toString('utf8')
    .replace(/\r?\n$/, '');
  if (value === '') throw new SealpostError('config-invalid', `${secret.file}: contains no secret`);
  return value;
}

/**
 * The text of the configuration.
 *
 * @throws {SealpostError} `file-access`
 */
export function readConfigText(file: string): string {
  try {
    return readRegularFile(file, fileLimits.config).toString('utf8');
  } catch (cause) {
    if (!(cause instanceof SealpostError)) throw cause;
    throw new SealpostError('file-access', `configuration ${cause.message}`, {
      hint: 'name it with --config FILE; config/sealpost.example.yaml shows every setting',
      cause,
    });
  }
}
