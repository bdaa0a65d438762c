/**
 * What the other rooms know about the queue: the ledger (facts and events of each message), the intake (the one durable
 * way in) and the queues.
 */
import type { ErrorCode, SealpostError } from '../errors.ts';
import type { FinishedOctets, SpoolRef, SpoolWriter } from '../spool/index.ts';

export type { Audit, AuditEntry, AuditQuery } from './audit-types.ts';
export { type Held, mostReplays, type ReplayBudget, type Replays } from './replay-types.ts';

import type { JobEnd } from './job-end.ts';
import type { Held, ReplayBudget } from './replay-types.ts';
import type { QueueWorker, WorkerOptions } from './worker-types.ts';

export type { Pace, QueueWorker, WorkerOptions } from './worker-types.ts';

/** Where a message came from. Metadata only: nothing of the content except its Message-ID. */
export interface Origin {
  kind: 'smtp' | 'imap' | 'command' | 'api' | 'submission' | 'folder' | 'queue' | 'daemon';
  /** SMTP: address of the client and name in its greeting; IMAP: host, folder, UIDVALIDITY and UID; others alike. */
  detail: Record<string, string | number>;
}

export interface Envelope {
  /** Envelope sender, "" for the null sender (RFC 5321 section 4.5.5). */
  from: string;
  to: string[];
  /** What the sender wants to hear of the delivery. */
  dsn?: DsnRequest;
}

/** Delivery status notifications as the sender asked for them (RFC 3461), with the values as they were given. */
export interface DsnRequest {
  /** RET: what comes back. */
  ret?: 'FULL' | 'HDRS';
  /** ENVID, in xtext. */
  envid?: string;
  /** By recipient. */
  recipients?: Record<string, { notify?: string[]; orcpt?: string }>;
}

export { usualPriority } from './priority.ts';

/** When and how urgently a message leaves. */
export interface DeliveryOptions {
  /** 1 is first, 10 is last; `usualPriority` without it. */
  priority?: number;
  /** Not before, in milliseconds since the epoch. */
  notBefore?: number;
  /** Not after, in milliseconds since the epoch: suspended as `expired` instead. */
  notAfter?: number;
}

/** What is known of a message wherever it is: jobs, record, delivery and document all have it. */
interface MessageBase {
  /** Derived from the mailbox and the octets, or from the partner and the idempotency key. */
  id: string;
  origin: Origin;
  envelope: Envelope;
  /** Message-ID field, with its angle brackets; null if it has none. */
  messageId: string | null;
  /** When it was accepted, in milliseconds since the epoch. */
  receivedAt: number;
}

export interface InboundMessage extends MessageBase {
  direction: 'inbound';
  /** Name of the mailbox that it came for. */
  mailbox: string;
}

export interface OutboundMessage extends MessageBase {
  direction: 'outbound';
  /** Name of the partner that it is for. */
  partner: string;
  /** Name of the client that submitted it; absent in messages of version 0.1.0. */
  client?: string;
  /** Pairs of the client's own, which come back with everything that is said of the message. */
  metadata?: Record<string, string>;
  delivery?: DeliveryOptions;
}

export type Message = InboundMessage | OutboundMessage;

export const messageStates = [
  'received',
  'decoded',
  'delivered',
  'suspended',
  'terminated',
  'queued',
  'sent',
] as const;
export type MessageState = (typeof messageStates)[number];

export function isState(text: unknown): text is MessageState {
  return messageStates.some((state) => state === text);
}

export type LedgerEventType =
  | 'received'
  | 'duplicate'
  | 'decoded'
  | 'handed-off'
  | 'delivered'
  | 'queued'
  | 'sent'
  | 'retried'
  | 'suspended'
  | 'resumed'
  | 'retry-now'
  | 'decode-again'
  | 'saved'
  | 'reported'
  | 'report-failed'
  | 'dropped'
  | 'certificate'
  | 'refused'
  | 'terminated';

export interface LedgerEvent {
  type: LedgerEventType;
  /** Milliseconds since the epoch. */
  at: number;
  /** Facts of the event; no content, no secrets. */
  facts: Record<string, string | number | boolean | null | string[]>;
}

/** How the partner of an inbound message was resolved, as in the verdict (`sender.by`). */
export type PartnerBy = 'signature' | 'address' | 'conflict';

