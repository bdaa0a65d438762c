/**
 * SMTP load of the tests: distinct messages over plain sockets, each sent again until it is accepted or the load is
 * told to give up, as a mail server on the other side would. It remembers what was accepted, and the longest time in
 * which nothing was.
 */
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Mail {
  /** The Message-ID, without brackets. */
  messageId: string;
  octets: Buffer;
}

export interface Accepted {
  /** Id of the 250. */
  id: string;
  messageId: string;
  at: number;
}

export interface SendOptions {
  from?: string;
  to?: string;
  /** Milliseconds without an octet from the server. */
  timeout?: number;
  /** Called when all but the final dot is out; the dot waits for it. */
  beforeDot?: () => Promise<void> | void;
  /** Called when the final dot is out. */
  afterDot?: () => Promise<void> | void;
  localAddress?: string;
}

/** One connection, one message. Returns the last reply; '' if the connection ended without one. */
export async function sendOnce(port: number, octets: Buffer, options: SendOptions = {}): Promise<string> {
  const { from = 'edi@partner.example', to = 'orders@own.example', timeout = 60_000, localAddress } = options;
  const socket = connect({ port, host: '127.0.0.1', ...(localAddress ? { localAddress } : {}) });
  const next = replies(socket, timeout);
  try {
    if (!(await next()).startsWith('220')) return '';
    for (const line of ['EHLO load.example', `MAIL FROM:<${from}>`, `RCPT TO:<${to}>`, 'DATA']) {
      socket.write(`${line}\r\n`);
      const reply = await next();
      if (!/^[23]/.test(reply)) return reply;
    }
    socket.write(octets);
    await options.beforeDot?.();
    socket.write('.\r\n');
    await options.afterDot?.();
    const reply = await next();
    socket.end('QUIT\r\n');
    return reply;
  } finally {
    socket.destroySoon();
  }
}

/** Whole replies of an SMTP server, one a call; '' once the connection is over. */
export function replies(socket: Socket, timeout: number): () => Promise<string> {
  let text = '';
  let over = false;
  let wake: () => void = () => {};
  const end = () => {
    over = true;
    wake();
  };
  socket.setTimeout(timeout, () => socket.destroy());
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1');
    wake();
  });
  for (const event of ['end', 'close', 'error']) socket.on(event, end);
  return async () => {
    for (;;) {
      const match = /^(?:\d{3}-.*\r\n)*\d{3} .*\r\n/.exec(text);
      if (match) {
        text = text.slice(match[0].length);
        return match[0].trim();
      }
      if (over) return '';
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
}

export interface LoadOptions {
  port: number;
  /** The message of a number. */
  mail: (number: number) => Mail;
  clients?: number;
  /** How many messages; without it until `finish`. */
  count?: number;
  /** Milliseconds from one attempt to the next of the same message. */
  again?: number;
  /** Milliseconds that each client waits after an accepted message. */
  pace?: number;
  to?: string;
  timeout?: number;
}

/** Clients that send side by side until the count is reached or they are told to finish. */
export class Load {
  readonly accepted: Accepted[] = [];
  /** Messages that were tried at least once. */
  sent = 0;
  /** Replies other than 250, by their code; '' means that the connection ended. */
  readonly refusals = new Map<string, number>();
  /** Longest time of an attempt from the final dot or an earlier refusal, in milliseconds. */
  longestAnswer = 0;
  longestPause = 0;
  readonly #options: LoadOptions;
  readonly #clients: Promise<void>[];
  #lastAt = performance.now();
  #next = 0;
  #finishing = false;
  #givingUp = false;

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#clients = Array.from({ length: options.clients ?? 8 }, () => this.#client());
  }

  /** No new messages. Current ones are tried until they are accepted, for at most `within` milliseconds. */
  async finish(within = 90_000): Promise<void> {
    this.#finishing = true;
    await this.#all(within);
  }

  /** Gives up what is not accepted yet. */
  abandon(): void {
    this.#givingUp = true;
  }

  /** Waits until the count is reached. */
  async done(within = 300_000): Promise<void> {
    await this.#all(within);
  }

  async #all(within: number): Promise<void> {
    const late = setTimeout(() => {
      this.#givingUp = true;
    }, within);
    await Promise.all(this.#clients);
    clearTimeout(late);
  }

  async #client(): Promise<void> {
    const { count = Number.POSITIVE_INFINITY, mail, pace = 0 } = this.#options;
    while (!this.#finishing && !this.#givingUp && this.#next < count) {
      const message = mail(this.#next++);
      this.sent++;
      await this.#untilAccepted(message);
      if (pace > 0) await sleep(pace);
    }
  }

  async #untilAccepted({ messageId, octets }: Mail): Promise<void> {
    const { port, to, again = 100, timeout = 60_000 } = this.#options;
    while (!this.#givingUp) {
      const startedAt = performance.now();
      const reply = await sendOnce(port, octets, { timeout, ...(to === undefined ? {} : { to }) });
      const now = performance.now();
      this.longestAnswer = Math.max(this.longestAnswer, now - startedAt);
      const id = / as (\S+)$/.exec(reply)?.[1];
      if (reply.startsWith('250') && id !== undefined) {
        this.longestPause = Math.max(this.longestPause, now - this.#lastAt);
        this.#lastAt = now;
        this.accepted.push({ id, messageId, at: Date.now() });
        return;
      }
      const code = reply.slice(0, 3);
      this.refusals.set(code, (this.refusals.get(code) ?? 0) + 1);
      await sleep(again * (0.5 + Math.random()));
    }
  }
}
