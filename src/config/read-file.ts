import { closeSync, constants, fstatSync, openSync, readSync, type Stats, statSync } from 'node:fs';
import { hasCode, SealpostError } from '../errors.ts';

/** Size limits in octets: certificates and bundles, keys and secrets, the configuration itself. */
export const fileLimits = { certificates: 16 * 1024 * 1024, secret: 1024 * 1024, config: 4 * 1024 * 1024 };

const isMissing = (error: unknown) => hasCode(error, 'ENOENT', 'ENOTDIR');

function unreadable(path: string, cause: unknown): SealpostError {
  const what = isMissing(cause) ? 'there is no such file' : 'cannot be read';
  const hint = isMissing(cause)
    ? 'check the path; a relative path starts at the folder of the configuration file'
    : 'give the user that runs Sealpost permission to read it';
  return new SealpostError('file-access', `${path}: ${what}`, { hint, cause });
}

function refuseOdd(path: string, found: Stats, limit: number): void {
  if (found.isDirectory()) throw new SealpostError('file-access', `${path}: is a folder`);
  if (!found.isFile())
    throw new SealpostError('file-access', `${path}: is not a regular file`, {
      hint: 'use a regular file: a device or FIFO may block or never end',
    });
  if (found.size > limit) throw tooLarge(path, limit);
}

const tooLarge = (path: string, limit: number) =>
  new SealpostError(
    'file-access',
    `${path}: has more than ${limit} octets, which is the limit for such a file`,
  );

/**
 * Reads a file that a setting names: a regular file, or a link to one. Anything else could block the process or fill
 * its memory.
 *
 * @param accept checks the opened file, so that it cannot be swapped between check and read
 * @throws {SealpostError} `file-access`, and whatever `accept` throws
 */
export function readRegularFile(path: string, limit: number, accept?: (found: Stats) => void): Buffer {
  let handle: number | undefined;
  try {
    refuseOdd(path, statSync(path), limit);
    handle = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const found = fstatSync(handle);
    refuseOdd(path, found, limit);
    accept?.(found);
    // files in /proc have no size, and any file may grow
    const pieces: Buffer[] = [];
    for (let octets = 0; ; ) {
      const piece = Buffer.allocUnsafe(64 * 1024);
      const length = readSync(handle, piece);
      if (length === 0) return Buffer.concat(pieces);
      octets += length;
      if (octets > limit) throw tooLarge(path, limit);
      pieces.push(piece.subarray(0, length));
    }
  } catch (error) {
    if (error instanceof SealpostError) throw error;
    if (hasCode(error, 'ENXIO')) throw new SealpostError('file-access', `${path}: is not a regular file`);
    throw unreadable(path, error);
  } finally {
    if (handle !== undefined) closeSync(handle);
  }
}
