/**
 * One file on its way: taken by a rename into a private folder, copied into the spool, and removed when the message is
 * durable. Its key is its name with a digest of its octets, so what a crash leaves behind is sent once. What cannot be
 * taken goes to the folder of failures, with the reason beside it.
 */
import { createHash, randomBytes } from 'node:crypto';
import type { BigIntStats } from 'node:fs';
import {
  constants,
  type FileHandle,
  lstat,
  mkdir,
  open,
  rename,
  rm,
  rmdir,
  unlink,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { consequenceOf, errorTable, hasCode, SealpostError, toErrorInfo } from '../errors.ts';
import type { Name, OpenFolder } from './open-folder.ts';

export interface DroppedFile {
  partner: string;
  /** Its name, without folders. */
  name: string;
  /** The path of the drop folder. */
  folder: string;
  octets: AsyncIterable<Buffer>;
  /** The idempotency key. It is known once the octets have been read. */
  key(): string;
}

/** How files get to partners. */
export interface DropDoor {
  /** Errors: those of `submit`, and what the octets threw. */
  submit(file: DroppedFile): Promise<{ id: string; duplicate: boolean }[]>;
}

/** A file that was taken: `PRIVATE/PARTNER/BOX/NAME`. */
export interface Taken {
  /** Name of the folder that it was in; '' for none. */
  partner: string;
  box: string;
  /** Its name as it is on disk. */
  raw: Name;
}

export interface FileParts {
  folder: string;
  door: DropDoor;
  /** Ours alone, on the same volume. */
  kept: OpenFolder;
  failed: OpenFolder;
  /** Octets of the largest file. */
  maxSize: number;
  now: () => number;
}

/** What became of a file. */
export type Fate =
  | { sent: string[]; duplicates: number; octets: number }
  | { refused: SealpostError; as: string }
  /** It stays in the private folder. */
  | { later: SealpostError }
  /** Somebody is writing it. */
  | { unsettled: true }
  | { gone: true };

/** A file that changed while it was being read. */
class Unsettled extends Error {}

/** Folders in the private folder and among the failures, for files that were in no partner's folder. */
const keptOf = (partner: string) => partner || '.none';
const failedOf = (partner: string) => partner || 'no-partner';

/** The folder name `keptOf` reversed. */
export function partnerOf(folder: string): string {
  return folder === '.none' ? '' : folder;
}

/** Errors that have nothing to do with the file: it is tried again, and so are all others. */
export function concernsAll({ code }: SealpostError): boolean {
  return (
    errorTable[code].class === 'store' ||
    consequenceOf(code) === 'wait' ||
    ['rate-limited', 'client-unknown', 'clients-changed'].includes(code)
  );
}

const pieceSize = 128 * 1024;
const longestName = 255;

/** The text of a name. Octets that are not UTF-8 are shown in percent encoding. */
export function textOf(raw: Name): string {
  if (typeof raw === 'string') return raw;
  return [...raw]
    .map((octet) =>
      octet > 0x20 && octet < 0x7f && octet !== 0x25
        ? String.fromCharCode(octet)
        : `%${octet.toString(16).toUpperCase().padStart(2, '0')}`,
    )
    .join('');
}

/** Takes a file out of a partner's folder; undefined if it is gone. Errors: those of the system. */
export async function take(
  from: OpenFolder,
  raw: Name,
  partner: string,
  kept: OpenFolder,
): Promise<Taken | undefined> {
  const box = randomBytes(8).toString('hex');
  const folder = String(kept.at(join(keptOf(partner), box)));
  await mkdir(folder, { mode: 0o700 }).catch(async (error: unknown) => {
    if (!hasCode(error, 'ENOENT')) throw error;
    await mkdir(folder, { recursive: true, mode: 0o700 });
  });
  try {
    await rename(from.at(raw), pathOf(kept, { partner, box, raw }));
  } catch (error) {
    await rmdir(folder);
    if (hasCode(error, 'ENOENT')) return undefined;
    throw error;
  }
  return { partner, box, raw };
}

function pathOf(kept: OpenFolder, { partner, box, raw }: Taken): string | Buffer {
  const folder = join(keptOf(partner), box);
  return kept.at(
    typeof raw === 'string' ? join(folder, raw) : Buffer.concat([Buffer.from(`${folder}/`), raw]),
  );
}

/** Sends a file that was taken. */
export async function send(taken: Taken, parts: FileParts): Promise<Fate> {
  let handle: FileHandle | undefined;
  try {
    const path = pathOf(parts.kept, taken);
    // Checked before it is opened: nobody else can exchange it here, and opening a device may have effects.
    refuseOdd(await lstat(path, { bigint: true }));
    const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
    handle = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    const before = await handle.stat({ bigint: true });
    refuseOdd(before);
    const name = nameOf(taken.raw);
    if (before.size === 0n) throw new SealpostError('message-empty', 'the file is empty');
    if (before.size > BigInt(parts.maxSize))
      throw new SealpostError('message-too-large', `the file is larger than ${parts.maxSize} octets`);
    const hash = createHash('sha256').update(name).update('\0');
    const file = handle;
    let key: string | undefined;
    const messages = await parts.door.submit({
      ...{ partner: taken.partner, name, folder: parts.folder },
      octets: octetsOf(file, before, (piece) => hash.update(piece)),
      key() {
        key ??= `file:${hash.digest('hex').slice(0, 40)}`;
        return key;
      },
    });
    const ids = messages.map(({ id }) => id);
    // What was written after the last octet was read is not in the message.
    if (hasChanged(before, await file.stat({ bigint: true })))
      return await refuse(taken, parts, changedAfter(ids));
    await remove(taken, parts.kept);
    const duplicates = messages.filter(({ duplicate }) => duplicate).length;
    return { sent: ids, duplicates, octets: Number(before.size) };
  } catch (error) {
    return await fateOf(error, taken, parts);
  } finally {
    await handle?.close();
  }
}

async function fateOf(error: unknown, taken: Taken, parts: FileParts): Promise<Fate> {
  if (error instanceof Unsettled) return { unsettled: true };
  if (hasCode(error, 'ENOENT')) return { gone: true };
  if (error instanceof SealpostError) {
    return concernsAll(error) ? { later: error } : await refuse(taken, parts, error);
  }
  if (hasCode(error, 'EACCES', 'EPERM', 'ELOOP', 'ENXIO', 'ENODEV'))
    return await refuse(
      taken,
      parts,
      new SealpostError('file-access', 'the file cannot be read', {
        hint: 'let the user that runs Sealpost read the files that are put here',
        cause: error,
      }),
    );
  const { message } = toErrorInfo(error);
  return { later: new SealpostError('file-access', `a file cannot be taken: ${message}`, { cause: error }) };
}

function refuseOdd(found: BigIntStats): void {
  if (!found.isFile())
    throw new SealpostError('file-access', 'it is not a regular file', {
      hint: 'put the file itself here: links, FIFOs, devices and folders are not taken',
    });
  if (found.nlink > 1n)
    throw new SealpostError('file-access', 'the file has another name (a hard link)', {
      hint: 'put a copy here, which nobody can write to under another name',
    });
}

function nameOf(raw: Name): string {
  const text = typeof raw === 'string' ? raw : '';
  if (text !== '' && !/\p{Cc}/u.test(text)) return text;
  throw new SealpostError(
    'request-invalid',
    'the file name is not text in UTF-8, or has control characters',
    {
      hint: 'give the file another name',
    },
  );
}

const hasChanged = (a: BigIntStats, b: BigIntStats) =>
  a.size !== b.size || a.mtimeNs !== b.mtimeNs || a.ctimeNs !== b.ctimeNs || a.ino !== b.ino;

/**
 * The octets of a file, provided that nobody writes to it in the meantime. Otherwise it throws `Unsettled` at the end.
 */
async function* octetsOf(
  file: FileHandle,
  before: BigIntStats,
  see: (piece: Buffer) => void,
): AsyncGenerator<Buffer> {
  const size = Number(before.size);
  let octets = 0;
  while (octets < size) {
    const piece = Buffer.allocUnsafe(Math.min(pieceSize, size - octets));
    const { bytesRead } = await file.read(piece, 0, piece.length, octets);
    if (bytesRead === 0) throw new Unsettled('it was cut');
    octets += bytesRead;
    const read = piece.subarray(0, bytesRead);
    see(read);
    yield read;
  }
  // If something was appended, the size has changed.
  if (hasChanged(before, await file.stat({ bigint: true }))) throw new Unsettled('it changed');
}

function changedAfter(ids: readonly string[]): SealpostError {
  return new SealpostError('request-invalid', `the file was changed after it was sent as ${ids.join(' ')}`, {
    hint: 'write a file elsewhere or with a dot before its name, and rename it when it is complete',
  });
}

async function remove(taken: Taken, kept: OpenFolder): Promise<void> {
  await unlink(pathOf(kept, taken));
  await rmdir(String(kept.at(join(keptOf(taken.partner), taken.box))));
}

/** Moves a file to the failures, with the reason beside it. */
async function refuse(taken: Taken, parts: FileParts, error: SealpostError): Promise<Fate> {
  const { kept, failed, now } = parts;
  const folder = await failed.sub(failedOf(taken.partner), 0o750);
  try {
    const as = await freeName(folder, textOf(taken.raw), taken.box);
    const { code, message, hint } = error;
    const reason = { code, message, hint, file: textOf(taken.raw), partner: taken.partner };
    const at = new Date(now()).toISOString();
    const report = folder.at(reportOf(as));
    // A program that waits for the reason must not find half of it.
    const draft = folder.at(`.${taken.box}.${randomBytes(4).toString('hex')}.tmp`);
    await writeFile(draft, `${JSON.stringify({ ...reason, at }, null, 2)}\n`, { flag: 'wx', mode: 0o640 });
    try {
      await rename(draft, report);
      await rename(pathOf(kept, taken), folder.at(as));
    } catch (cause) {
      for (const each of [draft, report]) await rm(each, { force: true });
      throw cause;
    }
    await rmdir(String(kept.at(join(keptOf(taken.partner), taken.box))));
    return { refused: error, as };
  } finally {
    await folder.close();
  }
}

const suffix = '.error.json';
const reportOf = (name: string) => fitted(name, suffix);

/** A name that is not taken, also with the reason beside it. */
async function freeName(folder: OpenFolder, name: string, box: string): Promise<string> {
  for (const each of [fitted(name, ''), fitted(name, `.${box}`)])
    if (!(await isThere(folder, each)) && !(await isThere(folder, reportOf(each)))) return each;
  return `${box}.${randomBytes(4).toString('hex')}`;
}

/** The name with an ending, cut if it would be too long for a file system. */
function fitted(name: string, ending: string): string {
  let stem = name;
  while (Buffer.byteLength(stem + ending) > longestName) stem = [...stem].slice(0, -1).join('');
  return stem + ending;
}

async function isThere(folder: OpenFolder, name: string): Promise<boolean> {
  try {
    await lstat(folder.at(name));
    return true;
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return false;
    throw error;
  }
}
