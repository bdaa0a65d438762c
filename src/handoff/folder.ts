import { randomBytes } from 'node:crypto';
import { closeSync, fsync, mkdirSync, openSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { hasCode } from '../errors.ts';
import { extensionFor, partFileName } from './names.ts';
import type { PartFacts } from './walk.ts';

export const syncFile = promisify(fsync);

/** Readable for the group, so that the operator's programs need not run as the same user; the umask applies. */
export const fileMode = 0o640;
export const folderMode = 0o750;

const prefix = '.sealpost-';
const staleAfter = 3_600_000;

/** A part of the message as a file: facts and the decoded octets. */
export interface PartFile extends PartFacts {
  octets: number;
  file: string;
}

/** The parts are written out when they say more than the body file does. */
export function showParts(parts: readonly PartFacts[]): boolean {
  return parts.length > 1 || parts.some((part) => part.originalFileName !== '');
}

export function partFile(facts: PartFacts, octets: number): PartFile {
  return { ...facts, octets, file: partFileName(facts.number, facts.contentType, facts.fileName) };
}

export function bodyFileName(part: PartFacts): string {
  return `body.${extensionFor(part.contentType, part.fileName)}`;
}

export function partsJson(parts: readonly PartFile[], body: number | undefined): string {
  return `${JSON.stringify({ body: body ?? null, parts }, undefined, 2)}\n`;
}

/**
 * Brings the entries of one folder to disk. Callers that come while a sync runs share the next one: under
 * load one fsync serves many messages.
 */
export class FolderSync {
  readonly #path: string;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  /** Resolves when everything that was renamed into the folder before the call is on disk. */
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

  #start(): Promise<void> {
    const running = syncFolder(this.#path).finally(() => {
      if (this.#running === running) this.#running = undefined;
    });
    this.#running = running;
    return running;
  }
}

/** Opened each time: the operator may have put another folder in its place. */
export async function syncFolder(path: string): Promise<void> {
  const fd = openSync(path, 'r');
  try {
    await syncFile(fd);
  } finally {
    closeSync(fd);
  }
}

/** A folder in the making: invisible to whoever lists the parent for names without a dot. */
export class TemporaryFolder {
  readonly path: string;
  readonly #final: string;

  constructor(parent: string, name: string) {
    this.path = join(parent, `${prefix}${randomBytes(9).toString('base64url')}`);
    this.#final = join(parent, name);
    mkdirSync(this.path, { mode: folderMode });
  }

  /**
   * Puts the folder, complete and synced by the caller, under its name. Another process may have been faster with the same message (a
   * job that lost its lock): then its folder stays, and this one goes.
   */
  async publish(sync: FolderSync): Promise<void> {
    try {
      renameSync(this.path, this.#final);
    } catch (error) {
      if (!hasCode(error, 'ENOTEMPTY', 'EEXIST')) throw error;
      this.remove();
    }
    await sync.sync();
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** Removes what a crash has left behind in the parent folder more than an hour before `now`. */
export function sweepTemporary(parent: string, now: number): void {
  for (const name of readdirSync(parent)) {
    if (!name.startsWith(prefix)) continue;
    const path = join(parent, name);
    const age = now - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? now);
    if (age > staleAfter) rmSync(path, { recursive: true, force: true });
  }
}
