/** Work that a process does again and again until it stops: rounds at a pace, and a walk through what happens. */
import { setTimeout as sleep } from 'node:timers/promises';

export interface RoundsParts {
  /** Milliseconds between the beginnings of two rounds. */
  every: number;
  /** One round. It looks at `stopped` where it takes long. */
  work: () => Promise<void>;
  onFailure: (error: unknown) => void;
}

/** Rounds of work, one at a time. */
export class Rounds {
  readonly #parts: RoundsParts;
  #timer: NodeJS.Timeout | undefined;
  #work: Promise<void> | undefined;
  #stopped = false;

  constructor(parts: RoundsParts) {
    this.#parts = parts;
  }

  get stopped(): boolean {
    return this.#stopped;
  }

  start(): void {
    this.#timer = setInterval(() => void this.run(), this.#parts.every).unref();
    void this.run();
  }

  /** One round; while one is on its way, there is no other. It does not throw. */
  async run(): Promise<void> {
    const { work, onFailure } = this.#parts;
    this.#work ??= work()
      .catch(onFailure)
      .finally(() => {
        this.#work = undefined;
      });
    await this.#work;
  }

  /** Ends with the round that is on its way. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    await this.#work;
  }
}

export interface WalkParts {
  /** Milliseconds: between two looks, and between two attempts at first and at most (the pause doubles). */
  times: { look: number; retryFirst: number; retryMost: number };
  /** One step: there is nothing to do, there may be more, or it failed and is to be tried again later. */
  step: (signal: AbortSignal) => Promise<'idle' | 'more' | 'failed'>;
  onFailure: (error: unknown) => void;
}

/** Takes steps until the signal aborts. It does not throw. */
export async function walk({ times, step, onFailure }: WalkParts, signal: AbortSignal): Promise<void> {
  let wait = times.retryFirst;
  while (!signal.aborted) {
    let pause = times.look;
    try {
      const went = await step(signal);
      if (went === 'more') pause = 0;
      if (went === 'failed') {
        pause = wait;
        wait = Math.min(wait * 2, times.retryMost);
      } else wait = times.retryFirst;
    } catch (error) {
      if (!signal.aborted) onFailure(error);
    }
    if (pause > 0) await sleep(pause, undefined, { signal }).catch(() => undefined);
  }
}