export interface Attribution {
  /** The partner who sent it, by its key (`partnerKey`); null if unknown. */
  partner: string | null;
  /** Null if no partner is concerned. */
  partnerBy: PartnerBy | null;
  /** Where it is kept; it is sealed before it is written. */
  subject?: string;
}

export interface MessageRecord extends MessageBase {
  direction: Message['direction'];
  state: MessageState;
  /** Null for an outbound message. */
  mailbox: string | null;
  /** Whom it is for, or, inbound, who sent it as far as known. */
  partner: string | null;
  /** Inbound: how the partner was resolved. Null if none is concerned, and in records of 0.1.0. */
  partnerBy: PartnerBy | null;
  /** Who submitted an outbound message. */
  client?: string;
  metadata?: Record<string, string>;
  delivery?: DeliveryOptions;
  octets: number;
  sha256: string;
  updatedAt: number;
  /** Reason code when suspended. */
  reason: string | null;
  events: LedgerEvent[];
}

/** What the queues themselves note in a job. */
export interface JobMarks {
  /** The trace that it is part of, as the queues carry it. */
  trace?: string;
  /** Attempts that did not reach the other side and do not count. */
  untried?: number;
  /** Starts alone without an outcome, after its process died. */
  alone?: number;
  /** Starts without an outcome before the last one that had an outcome. */
  forgiven?: number;
  /** Recipients that have it already. */
  reached?: readonly string[];
}

/** Job of the queue "inbound": the name is the message id. */
export interface InboundJob extends InboundMessage, JobMarks {
  octets: SpoolRef;
  /** How often it was decoded again after a hand-off. */
  again?: number;
}

/** Job of the queue "handoff": one for each message and destination. */
export interface HandoffJob extends InboundMessage, JobMarks {
  /** Name of the destination in the mailbox's list. */
  destination: string;
  /** The octets as they came. */
  original: SpoolRef;
  /** The decoded content. */
  content: SpoolRef;
  /** The verdict and the outer header block, as sealed JSON. */
  result: SpoolRef;
  /** How often a person had it decoded again after a hand-off; each time has another idempotency key. */
  again?: number;
}

/** Job of the queue "outbound". */
export interface OutboundJob extends OutboundMessage, JobMarks {
  octets: SpoolRef;
}

/** Job of the queue "failures": a suspended message to report to a destination. */
export interface FailureJob extends JobMarks {
  id: string;
  direction: Message['direction'];
  /** Name of the mailbox (inbound) or partner (outbound). */
  owner: string;
  /** What was suspended: `inbound`, `handoff.NAME` of a destination, or `outbound`. */
  work: string;
  reason: string;
  facts: Facts;
  /** How often its job was started. */
  starts: number;
  /** Milliseconds since the epoch. */
  suspendedAt: number;
  /** How often the message had been resumed or decoded again before. */
  turn: number;
}

export interface Jobs {
  inbound: InboundJob;
  handoff: HandoffJob;
  outbound: OutboundJob;
  failures: FailureJob;
}
export type QueueName = keyof Jobs;
/** The queues whose jobs are a step of a message. */
export type WorkQueue = Exclude<QueueName, 'failures'>;

export type Facts = LedgerEvent['facts'];

/** One mailbox that a message is for. */
export type IntakeEntry = Omit<InboundMessage, 'id' | 'direction' | 'receivedAt'>;

export interface IntakeResult {
  /** Bound to the mailbox and the octets: the same message gets the same id. */
  id: string;
  /** True if it was here before; it is not processed again. */
  duplicate: boolean;
}

export interface OutboundEntry extends Omit<OutboundMessage, 'id' | 'direction' | 'receivedAt'> {
  /** Where it is kept; it is sealed before it is written. */
  subject?: string;
  /**
   * A repeated call of the same client with the same key and partner is a duplicate, for `idempotencyKept`. Without a
   * key, each call is a new message.
   */
  idempotency?: {
    key: string;
    /** Digest of the request; the same key with another one is refused. At most 64 letters and digits. */
    fingerprint: string;
    /** It may repeat a message, and must not be a new one: `request-invalid`. */
    onlyKnown?: true;
  };
}

/** Milliseconds that an idempotency key is known: 7 days. */
export const idempotencyKept = 7 * 86_400_000;

