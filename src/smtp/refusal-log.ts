import { cleanText, type Log } from '../log.ts';

/** Milliseconds between lines that count repeated refusals. */
export const EVERY = 60_000;
/** Clients that are counted separately for each kind of refusal in that time. All others share one count. */
export const MAX_CLIENTS = 50;
/** Characters of a command that are logged. */
const MAX_COMMAND = 200;

/** Commands that are logged with their arguments. Anything else that a client sends may be a secret. */
const verbs = ['EHLO', 'HELO', 'MAIL', 'RCPT', 'DATA', 'RSET', 'NOOP', 'QUIT', 'VRFY', 'HELP', 'STARTTLS'];

export interface Refusal {
  /** What the gate counts as one client. */
  client: string;
  /** Refusals with the same reply code and enhanced status are counted together. */
  kind: string;
  fields: Record<string, unknown>;
}

interface Entry {
  more: number;
  fields: Record<string, unknown>;
}

/**
 * Logs refusals. The first of each kind from each client is logged at once; after that, one line a minute counts the
 * rest. Each kind and client is counted separately, so a flood from one does not hide another. The number of lines is
 * bounded, whatever the number of clients.
 */
export class RefusalLog {
  readonly #log: Log;
  readonly #kinds = new Map<string, Map<string, Entry>>();
  #timer: NodeJS.Timeout | undefined;

  constructor(log: Log) {
    this.#log = log;
  }

  note({ client, kind, fields }: Refusal): void {
    const clients = this.#kinds.get(kind) ?? new Map<string, Entry>();
    this.#kinds.set(kind, clients);
    const key = clients.has(client) || clients.size < MAX_CLIENTS ? client : 'others';
    const known = clients.get(key);
    if (known !== undefined) {
      known.more++;
      known.fields = fields;
      return;
    }
    clients.set(key, { more: 0, fields });
    this.#log.info(fields, 'refused');
    this.#timer ??= setInterval(() => this.flush(), EVERY).unref();
  }

  /** Logs what has been counted since the last time, and forgets clients without refusals. */
  flush(): void {
    for (const [kind, clients] of this.#kinds) {
      for (const [client, entry] of clients) {
        if (entry.more === 0) clients.delete(client);
        else {
          const others = client === 'others' ? { clients: 'others' } : {};
          this.#log.info({ ...entry.fields, ...others, more: entry.more }, 'refused');
        }
        entry.more = 0;
      }
      if (clients.size === 0) this.#kinds.delete(kind);
    }
    if (this.#kinds.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

/**
 * A command for the log: one line, without control characters. The arguments of AUTH are left out, and so are lines
 * that are not commands, because a client that tries to log in sends such lines.
 */
export function commandForLog(command: string): string {
  const [verb = ''] = command.trimStart().split(/\s/, 1);
  const known = verb.toUpperCase();
  if (verbs.includes(known)) return cleanText(command, MAX_COMMAND);
  return known === 'AUTH' ? 'AUTH ***' : `unknown, ${command.length} octets`;
}
