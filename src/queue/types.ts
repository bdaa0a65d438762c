/**
 * What the other rooms know of the queue: the spool (octets, sealed), the ledger (facts and events of each
 * message), the intake (the one durable way in) and the three queues.
 */

/** Where a message came from. Metadata only: nothing of the content but its Message-ID. */
export interface Origin {
  kind: 'smtp' | 'imap' | 'command' | 'api';
  /** SMTP: address of the client and name in its greeting; IMAP: host, folder, UIDVALIDITY and UID. */
  detail: Record<string, string | number>;
}

export interface Envelope {
  /** Envelope sender, "" for the null sender (RFC 5321 section 4.5.5). */
  from: string;
  to: string[];
}

/** Names sealed octets in the spool: in Redis (`inline`) or in the spool folder (`file`). */
export interface SpoolRef {
  kind: 'inline' | 'file';
  id: string;
  /** Octets before sealing. */
  octets: number;
  /** SHA-256 of the octets before sealing, in hex. */
  sha256: string;
}

/** Takes octets of any number, sealed as they come; nothing is readable, or there at all, before `commit`. */
export interface SpoolWriter {
  /** Resolves when there is room for more: await it for backpressure. */
  write(chunk: Buffer): Promise<void> | void;
  /** Octets written so far. */
  readonly octets: number;
  /**
   * Ends the octets. A file is on disk (fsync) when this resolves. Small octets are handed to `with`, or stored at once
   * without it: the intake stores them in one round trip with the job.
   */
  commit(): Promise<SpoolRef>;
  /** Removes what was written. Idempotent; does nothing after `commit`. */
  abort(): Promise<void>;
}

export interface Spool {
  create(): SpoolWriter;
  /** The octets, opened and verified chunk by chunk. `spool-missing`, `spool-corrupt`. */
  open(ref: SpoolRef): AsyncIterable<Buffer>;
  /** The octets of a small message at once; undefined when they are not small or must be streamed. */
  read(ref: SpoolRef): Promise<Buffer>;
  remove(ref: SpoolRef): Promise<void>;
}

export type MessageState =
  | 'received'
  | 'decoded'
  | 'delivered'
  | 'suspended'
  | 'terminated'
  | 'queued'
  | 'sent';

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
  | 'terminated';

export interface LedgerEvent {
  type: LedgerEventType;
  /** Milliseconds since the epoch. */
  at: number;
  /** Facts of the event; no content, no secrets. */
  facts: Record<string, string | number | boolean | null | string[]>;
}

export interface MessageRecord {
  id: string;
  direction: 'inbound' | 'outbound';
  state: MessageState;
  /** Name of the mailbox (inbound) or partner (outbound). */
  mailbox: string | null;
  partner: string | null;
  origin: Origin;
  envelope: Envelope;
  messageId: string | null;
  octets: number;
  sha256: string;
  receivedAt: number;
  updatedAt: number;
  /** Reason code when suspended. */
  reason: string | null;
  events: LedgerEvent[];
}

/** Job of the queue "inbound": the name is the message id. */
export interface InboundJob {
  id: string;
  mailbox: string;
  origin: Origin;
  envelope: Envelope;
  octets: SpoolRef;
  receivedAt: number;
}

/** Job of the queue "handoff": one for each message and destination. */
export interface HandoffJob {
  id: string;
  mailbox: string;
  /** Name of the destination in the mailbox's list. */
  destination: string;
  origin: Origin;
  envelope: Envelope;
  receivedAt: number;
  /** The octets as they came. */
  original: SpoolRef;
  /** The decoded content. */
  content: SpoolRef;
  /** The verdict and the outer header block, as sealed JSON. */
  result: SpoolRef;
}

/** Job of the queue "outbound". */
export interface OutboundJob {
  id: string;
  partner: string;
  envelope: Envelope;
  octets: SpoolRef;
  queuedAt: number;
}
