/**
 * What Redis keeps of alerts, below `PREFIX:alerts:`. `now`: a hash with what is known of each alert; `told`: the
 * stream of changes that were announced, for channels and readers; `silences`: a hash; `channels`: how far each channel
 * has read; `looked`: when the rules were last evaluated, and by whom; `failures:DAY`: a hash of counts per ten
 * minutes.
 */
import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { guarded, holdLease, lifetimes, releaseLease } from '../redis/index.ts';
import type { AlertChange, AlertState, ChangeKind, ChannelState, Silence, SilenceMatch } from './types.ts';

/** How many entries of the stream are kept. */
const keptChanges = 2000;
const page = 200;
const dayLength = 86_400_000;
/** Failures are counted in intervals of this many milliseconds. */
export const bucketLength = 600_000;
/** How long these counts are kept, in milliseconds. */
const failuresKept = 9 * dayLength;

export interface Looked {
  /** Milliseconds since the epoch. */
  at: number;
  /** Host and process. */
  by: string;
}

/** A change that has no place in the stream yet. */
export type NewChange = Omit<AlertChange, 'id'>;

export class AlertBook {
  readonly #redis: Redis;
  readonly #prefix: string;

  constructor({ redis, prefix }: { redis: Redis; prefix: string }) {
    this.#redis = redis;
    this.#prefix = prefix;
  }

