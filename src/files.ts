/**
 * Files that outlive a loss of power and the process that writes them. A name is on disk only when the folder that has
 * it was synced. The name of a draft says whose it is. And files that somebody names, read with care.
 */
import { createHash } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  openSync,
  readFileSync,
  readlinkSync,
  readSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  writeFileSync,
} from 'node:fs';
import { mkdir, open, stat, statfs } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { hasCode, SealpostError, toErrorInfo } from './errors.ts';

/** Syncs the names in a folder to disk. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Writes a new file, on disk when this resolves; its name is on disk when the folder was synced. */
export async function writeNewFile(
  path: string,
  pieces: AsyncIterable<Buffer> | Iterable<Buffer>,
  { mode, signal }: { mode: number; signal: AbortSignal },
): Promise<{ octets: number; sha256: string }> {
  const handle = await open(path, 'wx', mode);
  const hash = createHash('sha256');
  let octets = 0;
  try {
    for await (const piece of pieces) {
      signal.throwIfAborted();
      await handle.writeFile(piece);
      hash.update(piece);
      octets += piece.length;
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
  return { octets, sha256: hash.digest('hex') };
}

/** Types of local file systems on Linux, as statfs(2) gives them; anything else may hang. */
const local: ReadonlySet<number> = new Set([
  0xef53, // ext2, ext3, ext4
  0x58465342, // XFS
  0x9123683e, // btrfs
  0xf2f52010, // F2FS
  0x2fc12fc1, // ZFS
  0x01021994, // tmpfs
  0x794c7630, // overlayfs: layers of a container, on a disk of the machine
  0xca451a4e, // bcachefs
]);

/**
 * True for a folder on a local disk, which may be written to synchronously. A call to a network volume may hang, and so
 * may this one, which does so in a thread. System errors.
 */
export async function isLocalDisk(folder: string): Promise<boolean> {
  return local.has((await statfs(folder)).type);
}

/** Creates a folder and its missing parents. All new names are on disk when this resolves. */
export async function makeFolder(folder: string, mode = 0o777): Promise<void> {
  for (const made of await makeMissing(resolve(folder), mode)) {
    try {
      await syncFolder(dirname(made));
    } catch (error) {
      // A folder that is writable but not readable cannot be opened for a sync.
      if (!hasCode(error, 'EACCES', 'EPERM')) throw error;
    }
  }
}

/** As `makeFolder`, for `dataDir` and what is in it: an error of the operator, `file-access`. */
export async function makeDataFolder(folder: string, mode?: number): Promise<void> {
  try {
    await makeFolder(folder, mode);
  } catch (cause) {
    throw new SealpostError('file-access', `the data folder cannot be made: ${toErrorInfo(cause).message}`, {
      hint: 'set dataDir to a folder that the user of the daemon may write',
      cause,
    });
  }
}

/**
 * Folder by folder instead of `mkdir` with `recursive`: in /proc, where a folder exists but nothing can be created,
 * that loops for ever in a thread that no signal reaches.
 */
async function makeMissing(folder: string, mode: number): Promise<string[]> {
  const missing: string[] = [];
  let at = folder;
  while (!(await isThere(at))) {
    missing.push(at);
    at = dirname(at);
  }
  // Throws if it is not a folder.
  if (missing.length === 0 && !(await stat(folder)).isDirectory()) await mkdir(folder, { mode });
  for (const each of missing.toReversed()) {
    try {
      await mkdir(each, { mode });
    } catch (error) {
      // Another process has created it meanwhile.
      if (!hasCode(error, 'EEXIST')) throw error;
    }
  }
  return missing;
}

/** Whether there is anything at a path. Errors: those of the system. */
export async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return false;
    throw error;
  }
}

/** Start of a process in clock ticks since the boot (proc(5), field 22); undefined if it is gone or a zombie. */
function startOf(pid: number | 'self'): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name, in parentheses, may itself contain blanks and parentheses.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

