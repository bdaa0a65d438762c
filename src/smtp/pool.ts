import { Client, type ClientOptions } from './client.ts';

/** Milliseconds until an unused connection is closed. */
const IDLE = 20_000;
/** Messages sent over one connection at most. */
const MAX_TRANSACTIONS = 100;

/** Connections of one route, kept for further messages: at most `limit` at a time over all its hosts. */
export class Pool {
  readonly #limit: number;
  readonly #idle: { client: Client; timer: NodeJS.Timeout }[] = [];
  readonly #waiting: (() => void)[] = [];
  #busy = 0;
  #closed = false;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Waits for a free place. Each call needs one call of `leave`. */
  async enter(): Promise<void> {
    if (this.#busy < this.#limit) {
      this.#busy++;
      return;
    }
    // `leave` passes the place on, so nobody can slip in between
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#busy--;
    else next();
  }

  /** A kept connection to the host (`reused`) or a new one. Rejects with a `ClientError`. */
  async take(options: ClientOptions, signal: AbortSignal): Promise<{ client: Client; reused: boolean }> {
    for (;;) {
      // a connection is only as good as what was required when it was opened
      const index = this.#idle.findIndex(({ client }) => client.fits(options));
      const [kept] = index < 0 ? [] : this.#idle.splice(index, 1);
      if (kept === undefined) return { client: await Client.open(options, signal), reused: false };
      clearTimeout(kept.timer);
      if (!kept.client.dead) return { client: kept.client, reused: true };
    }
  }

  /** Gives a connection back. */
  keep(client: Client): void {
    if (client.dead) return;
    if (this.#closed || client.transactions >= MAX_TRANSACTIONS) {
      client.quit();
      return;
    }
    const timer = setTimeout(() => this.#drop(client), IDLE);
    timer.unref();
    this.#idle.push({ client, timer });
    if (this.#idle.length > this.#limit) this.#drop(this.#idle[0]?.client);
  }

  #drop(client: Client | undefined): void {
    const index = this.#idle.findIndex((kept) => kept.client === client);
    const [kept] = index < 0 ? [] : this.#idle.splice(index, 1);
    clearTimeout(kept?.timer);
    kept?.client.quit();
  }

  close(): void {
    this.#closed = true;
    while (this.#idle.length > 0) this.#drop(this.#idle[0]?.client);
  }
}