/** The one durable way in. */
export interface Intake {
  /** Why nothing new is accepted now (`queue-full`), as of the last check; null if there is room. */
  refusal(): SealpostError | null;
  /** Takes the octets. */
  begin(): SpoolWriter;
  /** A key for the purpose, the same in all processes of the installation. */
  deriveKey(purpose: string): Buffer;
  /**
   * One result for each entry, in order, when octets, job and record are on disk. `queue-full`: there is no room.
   * `redis-unreachable`, `redis-full`, `spool-write`: for the sender, nothing was accepted, and a repetition does no
   * harm.
   */
  commit(writer: SpoolWriter, entries: IntakeEntry[]): Promise<IntakeResult[]>;
  /**
   * The same for messages to partners. `idempotency-conflict`: one of the keys is that of another request; nothing was
   * accepted.
   */
  commitOutbound(writer: SpoolWriter, entries: OutboundEntry[]): Promise<IntakeResult[]>;
}

/** What a door for mail to partners needs of it. */
export type OutboundIntake = Pick<Intake, 'begin' | 'commitOutbound' | 'deriveKey'>;

/** What a worker needs at the start of a job, in one round trip. */
export interface Fetched {
  /**
   * State of the message; null if the ledger does not know it. If the work of a job is already done, the state has
   * moved on.
   */
  state: MessageState | null;
  /** Small octets, opened, in the order asked for. Null for a file and for missing octets: use `spool.open`. */
  octets: (Buffer | null)[];
}

export interface DecodedOutcome extends Attribution {
  /** The decoded content, not yet committed. */
  content: SpoolWriter;
  /** JSON of verdict and outer header block; it is sealed here. */
  result: Buffer;
  /** Octets that the result names, finished by the caller; they are kept as long as the content. */
  pieces?: readonly FinishedOctets[];
  destinations: string[];
  /** For the ledger: status, algorithms, signature. */
  facts: Facts;
}

/** A job for a queue of the operator's on the same Redis, as BullMQ's `Queue.add` would make it. */
export interface ForeignJob {
  prefix: string;
  queue: string;
  name: string;
  id: string;
  /** JSON. Octets, because a string of this size that waits for Redis is copied and promoted by the collector. */
  data: Buffer;
  options: object;
}

/** A message that reached its only destination in the step that decoded it. */
export interface HandedOffOutcome extends Attribution {
  destination: string;
  /** Of the hand-off. */
  facts: Facts;
  /** As `DecodedOutcome.facts`. */
  decoded: Facts;
  /** Where the destination is a queue, its job, which is added in this step. */
  job?: ForeignJob | undefined;
}

export interface DecodedRefs {
  content: SpoolRef;
  result: SpoolRef;
}

/** Who performs an act, and why. */
export interface Act {
  /** User and host. */
  by: string;
  why?: string;
}

/**
 * The steps of a message. Each is atomic and one round trip; a repeated step changes nothing. With `end`, the job ends
 * in the same script, or `JobLost` is thrown.
 */
