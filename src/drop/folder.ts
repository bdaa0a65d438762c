/**
 * A drop folder. One process in the installation works on it, which a lease in Redis decides. It looks at the folder
 * when the kernel says that something happened, and at intervals; it takes what stood still, a few files at a time,
 * oldest first. What an earlier process had taken is continued first.
 */

import { isUtf8 } from 'node:buffer';
import { type FSWatcher, watch } from 'node:fs';
import { lstat, readdir, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { hasCode, SealpostError, toErrorInfo } from '../errors.ts';
import { isLocalDisk } from '../files.ts';
import { type Log, logRarely } from '../log.ts';
import { counter } from '../metrics.ts';
import { concernsAll, type DropDoor, type Fate, partnerOf, send, type Taken, take, textOf } from './file.ts';
import { type Name, OpenFolder } from './open-folder.ts';
import { Settling, type Stand } from './settling.ts';

export interface DropFolderConfig {
  path: string;
  client: string;
  settle: number;
  /** Default: `failed` in the folder. */
  failed?: string | undefined;
  watch: boolean;
  scan: number;
  maxSize: number;
}

export interface DropFolderParts {
  config: DropFolderConfig;
  door: DropDoor;
  /**
   * Names of the partners that have a folder, which is made if it is missing. While it throws, such as for a client
   * that does not exist, nothing is taken.
   */
  partners(): readonly string[];
  /** Takes or keeps the lease of the folder for that many milliseconds; false while another process has it. */
  hold(ms: number): Promise<boolean>;
  release(): Promise<void>;
  log: Log;
  /** Milliseconds since the epoch. */
  now: () => number;
}

const files = counter(
  'folder_files_total',
  'Files that were put into a drop folder, by what became of them.',
  ['result'],
);

/** The private folder; no partner has a name that begins with a dot. */
const keptName = '.sealpost';
const failedName = 'failed';
/** Files that are sent at a time. */
const atATime = 16;
/** Files whose state is asked for at a time. */
const looksAtATime = 16;
/** How many files of one folder one scan looks at. The others follow when these are done. */
const mostFiles = 20_000;
const leaseFor = 30_000;
const leaseEvery = 10_000;
/** The shortest time between two scans in milliseconds, however much happens. */
const shortestPause = 200;
const pauses = { first: 500, most: 30_000 };
/** Milliseconds until a file that could not be read or moved is tried again. */
const oddPause = 30_000;

interface Work {
  partner: string;
  raw: Name;
  /** Set once it was taken. */
  taken?: Taken;
}

/** Not yet meant for us, or never: a writer renames it when it is complete. */
const isLeftAlone = (name: string) => /^\.|\.(?:tmp|part)$/i.test(name);

export class DropFolder {
  readonly #parts: DropFolderParts;
  readonly #settling: Settling;
  readonly #watchers = new Map<string, FSWatcher>();
  /** What is to be sent, by a key of partner and name. The files in flight are included. */
  readonly #known = new Set<string>();
  #waiting: Work[] = [];
  #inFlight = 0;
  #pausedUntil = 0;
  #pause = pauses.first;
  #holding = false;
  #leaseTimer: NodeJS.Timeout | undefined;
  #pumpTimer: NodeJS.Timeout | undefined;
  #recovered = false;
  #scanning: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #again = false;
  #stopped = false;
  #idle: (() => void) | undefined;
  #trouble: { since: number; why: string } | undefined;
  /** The folders that the files in flight need. */
  #opened: Map<string, Promise<OpenFolder>> = new Map();
  readonly #toldOf = new Set<string>();
  #canWatch: boolean;

  constructor(parts: DropFolderParts) {
    this.#parts = parts;
    this.#settling = new Settling(parts.config.settle);
    this.#canWatch = parts.config.watch;
  }

  start(): void {
    this.#scanIn(0);
    this.#leaseTimer = setInterval(() => {
      if (this.#holding) void this.#hold();
    }, leaseEvery).unref();
  }

  /** What is failing now, for `sealpost health`. */
  get trouble(): { since: number; why: string } | undefined {
    return this.#trouble;
  }

  /** Takes no more files, and waits for those in flight, for at most that many milliseconds. */
  async stop(timeout: number): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#pumpTimer);
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
    await this.#scanning;
    if (this.#inFlight > 0)
      await Promise.race([
        new Promise<void>((resolve) => {
          this.#idle = resolve;
        }),
        new Promise((resolve) => setTimeout(resolve, timeout).unref()),
      ]);
    clearInterval(this.#leaseTimer);
    if (this.#holding && this.#inFlight === 0) await this.#parts.release().catch(() => undefined);
  }

  #scanIn(ms: number): void {
    if (this.#stopped) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(
      () => {
        this.#scanning = this.#scan().finally(() => {
          this.#scanning = undefined;
        });
      },
      Math.min(ms, 2 ** 31 - 1),
    );
  }

  /** Something happened in the folder. */
  #stir(): void {
    if (this.#scanning !== undefined) this.#again = true;
    else this.#scanIn(shortestPause);
  }

  async #scan(): Promise<void> {
    const { config, log } = this.#parts;
    let next = config.scan;
    this.#again = false;
    try {
      if (await this.#isOurs()) {
        next = Math.min(next, await this.#look());
        this.#trouble = undefined;
      } else next = Math.min(next, leaseEvery);
    } catch (error) {
      const { message } = toErrorInfo(error);
      this.#trouble ??= { since: this.#parts.now(), why: message };
      this.#trouble.why = message;
      logRarely(
        log,
        'error',
        `folder ${config.path}`,
        {
          err: error,
          folder: config.path,
          ...(error instanceof SealpostError && error.hint !== undefined && { hint: error.hint }),
        },
        'a folder is not read',
      );
    }
    this.#scanIn(this.#again ? shortestPause : Math.max(next, shortestPause));
  }

  async #isOurs(): Promise<boolean> {
    if (!this.#holding) await this.#hold();
    return this.#holding;
  }

  /**
   * A process that does not get the lease stops. A file that two processes take up has one key, and becomes one
   * message.
   */
  async #hold(): Promise<void> {
    this.#holding = await this.#parts.hold(leaseFor).catch(() => false);
    if (!this.#holding) this.#recovered = false;
  }

  /** Looks at all files. Returns the milliseconds until the next scan is worthwhile. */
  async #look(): Promise<number> {
    const { config } = this.#parts;
    const opened: OpenFolder[] = [];
    try {
      const top = await OpenFolder.open(config.path);
      opened.push(top);
      await this.#chooseWatching();
      if (!this.#recovered) await this.#recover(top);
      const names = this.#parts.partners();
      const folders = new Map([['', top]]);
      let trouble: unknown;
      for (const name of [...names, ...(await strangersIn(top, names, config.failed === undefined))])
        try {
          const folder = await top.sub(name, names.includes(name) ? 0o770 : undefined);
          opened.push(folder);
          folders.set(name, folder);
        } catch (error) {
          // The other folders are read all the same.
          trouble ??= error;
        }
      const stands = new Map<string, Stand>();
      const found = new Map<string, Work & { mtimeMs: number }>();
      for (const [partner, folder] of folders) await this.#lookInto(folder, partner, stands, found);
      const { still, next } = this.#settling.look(stands, performance.now());
      const works = still.flatMap((key) => found.get(key) ?? []);
      works.sort((a, b) => a.mtimeMs - b.mtimeMs || (textOf(a.raw) < textOf(b.raw) ? -1 : 1));
      for (const { partner, raw } of works) this.#add({ partner, raw });
      for (const [partner, folder] of folders) this.#watch(folder, partner);
      this.#pump();
      if (trouble !== undefined) throw trouble;
      return next;
    } finally {
      for (const folder of opened) await folder.close();
    }
  }

  async #lookInto(
    folder: OpenFolder,
    partner: string,
    stands: Map<string, Stand>,
    found: Map<string, Work & { mtimeMs: number }>,
  ): Promise<void> {
    const names = await readdir(folder.at(), { encoding: 'buffer' });
    const own = partner === '' ? [failedName, ...this.#parts.partners()] : [];
    const raws = names
      .map((name): Name => (isUtf8(name) ? name.toString() : name))
      .filter((raw) => !isLeftAlone(textOf(raw)) && !own.includes(textOf(raw)))
      .filter((raw) => !this.#known.has(keyOf(partner, raw)))
      .slice(0, mostFiles);
    for (let at = 0; at < raws.length; at += looksAtATime)
      await Promise.all(
        raws.slice(at, at + looksAtATime).map(async (raw) => {
          const stand = await unlessGone(lstat(folder.at(raw)));
          if (stand === undefined || stand.isDirectory()) return;
          const { size, mtimeMs, ino } = stand;
          stands.set(keyOf(partner, raw), { size, mtimeMs, ino });
          found.set(keyOf(partner, raw), { partner, raw, mtimeMs });
        }),
      );
  }

  /** What an earlier process had taken. */
  async #recover(top: OpenFolder): Promise<void> {
    const kept = await this.#kept(top);
    try {
      for (const partner of await readdir(kept.at())) {
        // The previous holder of the lease may still be at work here, and so may this process.
        const boxes = await unlessGone(readdir(kept.at(partner)));
        for (const box of boxes ?? []) {
          const path = kept.at(join(partner, box));
          const names = await unlessGone(readdir(path, { encoding: 'buffer' }));
          if (names === undefined) continue;
          for (const name of names) {
            const raw = isUtf8(name) ? name.toString() : name;
            const taken = { partner: partnerOf(partner), box, raw };
            this.#add({ partner: taken.partner, raw, taken });
          }
          if (names.length === 0) await unlessGone(rmdir(path));
        }
      }
      this.#recovered = true;
    } finally {
      await kept.close();
    }
  }

  async #kept(top: OpenFolder): Promise<OpenFolder> {
    const kept = await top.sub(keptName, 0o700);
    const { uid, mode } = kept.owner;
    if (uid === process.geteuid?.() && (mode & 0o077) === 0) return kept;
    await kept.close();
    throw new SealpostError('file-mode', `${kept.path}: belongs to another user, or others may use it`, {
      hint: 'remove it, if it is empty; Sealpost makes it anew',
    });
  }

  async #failed(top: OpenFolder): Promise<OpenFolder> {
    const { failed } = this.#parts.config;
    return failed === undefined ? await top.sub(failedName, 0o750) : await OpenFolder.open(failed);
  }

  #add(work: Work): void {
    const key = work.taken ? `${work.taken.box}\0` : keyOf(work.partner, work.raw);
    if (this.#known.has(key)) return;
    this.#known.add(key);
    this.#waiting.push(work);
  }

  #pump(): void {
    const wait = this.#pausedUntil - performance.now();
    if (wait > 0) {
      clearTimeout(this.#pumpTimer);
      this.#pumpTimer = setTimeout(() => this.#pump(), wait).unref();
      return;
    }
    while (!this.#stopped && this.#holding && this.#inFlight < atATime) {
      const work = this.#waiting.shift();
      if (work === undefined) break;
      this.#inFlight += 1;
      void this.#work(work).finally(() => {
        this.#inFlight -= 1;
        if (this.#inFlight === 0) this.#idle?.();
        this.#pump();
        if (this.#inFlight === 0) this.#closeAll();
      });
    }
  }

  async #work(work: Work): Promise<void> {
    const { config, door, now, log } = this.#parts;
    try {
      const top = await this.#open('', () => OpenFolder.open(config.path));
      const kept = await this.#open(keptName, () => this.#kept(top));
      const failed = await this.#open(failedName, () => this.#failed(top));
      if (work.taken === undefined) {
        const { partner, raw } = work;
        const from = partner === '' ? top : await this.#open(`/${partner}`, () => top.sub(partner));
        const taken = await take(from, raw, partner, kept);
        this.#known.delete(keyOf(partner, raw));
        if (taken === undefined) return;
        work.taken = taken;
        this.#known.add(`${taken.box}\0`);
      }
      const parts = { folder: config.path, door, kept, failed, maxSize: config.maxSize, now };
      this.#note(work, await send(work.taken, parts));
    } catch (error) {
      const later =
        error instanceof SealpostError
          ? error
          : new SealpostError('file-access', toErrorInfo(error).message, { cause: error });
      const facts = { err: error, folder: config.path };
      logRarely(log, 'error', `file of ${config.path}`, facts, 'a file is not taken');
      this.#trouble ??= { since: now(), why: later.message };
      this.#note(work, { later });
    }
  }

  /** A folder that stays open while files are in flight. It is opened anew after that, or after a failure. */
  async #open(name: string, open: () => Promise<OpenFolder>): Promise<OpenFolder> {
    const known = this.#opened.get(name);
    if (known) return await known;
    const opening = open();
    this.#opened.set(name, opening);
    opening.catch(() => this.#opened.delete(name));
    return await opening;
  }

  #closeAll(): void {
    const opened = [...this.#opened.values()];
    this.#opened = new Map();
    for (const each of opened) each.then((folder) => folder.close()).catch(() => undefined);
  }

  #done(work: Work): void {
    this.#known.delete(work.taken ? `${work.taken.box}\0` : keyOf(work.partner, work.raw));
  }

  #note(work: Work, fate: Fate): void {
    const { config, log, now } = this.#parts;
    const at = { folder: config.path, partner: work.partner };
    if ('later' in fate) {
      files.inc({ result: 'later' });
      if (!concernsAll(fate.later)) {
        this.#addIn(oddPause, work);
        return;
      }
      this.#waiting.unshift(work);
      this.#pausedUntil = performance.now() + this.#pause;
      this.#pause = Math.min(this.#pause * 2, pauses.most);
      this.#trouble ??= { since: now(), why: fate.later.message };
      return;
    }
    if ('unsettled' in fate) {
      files.inc({ result: 'unsettled' });
      this.#addIn(config.settle, work);
      return;
    }
    this.#done(work);
    this.#pause = pauses.first;
    if ('gone' in fate) return;
    if ('refused' in fate) {
      const { code, message, hint } = fate.refused;
      files.inc({ result: 'refused' });
      log.warn({ ...at, file: fate.as, code, why: message, hint }, 'a file is refused');
      return;
    }
    files.inc({ result: 'sent' });
    log.info({ ...at, ids: fate.sent, duplicates: fate.duplicates, octets: fate.octets }, 'message accepted');
  }

  #addIn(ms: number, work: Work): void {
    setTimeout(() => {
      this.#waiting.push(work);
      this.#pump();
    }, ms).unref();
  }

  /** On a network volume, the kernel does not report what other machines write, so only the scans count. */
  async #chooseWatching(): Promise<void> {
    if (this.#canWatch && this.#watchers.size === 0)
      this.#canWatch = await isLocalDisk(this.#parts.config.path);
  }

  #watch(folder: OpenFolder, partner: string): void {
    if (!this.#canWatch || this.#stopped || this.#watchers.has(partner)) return;
    const { log } = this.#parts;
    try {
      const watcher = watch(folder.path, { persistent: false }, () => this.#stir());
      const end = () => {
        watcher.close();
        this.#watchers.delete(partner);
      };
      watcher.on('error', end);
      watcher.on('close', end);
      this.#watchers.set(partner, watcher);
    } catch (err) {
      // Without a watch (fs.inotify.max_user_watches), the scans still find everything, only later.
      if (!this.#toldOf.has(partner)) log.warn({ err, folder: folder.path }, 'a folder cannot be watched');
      this.#toldOf.add(partner);
    }
  }
}

/** Folders that belong to no partner: files in them fail. */
async function strangersIn(top: OpenFolder, partners: readonly string[], failed: boolean): Promise<string[]> {
  const found = await readdir(top.at(), { withFileTypes: true });
  return found
    .filter((each) => each.isDirectory() && !isLeftAlone(each.name))
    .map(({ name }) => name)
    .filter((name) => !partners.includes(name) && !(failed && name === failedName));
}

const keyOf = (partner: string, raw: Name) => `${partner}/${textOf(raw)}`;

/** Undefined for a file that has gone in the meantime. */
async function unlessGone<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTEMPTY')) return undefined;
    throw error;
  }
}
