/**
 * Watches for certificates and keys that messages wait for. One process of the installation decides for each direction,
 * and says how keys stand, for `messages replay` and the API, which have no keys.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { type KeyStanding, type Standing, standingName, type Waiting } from '../certstore/index.ts';
import type { Config } from '../config/index.ts';
import type { Log } from '../log.ts';
import type { Held, Ledger, Replays } from '../queue/index.ts';
import { holdLease, lifetimes, releaseLease, type SealedValues } from '../redis/index.ts';
import { replayMessages } from './replay.ts';

export interface ReplayWatchParts {
  direction: Held['direction'];
  config: Pick<Config, 'partners' | 'retry'>;
  queue: { redis: Redis; prefix: string; replays: Replays; ledger: Pick<Ledger, 'get'> };
  standing: Pick<KeyStanding, 'of'>;
  /** Where `standingsOf` reads. */
  values: SealedValues;
  /** Calls back when something was decided about certificates; returns what ends that. */
  onChange: (listener: () => void) => () => void;
  log: Log;
  now: () => number;
}

/** Milliseconds between two looks: a term may have begun. */
const every = 30_000;
/** Milliseconds after a change, in which others may follow. */
const settle = 500;
/** Milliseconds that what was said of keys is kept, and after which it is said again. */
const kept = 86_400_000;
const saidAgain = 3_600_000;
/** Jobs that may wait when a batch is added. */
const mostWaiting = 100;

export class ReplayWatch {
  readonly #parts: ReplayWatchParts;
  readonly #owner = randomUUID();
  #timer: NodeJS.Timeout | undefined;
  #soon: NodeJS.Timeout | undefined;
  #unfollow: (() => void) | undefined;
  #running: Promise<void> | undefined;
  #again = false;
  #stopped = false;
  #said = { text: '', at: 0 };

  constructor(parts: ReplayWatchParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#timer = setInterval(() => void this.look(), every).unref();
    this.#unfollow = this.#parts.onChange(() => {
      this.#soon ??= setTimeout(() => {
        this.#soon = undefined;
        void this.look();
      }, settle).unref();
    });
    void this.look();
  }

  /** Another process may go on at once. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    clearTimeout(this.#soon);
    this.#unfollow?.();
    await this.#running;
    const { redis } = this.#parts.queue;
    await releaseLease(redis, this.#lease, this.#owner).catch(() => undefined);
  }

  get #lease(): string {
    return `${this.#parts.queue.prefix}:replay:${this.#parts.direction}:lease`;
  }

  /** Looks once, and once more if asked meanwhile. While Redis is away nothing happens, and the next look does it. */
  async look(): Promise<void> {
    if (this.#running) {
      this.#again = true;
      return await this.#running;
    }
    this.#running = this.#looks();
    await this.#running;
    this.#running = undefined;
  }

  async #looks(): Promise<void> {
    const { log, direction } = this.#parts;
    do {
      this.#again = false;
      try {
        if (await this.#isMine()) await this.#look();
      } catch (err) {
        log.warn({ err, direction }, 'could not look for messages to replay');
      }
    } while (this.#again && !this.#stopped);
  }

  async #isMine(): Promise<boolean> {
    const { redis, prefix } = this.#parts.queue;
    if (this.#stopped) return false;
    return await holdLease(redis, prefix, this.#lease, { owner: this.#owner, ms: lifetimes.replayLease });
  }

  async #look(): Promise<void> {
    const { direction, config, queue, standing, now, log } = this.#parts;
    const { enabled, perPartner, perDay } = config.retry.onKeys;
    const known = new Map<string, Standing>();
    const at = new Date(now());
    const of = async (waiting: Waiting) => {
      const name = standingName(waiting);
      const found = known.get(name) ?? (await standing.of(waiting, at));
      known.set(name, found);
      return found;
    };
    const run = replayMessages(
      { ...queue, config, standing: of },
      {
        ...{ direction, person: false, act: { by: 'sealpost' }, budget: { perPartner, perDay } },
        dryRun: !enabled,
        next: () => this.#room(),
      },
    );
    let count = 0;
    for await (const { replayed } of run) if (replayed && enabled) count += 1;
    if (count > 0) log.info({ direction, messages: count }, 'replayed messages that waited for keys');
    await this.#say(known);
  }

  /** Waits until what was added has been taken: fresh mail is not to stand behind all of it. */
  async #room(): Promise<boolean> {
    const { direction, queue } = this.#parts;
    for (;;) {
      // What changed since the run began is looked at first.
      if (this.#again || !(await this.#isMine())) return false;
      if ((await queue.replays.waiting(direction)) <= mostWaiting) return true;
      await sleep(settle);
    }
  }

  async #say(known: ReadonlyMap<string, Standing>): Promise<void> {
    const { direction, values, now } = this.#parts;
    const text = JSON.stringify([...known]);
    const at = now();
    if (text === this.#said.text && at < this.#said.at + saidAgain) return;
    await values.put(direction, { at, standings: [...known] }, kept);
    this.#said = { text, at };
  }
}

/** How keys stand, as the deciding process said last; nothing is known of what it has not looked at. */
export async function standingsOf(
  values: SealedValues,
  direction: Held['direction'],
): Promise<(waiting: Waiting) => Standing | undefined> {
  const said = await values.get(direction);
  const list: [string, Standing][] =
    typeof said === 'object' && said !== null && 'standings' in said && Array.isArray(said.standings)
      ? said.standings
      : [];
  const known = new Map(list);
  return (waiting) => known.get(standingName(waiting));
}
