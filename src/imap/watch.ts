import type { ImapFlow } from 'imapflow';
import { SealpostError } from '../errors.ts';
import { cleanText, withoutSecrets } from '../log.ts';

/** Lines, and their octets without literals, that a server may send during one command or while idle. */
export const MAX_LINES = 20_000;
export const MAX_OCTETS = 32 * 1024 * 1024;
/** Default milliseconds for a command. */
const COMMAND_TIMEOUT = 60_000;
/** How many times longer than a command a chunk of a message may take. */
export const PIECE_FACTOR = 5;
/** Characters of the server's own words that are kept. */
export const MAX_WORDS = 200;

/** Lines of a dialogue that are kept for a failure. */
const linesKept = 16;

/** Dialogues by the error that ended them. */
const dialogues = new WeakMap<SealpostError, readonly string[]>();

/** The last lines of the session that ended so; empty if there was none. */
export const dialogueOf = (error: SealpostError): readonly string[] => dialogues.get(error) ?? [];

const watches = new WeakMap<ImapFlow, Watch>();

/** The watch over a connection; created with the defaults if there is none yet. */
export function watchOf(client: ImapFlow): Watch {
  return (
    watches.get(client) ?? new Watch(client, { host: 'the server', timeout: COMMAND_TIMEOUT, secrets: [] })
  );
}

export interface WatchOptions {
  host: string;
  /** Milliseconds for one command. */
  timeout: number;
  /** Secrets that must not be repeated. */
  secrets: readonly string[];
}

/**
 * Adds what imapflow lacks: a deadline for each command that only its answer can end, a limit on what a server sends
 * meanwhile, and the server's own words, which imapflow gives only to its logger.
 */
export class Watch {
  /** Why we ended the connection. */
  failure: SealpostError | undefined;
  readonly #client: ImapFlow;
  readonly #options: WatchOptions;
  #lines = 0;
  #octets = 0;
  #words = '';
  readonly #dialogue: string[] = [];

  constructor(client: ImapFlow, options: WatchOptions) {
    this.#client = client;
    this.#options = options;
    watches.set(client, this);
    this.#count();
  }

  /** The server's last unsolicited text, for log, health and check; '' if there was none. */
  get words(): string {
    return this.#words;
  }

  /**
   * Runs a command. Errors: those of `command`; `imap-failed` if no answer comes in time, or if the server sends too
   * much else.
   */
  async answered<T>(what: string, command: () => Promise<T>, factor = 1): Promise<T> {
    this.#lines = 0;
    this.#octets = 0;
    const ms = this.#options.timeout * factor;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        this.#end(`did not answer ${what} in ${ms / 1000} seconds`);
        reject(this.failure);
      }, ms);
    });
    try {
      return await Promise.race([command(), late]);
    } catch (error) {
      this.hear(error);
      throw this.failure ?? error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Keeps the server's words from an error of imapflow. */
  hear(error: unknown): void {
    if (!(error instanceof Error)) return;
    const { responseText, serverResponse, reason } = error as Error & Record<string, unknown>;
    const text = [responseText, reason, serverResponse].find(
      (each) => typeof each === 'string' && each !== '',
    );
    if (typeof text === 'string') this.#words = this.clean(text);
    if (error.cause !== undefined) this.hear(error.cause);
  }

  /**
   * Keeps what imapflow logs of the dialogue, in which it masks passwords and tokens. Messages are not among it:
   * imapflow logs them on a level that is off.
   */
  overhear(entry: unknown): void {
    if (typeof entry !== 'object' || entry === null || !('src' in entry) || !('msg' in entry)) return;
    if (typeof entry.msg !== 'string') return;
    this.#dialogue.push(`${entry.src === 'c' ? '>' : '<'} ${this.clean(entry.msg)}`);
    if (this.#dialogue.length > linesKept) this.#dialogue.shift();
  }

  /** The same error, which has the dialogue from now on. */
  saying(error: SealpostError): SealpostError {
    dialogues.set(error, [...this.#dialogue]);
    return error;
  }

  /** Text as one short line, without our secrets. */
  clean(text: string): string {
    return cleanText(withoutSecrets(text, this.#options.secrets), MAX_WORDS);
  }

  #end(why: string): void {
    this.failure ??= new SealpostError('imap-failed', `${this.#options.host} ${why}`);
    this.#client.close();
  }

  /** Counts responses where imapflow takes them from its parser, because it has no event for them. */
  #count(): void {
    const stream: unknown = Reflect.get(this.#client, 'streamer');
    if (typeof stream !== 'object' || stream === null) return;
    const read: unknown = Reflect.get(stream, 'read');
    if (typeof read !== 'function') return;
    Reflect.set(stream, 'read', (...args: unknown[]) => {
      const data: unknown = Reflect.apply(read, stream, args);
      if (typeof data === 'object' && data !== null && 'payload' in data) this.#take(data.payload);
      return data;
    });
  }

  #take(payload: unknown): void {
    this.#lines++;
    this.#octets += Buffer.isBuffer(payload) ? payload.length : 0;
    if (this.#lines > MAX_LINES || this.#octets > MAX_OCTETS) {
      this.#end(`sent ${this.#lines} lines of ${this.#octets} octets instead of an answer`);
    }
  }
}