export interface Flow {
  fetch(id: string, refs: SpoolRef[], end?: JobEnd): Promise<Fetched>;
  /** Stores content and result, queues one hand-off for each destination, records `decoded`. */
  decoded(job: InboundJob, outcome: DecodedOutcome, end?: JobEnd): Promise<void>;
  /**
   * Records `handed-off`; with the last destination also `delivered`, and the octets are removed according to
   * retention. Content and result are held until `holdUntil` (milliseconds since the epoch) for a destination that was
   * given a URL.
   */
  handedOff(job: HandoffJob, facts: Facts, holdUntil?: number, end?: JobEnd): Promise<{ delivered: boolean }>;
  /**
   * Records `decoded`, `handed-off` and `delivered` in one step. The original is removed according to retention;
   * nothing else is kept.
   */
  handedOffAtOnce(job: InboundJob, outcome: HandedOffOutcome, end?: JobEnd): Promise<void>;
  /**
   * Ends a message that a rule keeps out: records the event, `terminated` as its state, and removes the octets. When it
   * arrives again, it is judged again.
   */
  dropped(
    job: InboundJob,
    outcome: Attribution & { event: 'dropped' | 'refused'; facts: Facts },
    end?: JobEnd,
  ): Promise<void>;
  /** Records who sent an inbound message that is not decided yet; nothing if it has ended. */
  attribute(id: string, from: Attribution): Promise<void>;
  /** The decoded content and its result, while they are kept. */
  contentOf(id: string): Promise<DecodedRefs | null>;
  /** Records `sent` and removes the octets. */
  sent(job: OutboundJob, facts: Facts, end?: JobEnd): Promise<void>;
  /**
   * Puts a message back to its beginning, to be decoded again with the current keys, policy and code. It must be
   * suspended, or delivered with its original kept. If it was handed off before, it is handed off again, marked by
   * `again` (see `HandoffJob`). `message-unknown`, `message-busy`, `original-gone`, `usage` (outbound, or ended by a
   * person).
   */
  decodeAgain(id: string, act?: Act): Promise<void>;
  /** Where the original octets of a message are stored; null if they are gone. `message-unknown`. */
  originalOf(id: string): Promise<SpoolRef | null>;
  /**
   * Records `suspended` with a reason code and keeps the job's data for `resume`, and queues a report if the mailbox or
   * partner has `onSuspend`. Workers return `{ suspend }` instead. `starts`: of the job, for the report.
   */
  suspend<N extends WorkQueue>(
    queue: N,
    job: Jobs[N],
    reason: string,
    facts?: Facts,
    starts?: number,
    end?: JobEnd,
    from?: Attribution,
  ): Promise<void>;
  /**
   * Where mail of a partner leaves in order: lets those go on whose line stands behind a suspended message, if the
   * settings do not say so any more. To be called now and then.
   */
  tendLines(): Promise<void>;
  /** Has messages suspended that have expired where they wait for a place or in line. To be called now and then. */
  bringExpired(): Promise<void>;
  /** As `Replays.release`. */
  replay(
    held: Held,
    keys: string,
    act: Act,
    budget: ReplayBudget | undefined,
  ): Promise<'released' | 'moved' | 'full'>;
  /** Queues the suspended work again; false if the message is not suspended. `message-unknown`. */
  resume(id: string, act?: Act): Promise<boolean>;
  /**
   * Makes what waits of a message due at once, and has its route tried even if it is known to be down; false if nothing
   * of it waits. What is not due yet (`DeliveryOptions`) goes on waiting. `message-unknown`.
   */
  retry(id: string, act?: Act): Promise<boolean>;
  /** Ends a message for good and removes its octets; false if it has already ended. `message-unknown`. */
  terminate(id: string, why: string, act?: Act): Promise<boolean>;
}

/**
 * How a step of a message ended, or an attempt at its other side. Destinations, the mail sender and the pipeline steps
 * all return it, and the queues act on it.
 * - `done`: accepted. `keepUntil` (milliseconds since the epoch) is set if a URL of the content was given out: the
 *   content must stay in the spool until then.
 * - `retry`: try again. A thrown error counts as this too.
 * - `suspend`: trying again does not help; a person has to look at it.
 */
export type Outcome =
  | { done: true; facts?: Facts; keepUntil?: number }
  | {
      retry: ErrorCode;
      facts?: Facts;
      /** Minimum milliseconds to wait, if the other side asked for it. */
      after?: number;
      /** The other side was not even asked: the attempt does not count. */
      untried?: boolean;
      /** It has not begun: it waits for the rate of its route, in its place among the others. */
      inLine?: boolean;
      /** Inbound: who sent it, if that was found out. */
      from?: Attribution;
      /** What the attempt showed about the route as a whole; absent if it was not tried. */
      peer?: PeerState | undefined;
      reached?: JobMarks['reached'];
      /** What was said at last, line by line: kept for the route, and not for each message. */
      dialogue?: readonly string[] | undefined;
    }
  | {
      suspend: ErrorCode;
      facts?: Facts;
      /** Inbound: who sent it, if that was found out. */
      from?: Attribution;
      peer?: PeerState | undefined;
      reached?: JobMarks['reached'];
      dialogue?: readonly string[] | undefined;
    };

/** Whether the other side of a route (a partner's server, a destination) works. */
export type PeerState = 'works' | 'down';

export interface JobContext {
  /** From 1. */
  attempt: number;
  /** True if there is no further attempt: a retry suspends the message. */
  last: boolean;
  /** Aborted when the worker closes and its time is up. */
  signal: AbortSignal;
  /** For the step that ends the job; without it, the job ends by itself when the handler returns. */
  end?: JobEnd | undefined;
}

export type JobHandler<N extends QueueName> = (job: Jobs[N], context: JobContext) => Promise<Outcome>;

export interface Queues {
  createWorker<N extends QueueName>(
    name: N,
    handler: JobHandler<N>,
    options: WorkerOptions,
  ): Promise<QueueWorker>;
  /** Jobs that wait, run or are delayed. */
  depth(): Promise<Record<QueueName, { waiting: number; active: number; delayed: number }>>;
}
