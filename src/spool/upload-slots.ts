import { SealpostError } from '../errors.ts';

/**
 * Limits how many uploads hold a part in memory at a time. A caller that waits too long is refused and should try
 * again.
 */
export class S3Slots {
  #free: number;
  #waitMs: number;
  #waiting: (() => void)[] = [];

  constructor(atATime: number, waitMs: number) {
    this.#free = atATime;
    this.#waitMs = waitMs;
  }

  /** Returns a function that admits the next one; it counts once. `queue-full` */
  async take(): Promise<() => void> {
    if (this.#free > 0) this.#free -= 1;
    else await this.#wait();
    let held = true;
    return () => {
      if (held) this.#leave();
      held = false;
    };
  }

  #wait(): Promise<void> {
    return new Promise((resolve, reject) => {
      const enter = () => {
        clearTimeout(timer);
        resolve();
      };
      const timer = setTimeout(() => {
        this.#waiting.splice(this.#waiting.indexOf(enter), 1);
        reject(
          new SealpostError('queue-full', 'as many large messages as spool.s3.uploads are being stored', {
            hint: 'try again later; raise spool.s3.uploads when this is usual',
          }),
        );
      }, this.#waitMs);
      this.#waiting.push(enter);
    });
  }

  #leave(): void {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#free += 1;
  }
}