function findMachine(): string | undefined {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
    const namespace = readlinkSync('/proc/self/ns/pid');
    return createHash('sha256').update(`${boot}\n${namespace}`).digest('hex').slice(0, 16);
  } catch {
    return undefined;
  }
}

// Both are read once: neither changes while the process lives.
const machine = findMachine();

/**
 * This process, as part of the names of its drafts, so that a process that starts later can tell those of dead
 * processes from those that others write right now, also on a volume that several machines share.
 * `<machine>-<pid>-<start>`: the machine is identified by its boot and the namespace of the process id (two containers
 * share a kernel, and both have a process 1). The start distinguishes a process from a later one with the same id.
 * Without /proc (not Linux) nobody can tell, so its drafts are removed by age.
 */
export const draftOwner = `${machine ?? 'unknown'}-${process.pid}-${startOf('self') ?? 0}`;

/** Whether a process of this machine runs: also one of another user, of whom the system says EPERM. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return hasCode(error, 'EPERM');
  }
}

/** True if the process has certainly ended; false for processes of other machines and for an invalid owner. */
export function isDeadOwner(owner: string): boolean {
  const [, where, pid, start] = /^([0-9a-f]{16})-(\d{1,10})-(\d{1,20})$/.exec(owner) ?? [];
  return where !== undefined && where === machine && startOf(Number(pid)) !== start;
}

/** Removes a draft after a failure, which is what counts. Also where there is no such folder, unlike `force`. */
export function removeDraft(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // nothing was made
  }
}

/**
 * Replaces a file as a whole: a reader sees the old text or the new one. Its mode stays. It is on disk when this
 * returns. System errors.
 */
export function replaceFile(path: string, text: string): void {
  const draft = join(dirname(path), `.${basename(path)}.${draftOwner}`);
  const { mode } = statSync(path);
  try {
    writeFileSync(draft, text, { mode: mode & 0o777, flush: true });
    renameSync(draft, path);
  } catch (error) {
    removeDraft(draft);
    throw error;
  }
  const folder = openSync(dirname(path), 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

/**
 * Size limits in octets: certificates and bundles, keys and secrets, the configuration itself, the file of a partner.
 */
export const fileLimits = {
  certificates: 16 * 1024 * 1024,
  secret: 1024 * 1024,
  config: 4 * 1024 * 1024,
  partner: 256 * 1024,
};

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

/** Files are read through it, one at a time: with a piece of memory for each, 40,000 small ones cost ten seconds. */
const scratch = Buffer.alloc(64 * 1024);

/**
 * Reads a file that a setting names: a regular file, or a link to one. Anything else could block the process or fill
 * its memory.
 *
 * @param accept checks the opened file, so that it cannot be swapped between check and read
 * @throws {SealpostError} `file-access`, and whatever `accept` throws
 */
export function readRegularFile(path: string, limit: number, accept?: (found: Stats) => void): Buffer {
  let handle: number | undefined;
  let used = 0;
  try {
    refuseOdd(path, statSync(path), limit);
    handle = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const found = fstatSync(handle);
    refuseOdd(path, found, limit);
    accept?.(found);
    // files in /proc have no size, and any file may grow
    const pieces: Buffer[] = [];
    for (let octets = 0; ; ) {
      const length = readSync(handle, scratch);
      if (length === 0) return pieces.length === 1 && pieces[0] ? pieces[0] : Buffer.concat(pieces);
      used = Math.max(used, length);
      octets += length;
      if (octets > limit) throw tooLarge(path, limit);
      pieces.push(Buffer.from(scratch.subarray(0, length)));
    }
  } catch (error) {
    if (error instanceof SealpostError) throw error;
    if (hasCode(error, 'ENXIO')) throw new SealpostError('file-access', `${path}: is not a regular file`);
    throw unreadable(path, error);
  } finally {
    // it may have been a secret
    scratch.fill(0, 0, used);
    if (handle !== undefined) closeSync(handle);
  }
}
