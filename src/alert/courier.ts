/**
 * Announces changes on one channel: in order, each change at least once. How far a channel has come is stored in Redis.
 * A channel that fails is retried with growing delays, and holds up no other channel.
 */
import { type Log, logRarely } from '../log.ts';
import { walk } from '../rounds.ts';
import type { AlertBook } from './book.ts';
import type { AlertChange, ChannelState } from './types.ts';

/** Milliseconds: between two looks for changes; the first and the longest delay between two attempts. */
const times = { look: 1000, retryFirst: 1000, retryMost: 300_000 };
const hour = 3_600_000;

/** A way to tell people. */
export interface Channel {
  readonly name: string;
  /** How many milliseconds the first change waits for others to join it. */
  readonly gather: number;
  /** The most deliveries in an hour. */
  readonly perHour: number;
  /**
   * Delivers some changes together. `key` is the same for the same changes. Resolves with what became of them, or with
   * the reason why it failed.
   */
  deliver(
    changes: readonly AlertChange[],
    key: string,
    signal: AbortSignal,
  ): Promise<{ done: string } | { failed: string }>;
  close(): Promise<void>;
}

export interface CourierParts {
  channel: Channel;
  book: AlertBook;
  /** Whether this process is the one that delivers. */
  isMine: () => boolean;
  log: Log;
  now: () => number;
}

export class Courier {
  readonly #parts: CourierParts;
  readonly #stop = new AbortController();
  /** The times of the deliveries of the last hour. */
  #delivered: number[] = [];
  #running: Promise<void> = Promise.resolve();
  #trouble: { since: number; why: string } | undefined;

  constructor(parts: CourierParts) {
    this.#parts = parts;
  }

  /** What is failing now, and since when. */
  get trouble(): { since: number; why: string } | undefined {
    return this.#trouble;
  }

  start(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    await this.#parts.channel.close();
  }

  async #run(): Promise<void> {
    const { isMine, log, channel } = this.#parts;
    const { name } = channel;
    const step = async (signal: AbortSignal) => (isMine() ? await this.step(signal) : 'idle');
    const onFailure = (err: unknown) =>
      logRarely(log, 'warn', `alerts ${name}`, { err, channel: name }, 'alerts could not be told');
    await walk({ times, step, onFailure }, this.#stop.signal);
  }

  /** Delivers what is waiting, if it is time. */
  async step(signal: AbortSignal): Promise<'idle' | 'more' | 'failed'> {
    const { book, channel, now, log } = this.#parts;
    const at = now();
    const known = await book.channel(channel.name);
    if (known === null) {
      // A new channel starts with what happens from now on.
      await book.moveChannel(this.#state(await book.newest(), at, 'nothing yet'));
      return 'idle';
    }
    this.#trouble = known.trouble ?? undefined;
    const { changes, last, more } = await book.changes(known.position);
    const [first] = changes;
    if (first === undefined) return 'idle';
    const isTest = changes.some(({ kind }) => kind === 'test');
    // A clock that was set back must not prolong the wait.
    const age = Math.abs(at - first.at);
    if (!isTest && !more && age < channel.gather) return 'idle';
    this.#delivered = this.#delivered.filter((each) => Math.abs(at - each) < hour);
    if (!isTest && this.#delivered.length >= channel.perHour) return 'idle';
    const outcome = await channel.deliver(changes, `alerts-${last}`, signal);
    if ('failed' in outcome) {
      if (signal.aborted) return 'idle';
      const why = outcome.failed;
      this.#trouble = { since: this.#trouble?.since ?? at, why };
      logRarely(
        log,
        'warn',
        `alerts ${channel.name}`,
        { channel: channel.name, why },
        'alerts could not be told',
      );
      await book.moveChannel({ ...known, at, outcome: `failed: ${why}`, trouble: this.#trouble });
      return 'failed';
    }
    this.#trouble = undefined;
    this.#delivered.push(at);
    await book.moveChannel(this.#state(last, at, outcome.done));
    return more ? 'more' : 'idle';
  }

  #state(position: string, at: number, outcome: string): ChannelState {
    return { name: this.#parts.channel.name, position, at, outcome, trouble: null };
  }
}
