/**
 * What the log says about the jobs of messages, so that nobody has to look into the ledger to notice that something is
 * wrong. Each kind of line is limited separately for each mailbox, partner and reason: a flood of one does not hide
 * another.
 */
import type { PartnerNames } from '../config/index.ts';
import { errorRow } from '../errors.ts';
import { cleanText, type Log, logSome } from '../log.ts';
import type { Attribution, Facts, Jobs, QueueName, WorkQueue } from './types.ts';

/** Lines of one kind in 30 seconds. Further ones are counted. */
const most = 20;
/** Longest text of another server, or about a failure, in characters. */
const longest = 300;

export interface JobLogParts {
  log: Log;
  names: Pick<PartnerNames, 'present'>;
}

/** Whose a job is, with the present names in the configuration. */
interface Owner {
  mailbox?: string;
  destination?: string;
  partner?: string;
}

export class JobLog {
  readonly #parts: JobLogParts;

  constructor(parts: JobLogParts) {
    this.#parts = parts;
  }

  /** A message waits for a person. `partner`: who sent it, as far as known (by key). */
  suspended(
    queue: WorkQueue,
    job: Jobs[WorkQueue],
    reason: string,
    facts: Facts = {},
    from?: Pick<Attribution, 'partner'>,
  ): void {
    const owner = this.#ownerOf(queue, job);
    const sender = from?.partner ? { partner: this.#parts.names.present(from.partner) } : {};
    const row = errorRow(reason);
    this.#say(
      'warn',
      { kind: 'suspended', owner: { ...owner, ...sender }, reason },
      {
        ...{ id: job.id, queue, ...owner, ...sender, reason },
        ...said(facts),
        ...(row && { why: row.cause, hint: row.remedy }),
      },
      'a message is suspended',
    );
  }

  /** An attempt failed, and the next one is planned. */
  retried(
    queue: QueueName,
    job: Jobs[QueueName],
    { reason, attempt, at, facts }: { reason: string; attempt: number; at: number; facts: Facts },
  ): void {
    const owner = this.#ownerOf(queue, job);
    const fields = { id: job.id, queue, ...owner, reason, attempt, next: new Date(at).toISOString() };
    this.#say(
      'info',
      { kind: 'retried', owner, reason },
      { ...fields, ...said(facts) },
      'an attempt failed; it is tried again',
    );
    if (facts.stage !== 'login') return;
    const login = { queue, ...owner, host: facts.host, ...said(facts) };
    this.#say('warn', { kind: 'login', owner, reason: '' }, login, 'a login at a route failed');
  }

  /** A step ended with an error of our own or of a library. */
  failed(queue: QueueName, job: Jobs[QueueName], err: unknown, code: string, away: boolean): void {
    const owner = this.#ownerOf(queue, job);
    const about = { kind: 'failed', owner: away ? {} : owner, reason: code };
    this.#say('warn', about, { err, queue, id: job.id, ...owner }, 'job failed', away ? 1 : most);
  }

  #ownerOf(queue: QueueName, job: Jobs[QueueName]): Owner {
    if (queue === 'failures' && 'owner' in job)
      return job.direction === 'outbound' ? { partner: this.#name(job.owner) } : { mailbox: job.owner };
    if ('partner' in job) return { partner: this.#name(job.partner) };
    const { mailbox, destination }: Owner = 'mailbox' in job ? job : {};
    return { ...(mailbox !== undefined && { mailbox }), ...(destination !== undefined && { destination }) };
  }

  #name(key: string): string {
    return this.#parts.names.present(key);
  }

  #say(
    level: 'info' | 'warn',
    { kind, owner, reason }: { kind: string; owner: Owner; reason: string },
    fields: Record<string, unknown>,
    message: string,
    lines = most,
  ): void {
    const key = [kind, owner.mailbox, owner.destination, owner.partner, reason].join('\n');
    logSome(this.#parts.log, level, { key, most: lines }, fields, message);
  }
}

/** What the other side said, or why it failed. Somebody else's text. */
function said(facts: Facts): { said?: string } {
  const text = facts.reply ?? facts.message;
  return typeof text === 'string' && text !== '' ? { said: cleanText(text, longest) } : {};
}
