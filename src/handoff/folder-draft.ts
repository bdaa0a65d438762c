/**
 * Folders on a local disk of this machine, for the process that decodes. A large message goes straight into the hidden
 * folder while it is being decoded, so it is not stored in between. Nobody else can look into that folder until the
 * message has been judged. Then it gets its name, or it is removed.
 *
 * The writing must not hold up the decoding of other messages: it is asynchronous, only a few messages do it at a time,
 * and a folder that does not answer is left to the queue `handoff` until it does. The same goes for everything that
 * does not proceed as expected: such a message is decoded again, into the spool.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { DestinationConfig } from '../config/index.ts';
import { isThere } from '../files.ts';
import { HeaderFinder } from '../message/index.ts';
import { FolderSync, Volume, withDeadline } from '../volume.ts';
import { attemptLimits, countedTaken } from './attempt.ts';
import { StreamedFolder } from './folder-streamed.ts';
import { composeMessage, type HandoffMessage, headOctets } from './message.ts';
import { messageFolder } from './names.ts';
import type { Delivery, LocalDeps } from './types.ts';

/** Octets that are written at a time, so that a trip to a thread pays off. */
const batch = 1024 * 1024;
/** Milliseconds for everything that is synced to disk at the end. */
const endPatience = 30_000;

/** Messages written at a time in this process, whatever the folder. Each occupies at most one thread. */
const draftsAtATime = 8;
let places = draftsAtATime;

type DirectoryConfig = Extract<DestinationConfig, { type: 'directory' }>;

/** What names the folder of a message. */
export type DraftOf = Pick<Delivery, 'id' | 'receivedAt' | 'again'>;

/** A message that is decoded into a folder. Calls must not overlap, except for `see`. */
export interface LocalDraft {
  /** Octets of the message as received. Its header is read from them. */
  see(chunk: Buffer): void;
  /** Takes the next octets of the content. It may keep the buffer. Throws if that is not possible. */
  write(chunk: Buffer): Promise<void> | undefined;
  /** Throws, and marks the draft as failed: the message has something that cannot go into a folder in this way. */
  refuse(): never;
  /** Forgets all content, because it comes again. */
  restart(): Promise<void>;
  /** Octets of the content, and their SHA-256 in hex. */
  readonly octets: number;
  readonly sha256: string;
  /** Whether it is unusable, so that the message must be decoded again, to somewhere else. */
  readonly failed: boolean;
  /**
   * Gives the folder its name, complete and on disk. Undefined if the message must be decoded again. Does not throw.
   */
  publish(delivery: Delivery, signal: AbortSignal): Promise<{ folder: string } | undefined>;
  /** Removes what has not been published. Idempotent; does not throw. */
  remove(): Promise<void>;
}

/** The drafts of one folder. */
export class FolderDrafts {
  readonly #config: DirectoryConfig;
  readonly #deps: LocalDeps;
  readonly #volume: Volume;
  readonly #sync: FolderSync;
  /** Calls that have not been answered in time, and still have not. */
  #unanswered = 0;

  constructor(config: DirectoryConfig, deps: LocalDeps) {
    this.#config = config;
    this.#deps = deps;
    this.#volume = new Volume(config.path);
    this.#sync = new FolderSync(config.path);
  }

