import { SealpostError } from '../errors.ts';
import { type Certificate, readCertificates } from '../pki/index.ts';
import { formatSetting, type Places, type Problem, type ProblemExtra, type SettingPath } from './problem.ts';
import type { Secret } from './schema.ts';
import { readPublicFile, readSecret } from './secrets.ts';

/** For a first attempt, which needs no places as long as nothing is wrong. */
export const placeless: Places = {
  file: '',
  problem: (path, message) => ({
    severity: 'error',
    file: '',
    line: 1,
    column: 1,
    setting: formatSetting(path),
    message,
  }),
};

/**
 * Decodes the parts of certificates that are needed later, so that an error is reported together with its file.
 * @throws {SealpostError} `certificate-malformed`
 */
export function decodeParts(certificates: Certificate[]): Certificate[] {
  for (const { subject, issuer, keyUsage, basicConstraints, emails, extendedKeyUsage } of certificates)
    void [subject, issuer, keyUsage, basicConstraints, emails, extendedKeyUsage];
  return certificates;
}

/** Reads all files. Collects problems with their places, and returns undefined for a bad file. */
export class KeyReader {
  readonly problems: Problem[] = [];
  readonly #places: Places;
  /** Whether to read what a setting names. Files of other roles may not exist here. */
  readonly reads: (path: SettingPath) => boolean;

  constructor(places: Places, reads: (path: SettingPath) => boolean = () => true) {
    this.#places = places;
    this.reads = reads;
  }

  report(path: SettingPath, message: string, extra?: ProblemExtra) {
    this.problems.push(this.#places.problem(path, message, extra));
  }

  /** @param only as in `Problem` */
  try<T>(path: SettingPath, read: () => T, prefix = '', only?: string): T | undefined {
    if (!this.reads(path)) return undefined;
    try {
      return read();
    } catch (error) {
      if (!(error instanceof SealpostError)) throw error;
      const hint = error.hint ?? hints[error.code];
      this.report(path, `${prefix}${error.message}`, {
        ...(hint !== undefined && { hint }),
        ...(only !== undefined && { only }),
      });
      return undefined;
    }
  }

  async tryAsync(path: SettingPath, run: () => Promise<void>): Promise<void> {
    if (!this.reads(path)) return;
    try {
      await run();
    } catch (error) {
      this.try(path, () => {
        throw error;
      });
    }
  }

  secret(path: SettingPath, secret: Secret): string | undefined {
    return this.try(path, () => readSecret(secret));
  }

  certificates(path: SettingPath, file: string): Certificate[] {
    const data = this.try(path, () => readPublicFile(file));
    if (data === undefined) return [];
    return this.try(path, () => decodeParts(readCertificates(data)), `${file}: `) ?? [];
  }

  /** All files of a list setting. */
  list(path: SettingPath, files: readonly string[]): Certificate[] {
    return files.flatMap((file, index) => this.certificates([...path, index], file));
  }
}

const hints: Partial<Record<string, string>> = {
  password: 'write password: {file: PATH} or {env: NAME} of this identity, and check it',
  'certificate-malformed': 'give a certificate in PEM or DER',
  'key-malformed': 'give a private key in PEM or DER, or a PKCS#12 file as pkcs12',
};
