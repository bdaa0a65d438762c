import type { Redis } from 'ioredis';
import type { Config, MailboxConfig, PartnerConfig, Secret } from '../config/index.ts';
import type { ReportDocument } from '../documents/index.ts';
import type { Log } from '../log.ts';
import type { HeadersJson, Tracer } from '../message/index.ts';
import type { InboundMessage, Outcome, Pace } from '../queue/index.ts';
import type { RouteRate, SenderParts } from '../smtp/index.ts';

export type JsonValue =
  | string
  | number
  | boolean
  | null
  | JsonValue[]
  | { [key: string]: JsonValue | undefined };

/**
 * The decoded content of an S/MIME part below the message. It was protected on its own, and is never joined with
 * anything.
 */
export interface DeliveryPiece {
  /** As in the verdict's `pieces`, such as `1.2`. */
  path: string;
  /** The type of the MIME entity; null if it is not one. */
  contentType: string | null;
  octets: number;
  /** SHA-256, in hex. */
  sha256: string;
  /** As a stream. Every call starts from the beginning. */
  content(): AsyncIterable<Buffer>;
  /** All at once. Called for at most 50 MiB. */
  read(): Promise<Buffer>;
}

/** One message for one destination. Destinations do not modify it. */
export interface Delivery extends InboundMessage {
  /** The same for every attempt to deliver this message to this destination, and for no other. */
  idempotencyKey: string;
  /** Set if a person had the message decoded again after a hand-off: how often. */
  again?: number;
  /** Name of the destination in the mailbox's list. */
  destination: string;
  /** What the decoder found. Opaque here. */
  verdict: JsonValue;
  /** The header block of the outer message as received, with or without the final empty line. */
  header: Buffer;
  /** Whether the mail was not S/MIME, so that its content is the whole mail, including the header. */
  whole: boolean;
  /** The fields as the policy read them; missing if an older version decoded the message. */
  headers?: HeadersJson;
  /** The decoded content as a stream. Every call starts from the beginning. */
  content(): AsyncIterable<Buffer>;
  contentOctets: number;
  /** SHA-256 of the content, in hex. */
  contentSha256: string;
  /** The decoded content all at once, wherever it is stored. Called for at most 50 MiB. */
  read(): Promise<Buffer>;
  /** In the order of the verdict, without those that have no content. */
  pieces: readonly DeliveryPiece[];
  /** Recipients of a mail destination that have it from an earlier attempt. */
  reached?: readonly string[];
}

/** The report of a suspended message, without its original. Times are ISO 8601 in UTC. */
export type FailureDocument = Omit<ReportDocument, 'original'>;

/** The message as it is stored in the spool. */
export interface FailureOriginal {
  octets: number;
  open(): AsyncIterable<Buffer>;
}

export interface FailureReport {
  document: FailureDocument;
  /** Null if it is no longer kept; undefined if it is not requested. */
  original: FailureOriginal | null | undefined;
}

/** A destination does not throw for failures outside of it. Its facts have a `message` for the operator. */
export interface Destination {
  readonly name: string;
  /** Attempts at a time that make sense. More would only wait. Default: any number. */
  readonly most?: number;
  /** Only for a destination with a rate. */
  readonly pace?: Pace;
  /** One attempt. If the signal aborts, it ends soon, with `retry`. */
  deliver(delivery: Delivery, signal: AbortSignal): Promise<Outcome>;
  /** One attempt to report a suspended message. Otherwise like `deliver`. */
  report(report: FailureReport, signal: AbortSignal): Promise<Outcome>;
  /** Closes connections; idempotent. */
  close(): Promise<void>;
}

/** A URL that gives the content to whoever has it, until `expires` (milliseconds since the epoch). */
export interface SignedUrl {
  url: string;
  expires: number;
}

/** Makes the URL for the content of a message, or of the piece with this path. */
export type SignUrl = (delivery: Delivery, piece?: string) => SignedUrl;

export type MailNetwork = Pick<SenderParts, 'tokens' | 'dns' | 'sts'>;
export type RateSettings = NonNullable<PartnerConfig['route']['rate']>;

/** What a destination on the same Redis needs. */
export interface LocalDeps extends Omit<DestinationDeps, 'network' | 'rate'> {
  /** Whether the role `handoff` runs on this machine, and so sees the same folders. Default: false. */
  besideHandoff?: boolean | undefined;
}

/** What destinations need from the code that creates them. */
export interface DestinationDeps {
  readSecret(secret: Secret): string;
  /** Undefined without an HTTP listener. Large content cannot be handed off by URL then. */
  signedUrl: SignUrl | undefined;
  /** Opens a connection for the queue destination, which closes it. */
  connectRedis(prefix: string): Redis;
  /** Resolves once a key that was written over such a connection would survive the loss of the primary. */
  ensureReplicated(connection: Redis, key: string): Promise<void>;
  /** `redis.prefix` of the configuration. */
  redisPrefix: string;
  bodyPart: MailboxConfig['bodyPart'];
  /** Mailbox or other owner of the destination, for the log. Names of destinations are unique within one owner. */
  owner?: string;
  /** What connections to mail servers need: tokens, and what the domains of the servers publish. */
  network: MailNetwork;
  /** The rate of a destination with this name, shared by all processes. */
  rate(name: string, rate: RateSettings): RouteRate;
  /** Name of this machine in mail that is handed on. */
  hostname: string;
  /** The value of the field that stops loops, for mail of a mailbox. */
  trace: Tracer;
  limits: Pick<Config['limits'], 'layers' | 'parts' | 'depth' | 'headerSize' | 'work' | 'output'>;
  log: Log;
  /** Milliseconds since the epoch. */
  now(): number;
}