  /** Removes what dead processes of this role left behind. Does not throw. */
  async sweep(): Promise<void> {
    try {
      // `handoff` makes it: a folder that is missing here may be on a volume that is not mounted yet
      if (await this.#volume.isLocal()) await this.within(this.#volume.prepare(this.#deps.now()));
    } catch (err) {
      this.#deps.log.warn({ err, path: this.#config.path }, 'the folder of a destination cannot be used');
    }
  }

  /** Undefined if the message must go through the queue `handoff`. Does not throw. */
  async begin(message: DraftOf): Promise<LocalDraft | undefined> {
    if (places === 0 || this.#unanswered > 0) return undefined;
    places -= 1;
    let draft: LocalDraft | undefined;
    try {
      if (await this.#volume.isLocal()) {
        await this.within(this.#volume.prepare(this.#deps.now()));
        const name = messageFolder(message);
        // the process that gave it this name may have died before the record was written; the hand-off knows what to do
        if (!(await this.within(isThere(join(this.#config.path, name))))) draft = this.#draft(name);
      }
    } catch {
      // the hand-off finds the same problem, and reports it
    }
    if (draft === undefined) places += 1;
    return draft;
  }

  /**
   * The folder of the message, on disk, if a process published it and died before the record was written. Undefined if
   * there is none, or if that cannot be found out. Does not throw.
   */
  async published(message: DraftOf): Promise<string | undefined> {
    if (this.#unanswered > 0) return undefined;
    try {
      const name = messageFolder(message);
      if (!(await this.within(isThere(join(this.#config.path, name))))) return undefined;
      // the rename may not be on disk yet
      await this.within(this.#sync.sync());
      return name;
    } catch {
      return undefined;
    }
  }

  /** The result of calls to the file system, or an error if it does not answer. */
  async within<T>(work: Promise<T>, patience?: number): Promise<T> {
    let answered = false;
    const settled = work.then(
      () => {},
      () => {},
    );
    void settled.then(() => {
      answered = true;
    });
    try {
      return await withDeadline(work, patience);
    } catch (error) {
      if (!answered) {
        this.#unanswered += 1;
        void settled.then(() => {
          this.#unanswered -= 1;
        });
      }
      throw error;
    }
  }

  #draft(name: string): LocalDraft {
    const { path } = this.#config;
    return new FolderDraft(this, path, name, this.#deps, this.#sync);
  }
}

class FolderDraft implements LocalDraft {
  octets = 0;
  failed = false;
  readonly #drafts: FolderDrafts;
  readonly #parent: string;
  readonly #name: string;
  readonly #deps: LocalDeps;
  readonly #sync: FolderSync;
  readonly #limits: ReturnType<typeof attemptLimits>;
  readonly #headOctets: number;
  #header = new HeaderFinder();
  #hash = createHash('sha256');
  #held: Buffer[] = [];
  #heldOctets = 0;
  /** The start of the content, once it has been written. */
  #head: Buffer | undefined;
  /** What the message was taken for when its folder was begun. */
  #taken: HandoffMessage | undefined;
  #folder: StreamedFolder | undefined;
  /** What is being done with the folder. It does not reject. */
  #last: Promise<unknown> = Promise.resolve();
  #isPublished = false;
  #isRemoved = false;

  constructor(drafts: FolderDrafts, parent: string, name: string, deps: LocalDeps, sync: FolderSync) {
    this.#drafts = drafts;
    this.#parent = parent;
    this.#name = name;
    this.#deps = deps;
    this.#sync = sync;
    this.#limits = attemptLimits(deps.limits, 0);
    this.#headOctets = headOctets(this.#limits);
  }

  get sha256(): string {
    return this.#hash.copy().digest('hex');
  }

  see(chunk: Buffer): void {
    this.#header.push(chunk);
  }

  write(chunk: Buffer): Promise<void> | undefined {
    this.#hash.update(chunk);
    this.octets += chunk.length;
    this.#held.push(chunk);
    this.#heldOctets += chunk.length;
    return this.#heldOctets < Math.max(batch, this.#headOctets) ? undefined : this.#flush();
  }

  refuse(): never {
    this.failed = true;
    throw new Error('the message has parts that are stored on their own');
  }

  async restart(): Promise<void> {
    await this.#drafts.within(this.#clear()).catch((error: unknown) => {
      this.failed = true;
      throw error;
    });
    this.#hash = createHash('sha256');
    this.octets = 0;
    this.#held = [];
    this.#heldOctets = 0;
    this.#head = undefined;
    // its octets come again, too
    this.#header = new HeaderFinder();
  }

  async publish(delivery: Delivery, signal: AbortSignal): Promise<{ folder: string } | undefined> {
    return await countedTaken('directory', () => this.#publish(delivery, signal));
  }

  async #publish(delivery: Delivery, signal: AbortSignal): Promise<{ folder: string } | undefined> {
    try {
      await this.#flush();
      const meant = composeMessage(delivery, this.#head ?? Buffer.alloc(0), this.#limits);
      const { kind, prefix } = this.#taken ?? {};
      const folder = this.#folder;
      if (folder === undefined || meant.kind !== kind || !prefix || !meant.prefix.equals(prefix))
        throw new Error('the message is not what its start said');
      // what ends too late must not publish, because the message may have been suspended by then
      const late = new AbortController();
      const work = folder.publish(delivery, AbortSignal.any([signal, late.signal]));
      await this.#do(work, endPatience).catch((error: unknown) => {
        late.abort();
        throw error;
      });
      this.#isPublished = true;
      return { folder: this.#name };
    } catch {
      this.failed = true;
      return undefined;
    }
  }

  async remove(): Promise<void> {
    if (this.#isRemoved) return;
    this.#isRemoved = true;
    this.#held = [];
    // the thread is free again only when the file system has answered, and nobody may wait for that
    const done = this.#clear().finally(() => {
      places += 1;
    });
    await this.#drafts.within(done).catch(() => undefined);
  }

  async #flush(): Promise<void> {
    const octets = this.#held.length === 1 && this.#held[0] ? this.#held[0] : Buffer.concat(this.#held);
    this.#held = [];
    this.#heldOctets = 0;
    this.#limits.budget?.received(this.octets);
    try {
      this.#folder ??= await this.#begin(octets);
      if (octets.length > 0) await this.#do(this.#folder.write(octets));
    } catch (error) {
      this.failed = true;
      throw error;
    }
  }

  /** Begins the folder for what the message probably is. Whether that was right is known at its end. */
  async #begin(start: Buffer): Promise<StreamedFolder> {
    const head = Buffer.from(start.subarray(0, this.#headOctets));
    const header = this.#header.end()?.raw ?? Buffer.alloc(0);
    // a mail that is not S/MIME is its own content
    const whole = header.length > 0 && head.subarray(0, header.length).equals(header);
    const likely = { header, whole, verdict: {}, contentOctets: this.octets };
    this.#head = head;
    this.#taken = composeMessage(likely, head, this.#limits);
    const { bodyPart } = this.#deps;
    const settings = { bodyPart, limits: this.#limits, sync: this.#sync, isLocal: false, locked: true };
    const made = StreamedFolder.create(this.#parent, this.#name, this.#taken, settings);
    // also for a folder that was made too late: `#clear` removes it
    void made.then(
      (folder) => {
        this.#folder = folder;
      },
      () => {},
    );
    return await this.#do(made);
  }

  async #do<T>(work: Promise<T>, patience?: number): Promise<T> {
    this.#last = work.catch(() => {});
    return await this.#drafts.within(work, patience);
  }

  async #clear(): Promise<void> {
    await this.#last;
    const folder = this.#folder;
    this.#folder = undefined;
    if (folder === undefined) return;
    try {
      await (this.#isPublished ? folder.close() : folder.remove());
    } catch (err) {
      // a later start sweeps it
      this.#deps.log.warn({ err, path: this.#parent }, 'a folder that was begun cannot be removed');
    }
  }
}
