import { toErrorInfo } from '../errors.ts';
import { type Log, logRarely } from '../log.ts';
import { type HeaderBlock, HeaderFinder, readMessageId } from '../message/index.ts';
import type { SpoolWriter } from '../spool/index.ts';
import { LineEnds } from './line-ends.ts';
import { isRefusal, type Reply, replyFor, replyTo } from './replies.ts';

/** Limits of one DATA; times in milliseconds. */
export interface DataLimits {
  maxSize: number;
  /** How long DATA may take on top of what `minimumRate` (octets per second) allows. */
  timeout: number;
  minimumRate: number;
  /** How long the spool may take for a write, and the queue for the commit. */
  storeTimeout: number;
}

/**
 * The octets of one DATA command on their way into the spool: counted and checked, but never buffered. The first
 * failure wins. Whatever follows it is read and dropped, because a client reads a reply only after it has sent
 * everything.
 */
export class Transaction {
  octets = 0;
  /** The error behind the failure, if there is one. */
  cause: unknown;
  readonly #writer: Pick<SpoolWriter, 'write' | 'abort'>;
  readonly #limits: DataLimits;
  readonly #log: Log;
  readonly #lineEnds = new LineEnds();
  readonly #header = new HeaderFinder();
  readonly #startedAt: number;
  #failure: Reply | undefined;
  /** Since when we have been waiting for the spool. The client's clock is stopped meanwhile. */
  #waitingSince = 0;
  #waited = 0;

  constructor(writer: Pick<SpoolWriter, 'write' | 'abort'>, limits: DataLimits, log: Log, now: number) {
    this.#writer = writer;
    this.#limits = limits;
    this.#log = log;
    this.#startedAt = now;
  }

  get failure(): Reply | undefined {
    return this.#failure;
  }

  /** The header; undefined if it exceeds the limits. Call this after the last octet. */
  get header(): HeaderBlock | undefined {
    return this.#header.end();
  }

  get messageId(): string | null {
    const headers = this.header;
    return headers === undefined ? null : readMessageId(headers);
  }

  /** Takes a chunk. If it returns a promise, do not send more until that has resolved (it never rejects). */
  push(chunk: Buffer): Promise<void> | undefined {
    this.octets += chunk.length;
    if (this.#failure !== undefined) return undefined;
    if (this.octets > this.#limits.maxSize) return this.fail(replyTo('message-too-large'));
    this.#lineEnds.push(chunk);
    if (this.#lineEnds.bare) return this.fail(replyTo('line-ends'));
    this.#header.push(chunk);
    try {
      const wait = this.#writer.write(chunk);
      return wait === undefined ? undefined : this.#wait(wait);
    } catch (error) {
      return this.#broken(error);
    }
  }

  /** Call this after the last octet. Returns the failure, if there is one. */
  end(): Reply | undefined {
    if (this.#failure !== undefined) return this.#failure;
    if (this.octets === 0) this.fail(replyTo('message-empty'));
    else if (this.#lineEnds.end()) this.fail(replyTo('line-ends'));
    return this.#failure;
  }

  /** Gives up and removes what was stored. Idempotent. */
  fail(reply: Reply): undefined {
    if (this.#failure !== undefined) return;
    this.#failure = reply;
    this.#writer
      .abort()
      .catch((err: unknown) => this.#log.warn({ err }, 'an aborted message was not removed'));
  }

  /** Who is too slow: the client, our own store, or nobody. */
  overdue(now: number): 'client' | 'store' | undefined {
    if (this.#waitingSince > 0) {
      return now - this.#waitingSince > this.#limits.storeTimeout ? 'store' : undefined;
    }
    const allowed = this.#limits.timeout + (this.octets / this.#limits.minimumRate) * 1000;
    return now - this.#startedAt - this.#waited > allowed ? 'client' : undefined;
  }

  async #wait(wait: Promise<void>): Promise<void> {
    this.#waitingSince = performance.now();
    try {
      await wait;
    } catch (error) {
      this.#broken(error);
    }
    this.#waited += performance.now() - this.#waitingSince;
    this.#waitingSince = 0;
  }

  #broken(error: unknown): undefined {
    // a write that we waited for may fail because the transaction was given up
    if (this.#failure !== undefined) return undefined;
    this.cause = error;
    const { code } = toErrorInfo(error);
    if (!isRefusal(error))
      logRarely(this.#log, 'error', `spool ${code}`, { err: error }, 'a message could not be spooled');
    return this.fail(replyFor(error));
  }
}
