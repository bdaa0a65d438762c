/** Which files a command is about: named, in a folder, or in a list. */
import { lstatSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { hasCode, SealpostError } from '../errors.ts';
import { readPieces } from './files.ts';
import { isStandardInput } from './outgoing.ts';

export interface FileOptions {
  filesFrom0?: string;
}

/** Octets of a list of names. */
const MAX_LIST = 64 * 1024 * 1024;
/** What a program has not finished writing, or does not want to be seen. */
const unfinished = /^\.|\.(?:tmp|part)$/;

/**
 * The files in the order given, those of a folder by name.
 *
 * @throws {SealpostError} `usage` for none, for an empty name, and if standard input would be read twice; `file-access`
 */
export async function filesOf(named: readonly string[], { filesFrom0 }: FileOptions): Promise<string[]> {
  const listed = filesFrom0 === undefined ? [] : await listIn(filesFrom0);
  const files = [...named, ...listed].flatMap((file) => (isFolder(file) ? filesIn(file) : [file]));
  const inputs = [...files, filesFrom0 ?? ''].filter(isStandardInput);
  if (inputs.length > 1) throw new SealpostError('usage', 'standard input can be read only once');
  // an empty folder or list is nothing to do; no name at all is a forgotten argument
  if (named.length === 0 && filesFrom0 === undefined)
    throw new SealpostError('usage', 'no file', { hint: 'name files, a folder, or - for standard input' });
  return files;
}

/** Names that end in a NUL; the last may lack it. */
async function listIn(file: string): Promise<string[]> {
  const pieces: Buffer[] = [];
  let octets = 0;
  for await (const piece of readPieces(file)) {
    octets += piece.length;
    if (octets > MAX_LIST) throw new SealpostError('usage', `--files-from0: more than ${MAX_LIST} octets`);
    pieces.push(piece);
  }
  const names = Buffer.concat(pieces).toString().split('\0');
  if (names.at(-1) === '') names.pop();
  if (names.includes('')) throw new SealpostError('usage', '--files-from0: a name is empty');
  return names;
}

/** A missing file is an error of its own when it is read. */
function isFolder(file: string): boolean {
  return !isStandardInput(file) && (statSync(file, { throwIfNoEntry: false })?.isDirectory() ?? false);
}

/** Regular files only: a link may lead out of the folder, and a FIFO would block. */
function filesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter((name) => !unfinished.test(name))
      .sort()
      .map((name) => join(folder, name))
      .filter((file) => lstatSync(file, { throwIfNoEntry: false })?.isFile());
  } catch (error) {
    const why = hasCode(error, 'EACCES') ? 'permission denied' : String(error);
    throw new SealpostError('file-access', `cannot read ${folder}: ${why}`, { cause: error });
  }
}
