/** How many jobs a worker of BullMQ fetches. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { EndingWorker } from './ending-worker.ts';

/**
 * Jobs that are fetched beyond those in progress, one after the other. What came along with the end of a job waits
 * behind them, and must not get old (`fresh` in `ending-worker.ts`).
 */
const mostAhead = 16;
/** Milliseconds during which less is fetched, because another process needs the jobs. */
const restraint = 100;

/**
 * Lets BullMQ fetch jobs regardless of how many are in progress. The gate decides which of them are worked on, and the
 * others are put back. BullMQ checks its limit after it has started a job, and after one has ended.
 */
export class Fetches {
  readonly #worker: Pick<EndingWorker<unknown>, 'concurrency' | 'isRestrained'>;
  readonly #ahead: number;
  #inHand = 0;
  #restrained = 0;

  constructor(worker: Pick<EndingWorker<unknown>, 'concurrency' | 'isRestrained'>, concurrency: number) {
    this.#worker = worker;
    this.#ahead = Math.min(mostAhead, concurrency);
  }

  change(by: number): void {
    this.#inHand += by;
    this.#worker.isRestrained = this.#restrained > 0;
    this.#worker.concurrency = Math.max(1, this.#inHand + (this.#restrained > 0 ? 0 : this.#ahead));
  }

  /** Leaves waiting jobs to other processes for a moment. Called with a job in progress, which then ends. */
  async less(): Promise<void> {
    this.#restrained += 1;
    this.change(0);
    await sleep(restraint);
    this.#restrained -= 1;
    this.change(0);
  }
}
