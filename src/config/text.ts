import { SealpostError } from '../errors.ts';
import { fileLimits, readRegularFile } from '../files.ts';

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
