/** A receiver with small limits, an intake that remembers, and a client that types commands by hand. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { configSchema } from '../../src/config/schema.ts';
import { createLog, type Log } from '../../src/log.ts';
import type { Intake, IntakeEntry, Outcome } from '../../src/queue/types.ts';
import { createSmtpReceiver, type SmtpReceiver } from '../../src/smtp/server.ts';
import type { SpoolWriter } from '../../src/spool/types.ts';

export interface Stored {
  octets: Buffer;
  entries: IntakeEntry[];
}

/** An intake in memory for what the protocol does; the real queue has tests of its own. */
export class MemoryIntake implements Pick<Intake, 'begin' | 'commit'> {
  readonly stored: Stored[] = [];
  /** Writers that have neither been committed nor aborted. */
  open = 0;
  aborted = 0;
  /** Runs before a commit; may throw or never resolve. */
  onCommit: () => Promise<void> = async () => {};
  /** Runs at each write; may throw or never resolve. */
  onWrite: (octets: number) => Promise<void> | void = () => {};
  readonly #pieces = new WeakMap<SpoolWriter, Buffer[]>();

  begin(): SpoolWriter {
    const pieces: Buffer[] = [];
    let ended = false;
    this.open++;
    const finish = () => {
      if (!ended) this.open--;
      ended = true;
    };
    let octets = 0;
    const writer: SpoolWriter = {
      get octets() {
        return octets;
      },
      get sha256() {
        return createHash('sha256').update(Buffer.concat(pieces)).digest('hex');
      },
      write: (chunk) => {
        pieces.push(Buffer.from(chunk));
        octets += chunk.length;
        return this.onWrite(pieces.reduce((sum, piece) => sum + piece.length, 0));
      },
      commit: () => Promise.reject(new Error('not here')),
      finish: async () => {
        finish();
        return [];
      },
      abort: async () => {
        if (!ended) this.aborted++;
        finish();
      },
    };
    this.#pieces.set(writer, pieces);
    return writer;
  }

  async commit(writer: SpoolWriter, entries: IntakeEntry[]) {
    await writer.finish();
    await this.onCommit();
    const octets = Buffer.concat(this.#pieces.get(writer) ?? []);
    this.stored.push({ octets, entries });
    const digest = createHash('sha256').update(octets).digest('hex').slice(0, 12);
    return entries.map(({ mailbox }) => ({ id: `${mailbox}-${digest}`, duplicate: false }));
  }
}

export const testMailboxes = configSchema.parse({
  mailboxes: [
    {
      name: 'orders',
      addresses: ['orders@example.com', 'Mixed@example.com'],
      destinations: [{ type: 'directory', path: '/nonexistent' }],
    },
    {
      name: 'invoices',
      addresses: ['invoices@example.com', '@invoices.example'],
      destinations: [{ type: 'directory', path: '/nonexistent' }],
    },
  ],
}).mailboxes;

export interface TestReceiver {
  receiver: SmtpReceiver;
  intake: MemoryIntake;
  ports: number[];
}

/** Starts a receiver on a free port. `smtp` is written as in the configuration file. */
export async function startReceiver(
  smtp: Record<string, unknown> = {},
  options: {
    storeTimeout?: number;
    intake?: Pick<Intake, 'begin' | 'commit'>;
    log?: Log;
    now?: () => number;
  } = {},
): Promise<TestReceiver> {
  const intake = new MemoryIntake();
  const { smtp: config } = configSchema.parse({
    smtp: { listen: [{ port: 0 }], hostname: 'mx.example.com', greetingDelay: '0ms', ...smtp },
  });
  const receiver = createSmtpReceiver({
    config,
    mailboxes: testMailboxes,
    intake: options.intake ?? intake,
    log: options.log ?? createLog('silent', 'test'),
    ...(options.storeTimeout === undefined ? {} : { storeTimeout: options.storeTimeout }),
    ...(options.now === undefined ? {} : { now: options.now }),
  });
  const bound = await receiver.listen();
  return { receiver, intake, ports: bound.map(({ port }) => port) };
}

/** A client at the level of lines. */
export class RawClient {
  socket: Socket;
  #buffer = '';
  #waiting: (() => void) | undefined;
  ended = false;

  constructor(socket: Socket) {
    this.socket = socket;
    this.#listen();
  }

  static async connect(port: number): Promise<RawClient> {
    const socket = connectTcp(port, '127.0.0.1');
    const client = new RawClient(socket);
    await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    return client;
  }

  /** TLS from the first octet. */
  static async connectTls(port: number, ca: string): Promise<RawClient> {
    const socket = connectTls({ port, host: '127.0.0.1', ca, servername: 'localhost' });
    const client = new RawClient(socket);
    await new Promise((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject));
    return client;
  }

  #listen(): void {
    const wake = () => this.#waiting?.();
    this.socket.on('data', (chunk) => {
      this.#buffer += chunk.toString('latin1');
      wake();
    });
    const end = () => {
      this.ended = true;
      wake();
    };
    this.socket.on('end', end);
    this.socket.on('close', end);
    this.socket.on('error', end);
  }

  /** The next whole reply, lines joined by LF; '' when the server has closed the connection. */
  async reply(): Promise<string> {
    for (;;) {
      const match = /^(?:\d{3}-[^\r\n]*\r\n)*\d{3}(?: [^\r\n]*)?\r\n/.exec(this.#buffer);
      if (match !== null) {
        this.#buffer = this.#buffer.slice(match[0].length);
        return match[0].trimEnd().replaceAll('\r\n', '\n');
      }
      if (this.ended) return '';
      await new Promise<void>((resolve) => {
        this.#waiting = resolve;
      });
    }
  }

  write(text: string | Buffer): void {
    this.socket.write(text);
  }

  async command(line: string): Promise<string> {
    this.write(`${line}\r\n`);
    return this.reply();
  }

  /** Greeting and EHLO; returns the extensions. */
  async hello(): Promise<string> {
    await this.reply();
    return this.command('EHLO client.example.org');
  }

  /** MAIL, RCPT and DATA, up to the 354. */
  async envelope(to = ['orders@example.com'], from = 'sender@example.org'): Promise<string> {
    await this.command(`MAIL FROM:<${from}>`);
    for (const recipient of to) await this.command(`RCPT TO:<${recipient}>`);
    return this.command('DATA');
  }

  /** STARTTLS; what was written before the handshake in the same breath is `injected`. */
  async startTls(ca: string, injected = ''): Promise<void> {
    this.write(`STARTTLS\r\n${injected}`);
    await this.reply();
    this.socket.removeAllListeners();
    const secure = connectTls({ socket: this.socket, ca, servername: 'localhost' });
    await new Promise((resolve, reject) => secure.once('secureConnect', resolve).once('error', reject));
    this.socket = secure;
    this.#buffer = '';
    this.#listen();
  }

  close(): void {
    this.socket.destroy();
  }
}

/** An outcome of sending in the words of SMTP, with what its facts say. */
export function sentAs(outcome: Outcome | undefined) {
  assert.ok(outcome);
  const { reply, code, host, possibleDuplicate, message } = outcome.facts ?? {};
  return {
    status: 'done' in outcome ? 'sent' : 'retry' in outcome ? 'deferred' : 'refused',
    reply: String(reply ?? message),
    code: code === null || code === undefined ? null : Number(code),
    host,
    possibleDuplicate,
    peer: 'done' in outcome ? 'works' : outcome.peer,
    outcome,
  };
}
