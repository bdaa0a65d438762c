/** The ledger, as other rooms know it. */
import type { AuditEntry } from './audit-types.ts';
import type { LedgerEvent, Message, MessageRecord, MessageState } from './types.ts';

export interface ListQuery {
  direction?: Message['direction'];
  state?: MessageState;
  mailbox?: string;
  partner?: string;
  /** Reason code; only suspended messages have one. */
  reason?: string;
  /** Message-ID field, with its angle brackets. */
  messageId?: string;
  /** SHA-256 of the octets as received, in hex. */
  sha256?: string;
  /** Address of the envelope, in any case. */
  address?: string;
  /** Part of a kept subject (`keepSubjects`), in any case. Records are opened one after the other. */
  subject?: string;
  /** Received at or after, in milliseconds since the epoch. */
  since?: number;
  /** Received before, in milliseconds since the epoch. */
  until?: number;
  /** Messages per page. Default: 50. */
  limit?: number;
  cursor?: string;
}

/** Whose messages may be listed: inbound ones of these mailboxes, and outbound ones to these partners. */
export interface Among {
  mailboxes: '*' | readonly string[];
  partners: '*' | readonly string[];
}

export interface UsedCount {
  /** In UTC, such as `2026-11-30`. */
  day: string;
  code: string;
  messages: number;
}

/** What happened in one span of time. */
export interface Tally {
  /** Start of the span, in milliseconds since the epoch. */
  from: number;
  /** Accepted from outside. */
  received: number;
  /** Handed off to every destination. */
  delivered: number;
  /** Submitted for partners. */
  queued: number;
  sent: number;
  suspended: { inbound: number; outbound: number };
}

/** How long messages took from their acceptance to their end, in milliseconds, as upper bounds. */
export interface Latency {
  messages: number;
  p50: number;
  p90: number;
  p99: number;
}

export interface Tallies {
  spans: Tally[];
  /** For all spans together; null without a message. */
  latency: { inbound: Latency | null; outbound: Latency | null };
}

/** Messages that are suspended for the same reason, of the same partner, mailbox and day (UTC). */
export interface SuspendedGroup {
  reason: string;
  direction: Message['direction'];
  mailbox: string | null;
  partner: string | null;
  day: string;
  messages: number;
  /** When the oldest and the newest were received, in milliseconds since the epoch. */
  oldest: number;
  newest: number;
}

/** Whose a message is. */
export type MessageOwner = Pick<MessageRecord, 'direction' | 'mailbox' | 'partner'>;

export interface Ledger {
  /**
   * What happened since a given time, in spans of ten minutes, the oldest first, and how long it took. It is kept for
   * eight days, for the installation as a whole.
   */
  tallies(since: number, now: number): Promise<Tallies>;
  /** Of the messages in a state: how many there are, and when the oldest was received; null if there is none. */
  waiting(state: MessageState): Promise<{ messages: number; oldest: number | null }>;
  /**
   * The newest 20,000 suspended messages (of all, or of those that a client may see), in groups; `more` if there are
   * others.
   */
  suspended(among?: Among): Promise<{ groups: SuspendedGroup[]; more: boolean }>;
  get(id: string): Promise<MessageRecord | null>;
  /**
   * Only whose a message is. It costs the same whether the message exists or not, because somebody who may not see it
   * must not be able to tell.
   */
  ownerOf(id: string): Promise<MessageOwner | null>;
  /** The id itself if there is such a message; otherwise at most `most` ids that begin like that, in no order. */
  matching(prefix: string, most: number): Promise<string[]>;
  /**
   * The same among messages that somebody may see. Of the others, only the owner is read, and they do not count towards
   * `most`. Up to 5,000 ids are looked at.
   */
  matchingAmong(prefix: string, most: number, sees: (owner: MessageOwner) => boolean): Promise<string[]>;
  /**
   * Subjects of messages, opened, in the order of the ids; null where none is kept. They are content, for people who
   * may read that.
   */
  subjects(ids: readonly string[]): Promise<(string | null)[]>;
  /**
   * Newest first. `cursor` leads to the next page; null at the end. With a subject, 10,000 records are searched for a
   * page, which may then have fewer messages. The same goes for an address, until the sweep has seen the records of
   * earlier versions.
   */
  list(query: ListQuery): Promise<{ messages: MessageRecord[]; cursor: string | null }>;
  /**
   * The same among certain messages, with bounded work: a page may have fewer messages than requested, and still lead
   * to another one.
   */
  listAmong(query: ListQuery, among: Among): Promise<{ messages: MessageRecord[]; cursor: string | null }>;
  /** Ids of all matches, newest first. Messages that change meanwhile may or may not be included. */
  ids(query: ListQuery): AsyncIterable<string>;
  /**
   * When each of the messages is due next, in milliseconds since the epoch: 0 if it only waits for its turn, null if
   * nothing of it is queued.
   */
  due(ids: readonly string[]): Promise<(number | null)[]>;
  count(): Promise<Record<MessageState, number>>;
  /**
   * Messages of a mailbox (inbound) or partner (outbound) that are in progress, and those that are suspended; up to
   * 10,000.
   */
  backlog(direction: Message['direction'], name: string): Promise<{ waiting: number; suspended: number }>;
  /** Octets held for messages that are in progress or suspended, by state. */
  load(): Promise<Partial<Record<MessageState, number>>>;
  /** The oldest messages of a state, oldest first. */
  oldest(state: MessageState, most: number): Promise<MessageRecord[]>;
  /**
   * How messages of a partner, in both directions, were protected on each of the last days: codes as in the fact `used`
   * of events, with `*` for those that there was no room for. At most `usedDays` are kept.
   *
   * @param now milliseconds since the epoch; its day counts, too
   */
  used(partner: string, days: number, now: number): Promise<UsedCount[]>;
  /** Appends an event that changes no state, and with `audit` an entry to the audit trail. */
  note(id: string, event: LedgerEvent, audit?: AuditEntry): Promise<void>;
}
