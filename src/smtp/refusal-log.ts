import { cleanText, type Log } from '../log.ts';

/** Milliseconds between lines that say how often something was refused again. */
export const EVERY = 60_000;
/** Clients that get lines of their own for one kind of refusal in that time; the others share one. */
export const MAX_CLIENTS = 50;
/** Characters of a command that are logged. */
const MAX_COMMAND = 200;

/** Commands that are logged with their arguments. Whatever else a client sends could be a secret. */
const verbs = ['EHLO', 'HELO', 'MAIL', 'RCPT', 'DATA', 'RSET', 'NOOP', 'QUIT', 'VRFY', 'HELP', 'STARTTLS'];

export interface Refusal {
  /** What counts as one client, as the gate counts it. */
  client: string;
  /** Refusals of one kind are counted together: reply code and enhanced status. */
  kind: string;
  fields: Record<string, unknown>;
}

interface Entry {
  more: number;
  fields: Record<string, unknown>;
}

/**
 * Lines about what was refused: the first refusal of each kind for each client at once, then one line a minute that says
 * how often more. Each kind and client is counted by itself, so that a flood of one hides no other, and the number of
 * lines stays bounded however many clients there are.
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

  /** Logs what was counted since; forgets who was quiet. */
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
 * A command for the log, in one line without control characters. The arguments of AUTH, and lines that are no command
 * (which an attempted login sends too), are left out.
 */
export function commandForLog(command: string): string {
  const [verb = ''] = command.trimStart().split(/\s/, 1);
  const known = verb.toUpperCase();
  if (verbs.includes(known)) return cleanText(command, MAX_COMMAND);
  return known === 'AUTH' ? 'AUTH ***' : `unknown, ${command.length} octets`;
}
