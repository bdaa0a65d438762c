import { SealpostError } from '../errors.ts';

/** Bounds how many uploads hold a part in memory at a time. Who waits too long is sent away to come again. */
export class S3Slots {
  #free: number;
  #waitMs: number;
  #waiting: (() => void)[] = [];

  constructor(atATime: number, waitMs: number) {
    this.#free = atATime;
    this.#waitMs = waitMs;
  }

  /** Gives what lets the next one in; it counts once. `queue-full` */
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
