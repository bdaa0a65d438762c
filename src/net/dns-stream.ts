import type { Socket } from 'node:net';
import type { DecodedPacket } from 'dns-packet';
import { DnsFailure, type Question } from './dns-question.ts';

/** Milliseconds until a connection without questions is closed (RFC 7766 section 6.2.3). */
const IDLE = 10_000;
/** Milliseconds to wait for an answer, including the connection. */
const PATIENCE = 5000;

interface Pending {
  question: Question;
  resolve(reply: DecodedPacket): void;
  reject(error: DnsFailure): void;
  timer: NodeJS.Timeout;
}

/**
 * Questions over one connection (TCP or TLS), many at a time. Each message is preceded by its length (RFC 1035 4.2.2).
 */
export class QuestionStream {
  readonly #open: () => Socket;
  readonly #pending = new Set<Pending>();
  #socket: Socket | undefined;
  #received = Buffer.alloc(0);

  constructor(open: () => Socket) {
    this.#open = open;
  }

  ask(question: Question): Promise<DecodedPacket> {
    return new Promise((resolve, reject) => {
      const end = () => {
        clearTimeout(pending.timer);
        this.#pending.delete(pending);
      };
      const pending: Pending = {
        question,
        resolve: (reply) => {
          end();
          resolve(reply);
        },
        reject: (error) => {
          end();
          reject(error);
        },
        timer: setTimeout(() => this.#fail('the resolver did not answer'), PATIENCE),
      };
      this.#pending.add(pending);
      const message = question.encode();
      const length = Buffer.alloc(2);
      length.writeUInt16BE(message.length);
      this.#connection().write(Buffer.concat([length, message]));
    });
  }

  close(): void {
    this.#fail('closed');
  }

  #connection(): Socket {
    if (this.#socket !== undefined) return this.#socket;
    const socket = this.#open();
    this.#socket = socket;
    this.#received = Buffer.alloc(0);
    const over = (why: string) => {
      if (this.#socket === socket) this.#fail(why);
    };
    socket.on('error', ({ message }) => over(`no connection to the resolver: ${message}`));
    socket.on('close', () => over('the resolver closed the connection'));
    socket.on('data', (chunk) => {
      if (this.#socket === socket) this.#read(Buffer.from(chunk));
    });
    // what is kept open for the next question does not keep the process running
    socket.setTimeout(IDLE, () => over('the resolver did not answer'));
    socket.unref();
    return socket;
  }

  /** Ends the connection, and with it every question asked over it. */
  #fail(why: string): void {
    this.#socket?.destroy();
    this.#socket = undefined;
    for (const { question, reject } of [...this.#pending]) reject(new DnsFailure(`${why} (${question})`));
  }

  #read(chunk: Buffer): void {
    this.#received = Buffer.concat([this.#received, chunk]);
    for (;;) {
      if (this.#received.length < 2) return;
      const length = this.#received.readUInt16BE();
      if (this.#received.length < 2 + length) return;
      const message = this.#received.subarray(2, 2 + length);
      this.#received = this.#received.subarray(2 + length);
      for (const pending of this.#pending) {
        const reply = pending.question.reply(message);
        if (reply === undefined) continue;
        pending.resolve(reply);
        break;
      }
    }
  }
}
