/**
 * Files beside the data: the configuration and the files it names. Their names in the backup cannot lead out of the
 * folder they are restored to.
 */
import { X509Certificate } from 'node:crypto';
import { lstatSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { dirname, isAbsolute, join, relative, resolve, sep } from 'node:path';
import { type Config, configFiles } from '../config/index.ts';
import { hasCode, SealpostError } from '../errors.ts';
import { fileLimits, readRegularFile, syncFolder } from '../files.ts';
import { invalid } from './archive.ts';

export interface SavedFile {
  /** Name in the backup: below the folder of the configuration, or `outside/` and the path. */
  name: string;
  octets: Buffer;
  /** It may be secret: everything but the configuration, certificates, CRLs and profiles. */
  isPrivate: boolean;
}

const begins = /-----BEGIN ([A-Z0-9 ]+)-----/g;
const publicBlocks = new Set(['CERTIFICATE', 'X509 CRL', 'TRUSTED CERTIFICATE', 'PUBLIC KEY']);

/** A file is public only if it is known to be. */
function isPublic(octets: Buffer): boolean {
  const blocks = [...octets.toString('latin1').matchAll(begins)].map((match) => match[1] ?? '');
  if (blocks.length > 0) return blocks.every((each) => publicBlocks.has(each));
  try {
    return new X509Certificate(octets).raw.length === octets.length;
  } catch {
    return false;
  }
}

/** The files of a configuration that can be read, one after the other. */
export function* savedFiles(configFile: string, config: Config): Generator<SavedFile> {
  const base = dirname(resolve(configFile));
  const { configuration, named } = configFiles(configFile, config);
  for (const path of configuration) {
    const octets = tried(path);
    if (octets) yield { name: nameOf(base, path), octets, isPrivate: false };
  }
  for (const path of named) {
    const octets = tried(path);
    if (octets) yield { name: nameOf(base, path), octets, isPrivate: !isPublic(octets) };
  }
}

function tried(path: string): Buffer | undefined {
  try {
    return statSync(path).isFile() ? readRegularFile(path, fileLimits.certificates) : undefined;
  } catch (error) {
    if (error instanceof SealpostError || hasCode(error, 'ENOENT', 'EACCES', 'ENOTDIR')) return undefined;
    throw error;
  }
}

function nameOf(base: string, path: string): string {
  const inside = relative(base, path);
  const name = inside.startsWith('..') || isAbsolute(inside) ? join('outside', path) : inside;
  return name.split(sep).join('/');
}

/** The parts of a name in a backup. Errors: `backup-invalid` for one that leads out of the folder. */
export function partsOf(name: string): string[] {
  const parts = name.split('/');
  const isOdd = (part: string) => part === '' || part === '.' || part === '..' || /[\0\\]/.test(part);
  if (name.length > 1000 || parts.length > 40 || parts.some(isOdd))
    throw invalid(`the name ${JSON.stringify(name.slice(0, 100))} leads elsewhere`);
  return parts;
}

/** A new folder for the files of a backup, which only its owner can read. */
export class FilesFolder {
  readonly #folder: string;

  /** Errors: `restore-refused` if something is in it. */
  constructor(folder: string) {
    this.#folder = resolve(folder);
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    if (readdirSync(this.#folder).length > 0)
      throw new SealpostError('restore-refused', `${folder} is not empty`, {
        hint: 'name a new folder: files of a backup replace nothing',
      });
  }

  /** Creates a file in it. The folders on the way are created here too, so none of them is a link. */
  async create(name: string): Promise<FileHandle> {
    const parts = partsOf(name);
    let at = this.#folder;
    for (const part of parts.slice(0, -1)) {
      at = join(at, part);
      try {
        mkdirSync(at, { mode: 0o700 });
      } catch (error) {
        if (!hasCode(error, 'EEXIST') || !lstatSync(at).isDirectory())
          throw invalid(`the name ${JSON.stringify(name.slice(0, 100))} is a file and a folder`, error);
      }
    }
    try {
      return await open(join(at, parts.at(-1) ?? ''), 'wx', 0o600);
    } catch (error) {
      if (hasCode(error, 'EEXIST', 'EISDIR')) throw invalid('it has a file twice', error);
      throw new SealpostError('file-access', `cannot write into ${this.#folder}`, { cause: error });
    }
  }

  async sync(): Promise<void> {
    await syncFolder(this.#folder);
  }
}
