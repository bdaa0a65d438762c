/**
 * The one durable way in. Octets, job and record go to Redis in one transaction, which is also one transaction of the
 * append-only file. With `appendfsync always`, the reply follows the fsync. So after a crash at any moment, there are
 * two cases. Either nothing is stored, and the sender, who got no reply, sends again. Or everything is, and the
 * repetition is recognized by its id. A file is on disk before that. If the script did not run, no message refers to
 * the file, and the sweep removes it.
 */
import { createHash, randomUUID } from 'node:crypto';
import type { PartnerNames } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import { counter } from '../metrics.ts';
import type { DurableWrites, Octets } from '../redis/index.ts';
import { carried } from '../spans.ts';
import type { FinishedOctets, SpoolRef, SpoolWriter, TieredSpool } from '../spool/index.ts';
import { Batches } from './batches.ts';
import { eventLine, type RecordFacts } from './ledger.ts';
import { countMessage } from './message-metrics.ts';
import { type Pressure, queueFull } from './pressure.ts';
import { scripts } from './steps.ts';
import type { Subjects } from './subjects.ts';
import {
  type InboundJob,
  type InboundMessage,
  type Intake,
  type IntakeEntry,
  type IntakeResult,
  idempotencyKept,
  type Message,
  type MessageState,
  type OutboundEntry,
  type OutboundJob,
  type OutboundMessage,
  usualPriority,
  type WorkQueue,
} from './types.ts';

const accepted = counter(
  'accepted_total',
  'Messages that were stored durably, by queue; duplicate is yes for those that were known already.',
  ['queue', 'duplicate'],
);

const refused = counter(
  'queue_full_total',
  'Messages that were refused because there was no room: depth, octets (limits.queue), memory (Redis), disk.',
  ['what'],
);

export type QueueLimits = Record<WorkQueue, { depth: number; octets: number }>;

export interface IntakeParts {
  /** The time of day, in milliseconds since the epoch. */
  now: () => number;
  /** For writes that are acknowledged to a sender. */
  writes: DurableWrites;
  /** The present names and keys of partners, for metrics. */
  names: Pick<PartnerNames, 'present'>;
  spool: TieredSpool;
  subjects: Pick<Subjects, 'seal'>;
  /** Milliseconds for which a finished message counts for duplicate detection. */
  duplicates: number;
  /** Mailboxes in which the same octets may be a different message. */
  repeating: ReadonlySet<string>;
  /** What makes two arrivals the same message, by mailbox. Default: the octets. */
  identity: ReadonlyMap<string, 'content' | 'message-id' | 'uid'>;
  /** Partners whose mail is sent in the order in which it came. */
  ordered: ReadonlySet<string>;
  limits: QueueLimits;
  pressure: Pressure;
  /** See `Intake.deriveKey`. */
  deriveKey: (purpose: string) => Buffer;
  /** Called when messages were accepted. */
  onWork?: (() => void) | undefined;
}

/** Id from what identifies a message: a letter (BullMQ takes no number) and 124 bits of SHA-256 in hex. */
function idOf(letter: string, ...parts: string[]): string {
  const digest = createHash('sha256').update(parts.join('\0')).digest('hex');
  return letter + digest.slice(0, 31);
}

/** The octets that go to Redis. */
export function inlineOctets(octets: readonly FinishedOctets[]): Octets {
  return octets.flatMap(({ ref, sealed }) => (sealed === null ? [] : [[ref.id, sealed] as const]));
}

export function octetsToken(ref: SpoolRef): string {
  return `${ref.kind === 'inline' ? 'i' : 'f'}:${ref.id}`;
}

interface Item {
  id: string;
  /** Mailbox or partner. */
  name: string;
  facts: RecordFacts;
  received: string;
  duplicate: string;
  octets: FinishedOctets;
  job: InboundJob | OutboundJob;
  /** The fingerprint of the request that came with an idempotency key, or ''. */
  fingerprint: string;
  /** Sealed, or '' if it is not kept. */
  subject: string;
}

/** One arrival, for one or several mailboxes. */
interface Arrival {
  items: Item[];
  /** Milliseconds since the epoch. */
  now: number;
}

interface Direction {
  queue: 'inbound' | 'outbound';
  state: 'received' | 'queued';
  index: 'b' | 'p';
  /** What must have room. A message counts towards the queue of its state. */
  limited: { state: MessageState; queue: WorkQueue }[];
}

const inboundMail: Direction = {
  queue: 'inbound',
  state: 'received',
  index: 'b',
  // decoded messages wait for destinations; if those are down, this is what fills up
  limited: [
    { state: 'received', queue: 'inbound' },
    { state: 'decoded', queue: 'handoff' },
  ],
};
const outboundMail: Direction = {
  queue: 'outbound',
  state: 'queued',
  index: 'p',
  limited: [{ state: 'queued', queue: 'outbound' }],
};

