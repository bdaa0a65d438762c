/**
 * The file system of a folder: is it a local disk, and does it answer? A network file system may hang for hours. Every
 * pending call then blocks its thread, and a synchronous one blocks the whole process. So it is probed first, with one
 * call at a time and a deadline. Only local disks are written to synchronously. Anything else is written by a few
 * messages at a time, with threads of their own (`threadsFor`).
 */
import { createHash, randomBytes } from 'node:crypto';
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { hasCode } from './errors.ts';
import { draftOwner, isDeadOwner, isLocalDisk, makeFolder, syncFolder } from './files.ts';

/** Milliseconds that a file system has to answer. */
const patience = 5000;

/** What a draft's name begins with: the dot hides it from programs that list the folder. */
const draftPrefix = '.sealpost-';
/** Milliseconds after which a draft of a process that nobody can ask for is left over. */
const staleAfter = 3_600_000;

/** Messages written at a time to a disk that is not local. */
const atATime = 4;

/** The error of a file system that does not answer, with a `code` like system errors have. */
export function noAnswer(): Error {
  return Object.assign(new Error('the file system does not answer'), { code: 'ETIMEDOUT' });
}

/** The result of the work, or `noAnswer` if it takes too long; the work itself continues. */
export async function withDeadline<T>(work: Promise<T>, ms = patience): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(noAnswer()), ms);
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

export class Volume {
  readonly #path: string;
  /** The pending probe, which any number of callers share; `late` once one of them has given up. */
  #asked: { answer: Promise<boolean>; late: boolean } | undefined;
  #free = atATime;
  readonly #waiting: (() => void)[] = [];
  #prepared: Promise<void> | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  /**
   * Creates the folder, and removes what dead processes were writing: once. A folder that disappears later may be an
   * unmounted volume, so it is not created again. System errors.
   */
  async prepare(now: number): Promise<void> {
    this.#prepared ??= (async () => {
      await makeFolder(this.#path);
      await sweepDrafts(this.#path, now);
    })();
    const running = this.#prepared;
    try {
      await running;
    } catch (error) {
      if (this.#prepared === running) this.#prepared = undefined;
      throw error;
    }
  }

  /**
   * True for a local disk. A missing folder is an answer too: false. Throws a system error, ETIMEDOUT if there is no
   * answer in time; immediately if an earlier probe is still unanswered.
   */
  async isLocal(): Promise<boolean> {
    this.#asked ??= { answer: this.#ask(), late: false };
    const asked = this.#asked;
    if (asked.late) throw noAnswer();
    try {
      return await withDeadline(asked.answer);
    } catch (error) {
      if (this.#asked === asked) asked.late = true;
      throw error;
    }
  }

  async #ask(): Promise<boolean> {
    try {
      return await isLocalDisk(this.#path);
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return false;
      throw error;
    } finally {
      this.#asked = undefined;
    }
  }

  /** Runs work that may be slow: a few at a time, in order. The signal ends the wait, not the work. */
  async run<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free -= 1;
    else await this.#turn(signal);
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free += 1;
    }
  }

  async #turn(signal: AbortSignal): Promise<void> {
    const turn = Promise.withResolvers<void>();
    const abort = () => {
      const at = this.#waiting.indexOf(turn.resolve);
      if (at < 0) return;
      this.#waiting.splice(at, 1);
      turn.reject(signal.reason);
    };
    signal.throwIfAborted();
    this.#waiting.push(turn.resolve);
    signal.addEventListener('abort', abort, { once: true });
    try {
      await turn.promise;
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }
}

/**
 * Syncs the entries of one folder to disk. Callers that arrive while a sync runs share the next one, so under load one
 * fsync serves many messages.
 */
export class FolderSync {
  readonly #path: string;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  /** Resolves when everything renamed into the folder before the call is on disk. */
  sync(): Promise<void> {
    if (this.#running === undefined) return this.#start();
    this.#next ??= this.#running
      .catch(() => {})
      .then(() => {
        this.#next = undefined;
        return this.#start();
      });
    return this.#next;
  }

  /** Opened each time, because the operator may have replaced the folder. */
  #start(): Promise<void> {
    const running = syncFolder(this.#path).finally(() => {
      if (this.#running === running) this.#running = undefined;
    });
    this.#running = running;
    return running;
  }
}

/** Where a file or folder is written that will be renamed to its name in the same folder. */
export function draftPath(folder: string): string {
  return join(folder, `${draftPrefix}${randomBytes(9).toString('base64url')}.${draftOwner}`);
}

/**
 * Removes what a crash left behind in a folder. Drafts of ended processes on this machine go at once, others when they
 * are more than an hour older than `now`.
 */
async function sweepDrafts(folder: string, now: number): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!name.startsWith(draftPrefix)) continue;
    const path = join(folder, name);
    const modified = (await stat(path).catch(() => undefined))?.mtimeMs ?? now;
    if (isDeadOwner(name.slice(name.indexOf('.', 1) + 1)) || now - modified > staleAfter)
      await rm(path, { recursive: true, force: true });
  }
}

/** Why a folder cannot be written into, for the operator; by the code of a system error, never its text. */
export function unwritable(folder: string, error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
  const why = hasCode(error, 'ENOSPC', 'EDQUOT')
    ? `no space is left (${code})`
    : hasCode(error, 'ETIMEDOUT')
      ? `its file system does not answer (${code})`
      : `it fails with ${code}`;
  return `cannot write into the folder ${folder}: ${why}`;
}

/** Name of a message's folder: sorts by time of receipt, and is the same for every attempt. */
export function folderName(receivedAt: number, id: string): string {
  return `${folderTime(receivedAt)}-${safeId(id)}`;
}

/** Time of receipt without punctuation. */
export function folderTime(receivedAt: number): string {
  return new Date(receivedAt).toISOString().replace(/[-:.]/g, '');
}

/** An id as it may stand in a name; a digest of one that is longer, or has other characters. */
export function safeId(id: string): string {
  const plain = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$/.test(id);
  return plain ? id : createHash('sha256').update(id).digest('hex').slice(0, 32);
}