  #key(name: string): string {
    return `${this.#prefix}:alerts:${name}`;
  }

  get #lease(): string {
    return `${this.#prefix}:lease:alerts`;
  }

  async claim(owner: string): Promise<boolean> {
    return await holdLease(this.#redis, this.#prefix, this.#lease, { owner, ms: lifetimes.alertsLease });
  }

  async release(owner: string): Promise<void> {
    await releaseLease(this.#redis, this.#lease, owner);
  }

  async states(): Promise<Map<string, AlertState>> {
    const fields = await guarded('alerts', this.#redis.hgetall(this.#key('now')));
    return new Map(Object.entries(fields).map(([id, text]): [string, AlertState] => [id, JSON.parse(text)]));
  }

  /** Stores one round as a whole: states by id (null: forgotten), and the changes to announce. */
  async save(
    states: ReadonlyMap<string, AlertState | null>,
    changes: readonly NewChange[],
    looked: Looked,
  ): Promise<void> {
    const step = this.#redis.multi();
    for (const [id, state] of states)
      if (state === null) step.hdel(this.#key('now'), id);
      else step.hset(this.#key('now'), id, JSON.stringify(state));
    for (const change of changes)
      step.xadd(this.#key('told'), 'MAXLEN', '~', keptChanges, '*', 'c', JSON.stringify(change));
    step.set(this.#key('looked'), JSON.stringify(looked));
    await guarded('alerts', step.exec());
  }

  async looked(): Promise<Looked | null> {
    const text = await guarded('alerts', this.#redis.get(this.#key('looked')));
    return text === null ? null : JSON.parse(text);
  }

  /** Announces something that belongs to no rule. Returns its place. */
  async tell(kind: ChangeKind, at: number, alert: AlertChange['alert']): Promise<string> {
    const change: NewChange = { kind, at, alert };
    const id = await guarded(
      'alerts',
      this.#redis.xadd(this.#key('told'), 'MAXLEN', '~', keptChanges, '*', 'c', JSON.stringify(change)),
    );
    return id ?? '0-0';
  }

  async newest(): Promise<string> {
    const [last] = await guarded('alerts', this.#redis.xrevrange(this.#key('told'), '+', '-', 'COUNT', 1));
    return last?.[0] ?? '0-0';
  }

  /** What was announced after a place, oldest first. `missed`: some of it may have been dropped already. */
  async changes(
    after: string,
    most = page,
  ): Promise<{ changes: AlertChange[]; last: string; more: boolean; missed: boolean }> {
    const key = this.#key('told');
    const [[first], entries] = await Promise.all([
      guarded('alerts', this.#redis.xrange(key, '-', '+', 'COUNT', 1)),
      guarded('alerts', this.#redis.xrange(key, `(${after}`, '+', 'COUNT', most)),
    ]);
    const changes = entries.map(([id, [, text]]): AlertChange => ({ ...JSON.parse(text ?? '{}'), id }));
    const missed = after !== '0-0' && first !== undefined && isBefore(after, first[0]);
    return { changes, last: changes.at(-1)?.id ?? after, more: entries.length === most, missed };
  }

  /** The silences in force. Removes those that have ended. */
  async silences(now: number): Promise<Silence[]> {
    const key = this.#key('silences');
    const all = Object.values(await guarded('alerts', this.#redis.hgetall(key))).map(
      (text): Silence => JSON.parse(text),
    );
    const over = all.filter(({ until }) => until <= now);
    if (over.length > 0) await guarded('alerts', this.#redis.hdel(key, ...over.map(({ id }) => id)));
    return all.filter(({ until }) => until > now).sort((a, b) => a.until - b.until);
  }

  async addSilence(silence: {
    match: SilenceMatch;
    from: number;
    until: number;
    by: string;
    why: string;
  }): Promise<Silence> {
    const added = { ...silence, id: randomUUID().slice(0, 8) };
    await guarded('alerts', this.#redis.hset(this.#key('silences'), added.id, JSON.stringify(added)));
    return added;
  }

  /** False if there is none with this id. */
  async removeSilence(id: string): Promise<boolean> {
    return (await guarded('alerts', this.#redis.hdel(this.#key('silences'), id))) === 1;
  }

  async channels(): Promise<ChannelState[]> {
    const fields = await guarded('alerts', this.#redis.hgetall(this.#key('channels')));
    return Object.values(fields).map((text): ChannelState => JSON.parse(text));
  }

  async channel(name: string): Promise<ChannelState | null> {
    const text = await guarded('alerts', this.#redis.hget(this.#key('channels'), name));
    return text === null ? null : JSON.parse(text);
  }

  async moveChannel(state: ChannelState): Promise<void> {
    await guarded('alerts', this.#redis.hset(this.#key('channels'), state.name, JSON.stringify(state)));
  }

  /** Forgets channels that are no longer configured. */
  async keepChannels(names: readonly string[]): Promise<void> {
    const gone = (await this.channels()).map(({ name }) => name).filter((name) => !names.includes(name));
    if (gone.length > 0) await guarded('alerts', this.#redis.hdel(this.#key('channels'), ...gone));
  }

  async countFailures(at: number, failures: number): Promise<void> {
    const bucket = Math.floor(at / bucketLength);
    const key = this.#key(`failures:${Math.floor(at / dayLength)}`);
    const step = this.#redis.multi().hincrby(key, String(bucket), failures).pexpire(key, failuresKept);
    await guarded('alerts', step.exec());
  }

  /** Failures in the hour that ends at a given time; undefined if nobody counted then. */
  async failuresBefore(end: number): Promise<number | undefined> {
    const buckets = Array.from({ length: 6 }, (_, back) => Math.floor(end / bucketLength) - back);
    const counts = await guarded(
      'alerts',
      Promise.all(
        buckets.map((bucket) =>
          this.#redis.hget(
            this.#key(`failures:${Math.floor((bucket * bucketLength) / dayLength)}`),
            String(bucket),
          ),
        ),
      ),
    );
    const known = counts.filter((each) => each !== null);
    return known.length === 0 ? undefined : known.reduce((sum, each) => sum + Number(each), 0);
  }
}

/** Whether one stream id comes before another. An id is milliseconds, a hyphen and a number. */
export function isBefore(a: string, b: string): boolean {
  const [time = 0, number = 0] = a.split('-').map(Number);
  const [otherTime = 0, otherNumber = 0] = b.split('-').map(Number);
  return time < otherTime || (time === otherTime && number < otherNumber);
}