/** Arrivals per run of the script, because nobody else gets a reply from Redis meanwhile. */
const mostArrivals = 16;

export class RedisIntake implements Intake {
  readonly #parts: IntakeParts;
  readonly #batches: Record<Direction['queue'], Batches<Arrival, unknown>>;

  constructor(parts: IntakeParts) {
    this.#parts = parts;
    const batches = (direction: Direction) =>
      new Batches<Arrival, unknown>((arrivals) => this.#run(direction, arrivals), mostArrivals);
    this.#batches = { inbound: batches(inboundMail), outbound: batches(outboundMail) };
  }

  refusal(): SealpostError | null {
    return this.#parts.pressure.refusal();
  }

  begin(): SpoolWriter {
    return this.#parts.spool.create();
  }

  deriveKey(purpose: string): Buffer {
    return this.#parts.deriveKey(purpose);
  }

  async commit(writer: SpoolWriter, entries: IntakeEntry[]): Promise<IntakeResult[]> {
    if (entries.length === 0) throw new SealpostError('internal', 'a message came for no mailbox');
    await this.#ensureRoom(writer);
    const finished = await writer.finish(entries.length);
    const now = this.#parts.now();
    const items = entries.map((entry, index): Item => {
      const octets = at(finished, index);
      const id = idOf('i', entry.mailbox, ...this.#identity(entry, octets.ref.sha256));
      const { mailbox, origin, envelope, messageId } = entry;
      const message: InboundMessage = {
        ...{ id, direction: 'inbound', mailbox, origin, envelope, messageId },
        receivedAt: now,
      };
      return this.#item(message, mailbox, octets);
    });
    return await this.#accept(inboundMail, items, now);
  }

  /**
   * What distinguishes the messages of a mailbox. The records under it, and so duplicate detection, outlive any
   * process.
   */
  #identity({ mailbox, origin, messageId }: IntakeEntry, sha256: string): string[] {
    const uid = origin.kind === 'imap' ? JSON.stringify(origin.detail) : undefined;
    if (this.#parts.repeating.has(mailbox)) return [sha256, uid ?? randomUUID()];
    const by = this.#parts.identity.get(mailbox);
    // with a prefix that is not a digest, so that it cannot be mistaken for other octets
    if (by === 'message-id' && messageId !== null) return ['message-id', messageId];
    if (by === 'uid' && uid !== undefined) return ['uid', uid];
    return [sha256];
  }

  /** Throws `queue-full` before anything is stored. */
  async #ensureRoom(writer: SpoolWriter): Promise<void> {
    const refusal = this.refusal();
    if (!refusal) return;
    await writer.abort();
    refused.inc({ what: this.#parts.pressure.what() ?? 'depth' });
    throw refusal;
  }

  async commitOutbound(writer: SpoolWriter, entries: OutboundEntry[]): Promise<IntakeResult[]> {
    if (entries.length === 0) throw new SealpostError('internal', 'a message is for no partner');
    await this.#ensureRoom(writer);
    const finished = await writer.finish(entries.length);
    const now = this.#parts.now();
    const items = entries.map(({ idempotency, subject, ...entry }, index): Item => {
      const { partner, client = '' } = entry;
      const id = idOf('o', partner, ...(idempotency ? [client, idempotency.key] : [randomUUID()]));
      const message: OutboundMessage = { id, direction: 'outbound', ...entry, receivedAt: now };
      return this.#item(message, partner, at(finished, index), {
        fingerprint: `${idempotency?.onlyKnown ? '!' : ''}${idempotency?.fingerprint ?? ''}`,
        subject: subject === undefined ? '' : this.#parts.subjects.seal(id, subject),
      });
    });
    return await this.#accept(outboundMail, items, now);
  }

  #item(
    message: Message,
    name: string,
    octets: FinishedOctets,
    asked: Pick<Item, 'fingerprint' | 'subject'> = { fingerprint: '', subject: '' },
  ): Item {
    const { direction, origin, envelope, messageId, receivedAt: at } = message;
    const { from, to } = envelope;
    const { sha256 } = octets.ref;
    const facts = { kind: origin.kind, ...origin.detail };
    const request = message.direction === 'outbound' ? requestOf(message) : {};
    return {
      id: message.id,
      name,
      facts: { direction, origin, envelope, messageId, octets: octets.ref.octets, sha256, ...request },
      received: eventLine({ type: direction === 'inbound' ? 'received' : 'queued', at, facts }),
      // A duplicate need not have the same octets or recipients: the envelope in the record is that of the first.
      duplicate: eventLine({ type: 'duplicate', at, facts: { ...facts, sha256, from, to } }),
      octets,
      job: { ...message, octets: octets.ref, ...carried() },
      ...asked,
    };
  }

