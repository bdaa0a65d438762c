/**
 * The keys of an installation as they are at one moment, read while it works. Redis reports each key that changes
 * (`CLIENT TRACKING`, by prefix). Those are read again until few are left. For the last ones, writes are held up
 * briefly (`CLIENT PAUSE WRITE`): that is the moment. A reader that dies holds nobody up, because the pause ends by
 * itself.
 */
import type { Redis } from 'ioredis';
import { SealpostError } from '../errors.ts';
import type { Log } from '../log.ts';
import { disconnect, guarded } from '../redis/index.ts';
import { type KeyType, kindOf } from './kinds.ts';

/** Takes what is read. A key that comes again replaces what came before. */
export interface SnapshotSink {
  /** @param expiresAt milliseconds since the epoch; 0 for never */
  key(name: string, type: KeyType, expiresAt: number): Promise<void>;
  /**
   * Of a string its octets; of a hash pairs; of a set members; of a sorted set member and score; of a stream the id of
   * each entry, how many elements follow, and its pairs.
   */
  elements(elements: Buffer[]): Promise<void>;
  gone(name: string): Promise<void>;
}

/** How many keys one call of SCAN and one round trip take. */
const batch = 200;
/** How many elements one call takes from a large key. */
const page = 1000;
/** So few changed keys are left for the pause. */
const few = 500;
/** How many passes over changed keys there are before the pause, however many keep changing. */
const mostPasses = 4;
/** How many changed keys are remembered. */
const mostChanged = 2_000_000;
/** A key that is written to see that changes are reported. */
const probe = 'backup';
/** Milliseconds of one pause; it is renewed at a third of that while it is needed. */
const pauseFor = 6000;

export interface SnapshotParts {
  /** Opens a connection of its own; with RESP2, if `isFollower`. */
  connect(name: string, isFollower?: boolean): Redis;
  prefix: string;
  log: Log;
}

export class Snapshot {
  readonly #redis: Redis;
  readonly #follower: Redis;
  readonly #prefix: string;
  readonly #log: Log;
  #changed = new Set<string>();
  #lost = false;
  /** Names that no row of `kinds.ts` knows; not all of them. */
  readonly unknown = new Set<string>();
  #unknown = 0;

  private constructor({ connect, prefix, log }: SnapshotParts) {
    this.#redis = connect('backup');
    this.#follower = connect('backup-follower', true);
    this.#prefix = `${prefix}:`;
    this.#log = log;
  }

  /** Follows changes from now on. Errors: `redis-unreachable`, `backup-failed`. */
  static async open(parts: SnapshotParts): Promise<Snapshot> {
    const snapshot = new Snapshot(parts);
    try {
      await snapshot.#follow();
    } catch (error) {
      await snapshot.close();
      throw error;
    }
    return snapshot;
  }

