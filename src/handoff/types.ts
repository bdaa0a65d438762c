import type { Redis } from 'ioredis';
import type { Config, MailboxConfig, Secret } from '../config/schema.ts';
import type { ErrorCode } from '../errors.ts';
import type { Log } from '../log.ts';
import type { HeadersJson } from '../message/mail-header.ts';
import type { Envelope, LedgerEvent, Origin, PeerState } from '../queue/types.ts';
import type { FailureReport } from './failure.ts';

export type JsonValue =
  | string
  | number
  | boolean
  | null
  | JsonValue[]
  | { [key: string]: JsonValue | undefined };

/** The decoded content of an S/MIME part below the message: protected by itself, and never joined with anything. */
export interface DeliveryPiece {
  /** As in the verdict's `pieces`, such as `1.2`. */
  path: string;
  /** Of the MIME entity that it is; null when it is none. */
  contentType: string | null;
  octets: number;
  /** SHA-256, in hex. */
  sha256: string;
  /** As a stream; every call starts again. */
  content(): AsyncIterable<Buffer>;
  /** At once; called for at most 50 MiB. */
  read(): Promise<Buffer>;
}

/** One message for one destination. Nothing here is changed by a destination. */
export interface Delivery {
  /** The message id. */
  id: string;
  /** The same for every attempt to deliver this message to this destination, and for no other. */
  idempotencyKey: string;
  /** Set when a person had the message decoded again after it was handed off: for the nth time. */
  again?: number;
  mailbox: string;
  /** Name of the destination in the mailbox's list. */
  destination: string;
  envelope: Envelope;
  origin: Origin;
  /** Milliseconds since the epoch. */
  receivedAt: number;
  /** What the decoder found; opaque here. */
  verdict: JsonValue;
  /** The header block of the outer message as it was received, with or without the empty line at its end. */
  header: Buffer;
  /** The mail was not S/MIME: its content is the whole mail, header included. */
  whole: boolean;
  /** The fields as the policy judged them; missing in what an older version decoded. */
  headers?: HeadersJson;
  /** The decoded content as a stream; every call starts again. */
  content(): AsyncIterable<Buffer>;
  contentOctets: number;
  /** SHA-256 of the content, in hex. */
  contentSha256: string;
  /** The decoded content at once, wherever it lies in the spool; called for at most 50 MiB. */
  read(): Promise<Buffer>;
  /** In the order of the verdict; those without content are not here. */
  pieces: readonly DeliveryPiece[];
}

export type Facts = LedgerEvent['facts'];

/**
 * How an attempt ended. A destination does not throw for what can go wrong outside of it.
 * - `done`: taken. `keepUntil` (milliseconds since the epoch) is given when the destination got a signed URL:
 *   the content must stay in the spool until then.
 * - `retry`: try again, not before `after` milliseconds when given. `untried` says that the destination was
 *   not even asked, so that the attempt need not count. `peer` says whether the destination works, apart from this message.
 * - `refused`: no repetition helps; a person has to look at it.
 */
export type Outcome =
  | { done: true; facts: Facts; keepUntil?: number }
  | { retry: true; code: ErrorCode; message: string; after?: number; untried?: boolean; peer?: PeerState }
  | { refused: true; code: ErrorCode; message: string };

export interface Destination {
  readonly name: string;
  /** One attempt. Aborting the signal ends it soon, with `retry`. */
  deliver(delivery: Delivery, signal: AbortSignal): Promise<Outcome>;
  /** One attempt to tell of a suspended message; as `deliver`. */
  report(report: FailureReport, signal: AbortSignal): Promise<Outcome>;
  /** Lets go of connections; idempotent. */
  close(): Promise<void>;
}

/** A URL that gives the content to whoever has it, until `expires` (milliseconds since the epoch). */
export interface SignedUrl {
  url: string;
  expires: number;
}

/** Makes the URL for the content of a message, or of the piece with that path. */
export type SignUrl = (delivery: Delivery, piece?: string) => SignedUrl;

/** What the destinations need from whoever composes them. */
export interface DestinationDeps {
  readSecret(secret: Secret): string | Promise<string>;
  /** Undefined when there is no HTTP listener: large content can then not be handed off by URL. */
  signedUrl: SignUrl | undefined;
  /** A connection of its own for the queue destination, which closes it. */
  connectRedis(prefix: string): Redis;
  /** Resolves when a key that was written over such a connection survives the primary. */
  ensureKept(connection: Redis, key: string): Promise<void>;
  /** `redis.prefix` of the configuration. */
  redisPrefix: string;
  bodyPart: MailboxConfig['bodyPart'];
  limits: Pick<Config['limits'], 'layers' | 'parts' | 'depth' | 'headerSize' | 'work' | 'output'>;
  log: Log;
  /** Milliseconds since the epoch. */
  now(): number;
}