  async #accept(direction: Direction, items: Item[], now: number): Promise<IntakeResult[]> {
    const { spool, pressure } = this.#parts;
    const { queue, limited } = direction;
    const file = items[0]?.octets.ref;
    const reply = await this.#batches[queue].add({ items, now }).catch(async (error: unknown) => {
      if (file?.kind === 'file') await this.#discard(file, error);
      throw error;
    });
    const flags: unknown[] = Array.isArray(reply) ? reply : [];
    if (flags[0] === -2) {
      if (file?.kind === 'file') await spool.remove(file);
      throw new SealpostError('idempotency-conflict', 'the idempotency key was used for another request');
    }
    if (flags[0] === -3) {
      if (file?.kind === 'file') await spool.remove(file);
      throw new SealpostError('request-invalid', 'notAfter is over, and the idempotency key is not known');
    }
    if (flags[0] === -1) {
      if (file?.kind === 'file') await spool.remove(file);
      const full = limited.find((each) => each.state === flags[1])?.queue ?? queue;
      const what = flags[2] === 'octets' ? 'octets' : 'depth';
      refused.inc({ what });
      pressure.lookSoon();
      throw queueFull(`the queue ${full} is full (limits.queue.${full}.${what})`);
    }
    const results = items.map(({ id }, position) => ({ id, duplicate: flags[position] === 1 }));
    this.#parts.onWork?.();
    results.forEach(({ duplicate }, at) => {
      accepted.inc({ queue, duplicate: duplicate ? 'yes' : 'no' });
      const job = items[at]?.job;
      if (!duplicate && job) countMessage('accepted', queue, job, this.#parts.names);
    });

    if (file?.kind === 'file' && results.every(({ duplicate }) => duplicate)) await spool.remove(file);
    return results;
  }

  /** One run of the script for all arrivals; a result for each. */
  async #run({ queue, state, index, limited }: Direction, arrivals: readonly Arrival[]): Promise<unknown[]> {
    const { writes, duplicates, limits } = this.#parts;
    const known = queue === 'inbound' ? duplicates : idempotencyKept;
    const args: (string | number | Buffer)[] = [known, queue, state, index];
    for (const place of [0, 1]) {
      const each = limited[place];
      if (each) args.push(each.state, limits[each.queue].depth, limits[each.queue].octets);
      else args.push('', 0, 0);
    }
    for (const { items, now } of arrivals) {
      args.push(now, items.length);
      for (const { id, name, facts, received, duplicate, octets, job, fingerprint, subject } of items) {
        args.push(id, name, JSON.stringify(facts), received, duplicate, octetsToken(octets.ref));
        args.push(JSON.stringify(job), facts.messageId ?? '', octets.ref.sha256, octets.ref.octets);
        const { priority = usualPriority } = ('delivery' in job ? job.delivery : undefined) ?? {};
        const isOutbound = job.direction === 'outbound';
        const line = `${this.#parts.ordered.has(name) ? '1' : '0'}${lineOf(name, facts.client)}`;
        const { from, to } = facts.envelope;
        args.push(fingerprint, isOutbound ? priority : '', isOutbound ? line : '', subject);
        args.push([from, ...to].join('\n'));
      }
    }
    const octets = arrivals.flatMap(({ items }) => items.map((item) => item.octets));
    const reply = await writes.run(scripts.accept, args, 'intake', inlineOctets(octets));
    return Array.isArray(reply) ? reply : [];
  }

  /**
   * The file of a message that was not accepted. It is removed at once, or, if Redis may have the message anyway, once
   * that is known.
   */
  async #discard(file: SpoolRef, error: unknown): Promise<void> {
    const { spool } = this.#parts;
    if (error instanceof SealpostError && error.code === 'redis-full') return await spool.remove(file);
    setTimeout(() => {
      // if this fails, the sweep does it
      spool.removeUnowned(file).catch(() => undefined);
    }, inDoubt).unref();
  }
}

/** Clients do not wait for each other in a line. */
const lineOf = (partner: string, client = '') => `${partner}/${client}`;

/** What the client said about a message, for its record. */
function requestOf({ client, metadata, delivery }: OutboundMessage): Partial<RecordFacts> {
  return {
    ...(client === undefined ? {} : { client }),
    ...(metadata === undefined ? {} : { metadata }),
    ...(delivery === undefined ? {} : { delivery }),
  };
}

/** Milliseconds until whatever was sent to Redis has been done, or never will be. */
const inDoubt = 30_000;

function at<T>(list: T[], index: number): T {
  const item = list[index];
  if (item === undefined) throw new SealpostError('internal', 'fewer octets were finished than asked for');
  return item;
}