  async #follow(): Promise<void> {
    const [redis, follower] = [this.#redis, this.#follower];
    await Promise.all([isReady(redis), isReady(follower)]);
    const id = await guarded('backup', follower.client('ID'));
    follower.on('messageBuffer', (_channel: Buffer, keys: unknown) => this.#note(keys));
    await guarded('backup', follower.subscribe('__redis__:invalidate'));
    await this.#asked(
      redis.call('CLIENT', 'TRACKING', 'ON', 'REDIRECT', String(id), 'BCAST', 'PREFIX', this.#prefix),
      'CLIENT TRACKING',
    );
    await this.#proved();
    // What happened in between is unknown.
    for (const each of [redis, follower]) each.once('close', () => (this.#lost = true));
  }

  /** A server or proxy that does not report changes would give a backup that shows no single moment. */
  async #proved(): Promise<void> {
    await guarded('backup', this.#redis.set(this.#prefix + probe, '1', 'PX', 60_000));
    await this.#settled();
    if (this.#changed.has(probe)) return;
    throw new SealpostError('backup-failed', 'Redis does not tell of changed keys', {
      hint: 'connect to the Redis server itself, without a proxy',
    });
  }

  #note(keys: unknown): void {
    // Redis was emptied, or this is not a list of keys. Then nothing is known.
    if (!Array.isArray(keys)) this.#lost = true;
    else for (const key of keys) this.#changed.add(String(key).slice(this.#prefix.length));
    if (this.#changed.size > mostChanged) this.#lost = true;
  }

  async #asked<T>(work: Promise<T>, command: string): Promise<T> {
    try {
      return await work;
    } catch (cause) {
      throw new SealpostError('backup-failed', `Redis refuses ${command}`, {
        hint: 'allow it to this user (ACL), or stop all daemons first: then only CLIENT TRACKING is needed',
        cause,
      });
    }
  }

  /**
   * Reads all keys. `between` runs after each pass, and once within the pause: it takes along what the keys refer to.
   *
   * @returns what was read, how long writes were held up, and keys that are not known
   */
  async read(
    sink: SnapshotSink,
    between: (held: boolean) => Promise<void>,
  ): Promise<{ at: number; heldUp: number; unknown: number }> {
    await this.#everything(sink);
    await between(false);
    for (let pass = 0; pass < mostPasses && this.#changed.size > few; pass += 1) {
      await this.#again(sink, true);
      await between(false);
    }
    const { at, heldUp } = await this.#held(sink, between);
    return { at, heldUp, unknown: this.#unknown };
  }

  async #everything(sink: SnapshotSink): Promise<void> {
    const match = `${this.#prefix.replace(/[\\[\]*?^]/g, '\\$&')}*`;
    for (let cursor = '0', first = true; first || cursor !== '0'; first = false) {
      const [next, keys] = await guarded('backup', this.#redis.scan(cursor, 'MATCH', match, 'COUNT', batch));
      cursor = next;
      await this.#some(
        keys.map((key) => key.slice(this.#prefix.length)),
        sink,
        false,
      );
      this.#check();
    }
  }

  /**
   * Reads again what has changed since.
   *
   * @param postpones leaves large keys to the end, because they change all the time
   */
  async #again(sink: SnapshotSink, postpones: boolean): Promise<void> {
    const names = [...this.#changed];
    this.#changed = new Set();
    for (let at = 0; at < names.length; at += batch)
      await this.#some(names.slice(at, at + batch), sink, postpones);
    this.#check();
  }

  async #held(
    sink: SnapshotSink,
    between: (held: boolean) => Promise<void>,
  ): Promise<{ at: number; heldUp: number }> {
    const began = performance.now();
    const pause = () => this.#redis.call('CLIENT', 'PAUSE', pauseFor, 'WRITE');
    let isHeld = true;
    try {
      await pause();
    } catch (cause) {
      // Without daemons nothing changes, and there is nothing to hold up.
      await this.#settled();
      if (this.#isBusy()) {
        await this.#again(sink, false);
        await this.#settled();
        if (this.#isBusy()) await this.#asked(Promise.reject(cause), 'CLIENT PAUSE');
      }
      isHeld = false;
    }
    let renewed = performance.now();
    // A renewal that comes too late would leave a gap, and the moment would be another one.
    const renew = setInterval(() => {
      const late = performance.now() - renewed > pauseFor - 1000;
      if (late) this.#lost = true;
      renewed = performance.now();
      pause().catch(() => (this.#lost = true));
    }, pauseFor / 3);
    if (!isHeld) clearInterval(renew);
    try {
      await this.#settled();
      const at = Date.now();
      await this.#again(sink, false);
      await between(true);
      await this.#settled();
      if (this.#isBusy() || (isHeld && performance.now() - renewed > pauseFor - 500)) this.#lost = true;
      this.#check();
      return { at, heldUp: isHeld ? Math.round(performance.now() - began) : 0 };
    } finally {
      clearInterval(renew);
      if (isHeld) await this.#redis.call('CLIENT', 'UNPAUSE').catch(() => undefined);
    }
  }

  /** Resolves when everything that Redis reported until now has arrived. */
  async #settled(): Promise<void> {
    await guarded('backup', this.#redis.ping());
    await guarded('backup', this.#follower.ping());
  }

  /** Whether a key that is saved has changed. Locks end by themselves. */
  #isBusy(): boolean {
    return [...this.#changed].some((name) => isSaved(kindOf(name)));
  }

  #check(): void {
    if (!this.#lost) return;
    throw new SealpostError('backup-failed', 'the connection to Redis was interrupted, or too much changed', {
      hint: 'try again when less is going on',
    });
  }

  async #some(names: readonly string[], sink: SnapshotSink, postpones: boolean): Promise<void> {
    const wanted = names.flatMap((name) => {
      const type = kindOf(name);
      if (type === undefined) this.#noteUnknown(name);
      return isSaved(type) ? [{ name, type }] : [];
    });
    if (wanted.length === 0) return;
    const pipeline = this.#redis.pipeline();
    for (const { name, type } of wanted) {
      const key = this.#prefix + name;
      pipeline.pttl(key);
      if (type === 'string') pipeline.getBuffer(key);
      else if (type === 'stream') pipeline.xrangeBuffer(key, '-', '+', 'COUNT', page);
      else pipeline[scans[type]](key, '0', 'COUNT', page);
    }
    const replies = (await guarded('backup', pipeline.exec())) ?? [];
    for (const [index, { name, type }] of wanted.entries()) {
      const [ttl, value] = [replies[2 * index], replies[2 * index + 1]];
      if (ttl === undefined || value === undefined || ttl[0] || value[0])
        throw odd(name, value?.[0] ?? ttl?.[0]);
      await this.#one(name, type, Number(ttl[1]), value[1], sink, postpones);
    }
  }

  async #one(
    name: string,
    type: KeyType,
    ttl: number,
    value: unknown,
    sink: SnapshotSink,
    postpones: boolean,
  ): Promise<void> {
    if (ttl === -2) return await sink.gone(name);
    const expiresAt = ttl < 0 ? 0 : Date.now() + ttl;
    if (type === 'string') {
      if (!Buffer.isBuffer(value)) return await sink.gone(name);
      await sink.key(name, type, expiresAt);
      return await sink.elements([value]);
    }
    let { elements, next } = type === 'stream' ? streamPage(value) : scanPage(name, value);
    if (next !== undefined && postpones) {
      this.#changed.add(name);
      return;
    }
    if (elements.length === 0 && next === undefined) return await sink.gone(name);
    await sink.key(name, type, expiresAt);
    await sink.elements(elements);
    while (next !== undefined) {
      const key = this.#prefix + name;
      const work: Promise<unknown> =
        type === 'stream'
          ? this.#redis.xrangeBuffer(key, `(${next}`, '+', 'COUNT', page)
          : this.#redis[scans[type]](key, next, 'COUNT', page);
      const more = await guarded('backup', work);
      ({ elements, next } = type === 'stream' ? streamPage(more) : scanPage(name, more));
      if (elements.length > 0) await sink.elements(elements);
    }
  }

  #noteUnknown(name: string): void {
    this.#unknown += 1;
    if (this.unknown.size < 20) this.unknown.add(name.split(':', 1)[0] ?? '');
    this.#log.debug({ key: name }, 'a key that is not known is left out of the backup');
  }

  async close(): Promise<void> {
    await Promise.all([disconnect(this.#redis), disconnect(this.#follower)]);
  }
}

const scans = { hash: 'hscanBuffer', set: 'sscanBuffer', zset: 'zscanBuffer' } as const;
const isSaved = (kind: KeyType | 'left' | undefined): kind is KeyType =>
  kind !== undefined && kind !== 'left';

function odd(name: string, cause: unknown): SealpostError {
  const kind = name.split(':', 1)[0];
  return new SealpostError('backup-failed', `a key ${kind} in Redis is not as Sealpost writes it`, { cause });
}

interface Page {
  elements: Buffer[];
  /** The start of the next one; undefined if there is none. */
  next: string | undefined;
}

function scanPage(name: string, value: unknown): Page {
  const [cursor, elements]: unknown[] = Array.isArray(value) ? value : [];
  if (!Array.isArray(elements)) throw odd(name, undefined);
  const next = String(cursor);
  return {
    elements: elements.filter((each) => Buffer.isBuffer(each)),
    next: next === '0' ? undefined : next,
  };
}

function streamPage(value: unknown): Page {
  const entries: unknown[] = Array.isArray(value) ? value : [];
  let last = '';
  const elements = entries.flatMap((entry) => {
    const [id, fields]: unknown[] = Array.isArray(entry) ? entry : [];
    const octets = Array.isArray(fields) ? fields.filter((each) => Buffer.isBuffer(each)) : [];
    last = String(id);
    return [Buffer.from(last), Buffer.from(String(octets.length)), ...octets];
  });
  return { elements, next: entries.length < page ? undefined : last };
}

/** A connection that is not ready within its time limits fails at its first command. */
async function isReady(redis: Redis): Promise<void> {
  if (redis.status === 'ready') return;
  await new Promise<void>((resolve) => {
    redis.once('ready', resolve);
    redis.once('end', () => resolve());
    setTimeout(resolve, 5000).unref();
  });
}
