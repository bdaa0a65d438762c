/** Routes, as people see and stop them: mailboxes, the routes to partners, and destinations. */
import type { Facts, QueueName } from './types.ts';

/** What can be paused: a mailbox (nothing new is taken), the route to a partner, or a destination of a mailbox. */
export type RouteKind = 'mailbox' | 'partner' | 'destination';

/** What is known about attempts at a route. */
export interface RouteState {
  /** Last success, in milliseconds since the epoch; null if none is known. */
  ok: number | null;
  /** The last failure; null if none is known. */
  failure: RouteFailure | null;
  /** Since when it is down; null if it is not. */
  downSince: number | null;
  /** Messages in its line, which wait for a place or because it is paused or down. */
  inLine: number;
}

export interface RouteFailure {
  /** Milliseconds since the epoch. */
  at: number;
  code: string;
  /** The other side as a whole did not work, not just for this message. */
  down: boolean;
  /** As in the event of the message: host, reply and so on. No content, no secrets. */
  facts: Facts;
  /** The last lines of the dialogue with a mail server; absent if an older version wrote it. */
  dialogue?: string[];
}

/** The state of a mailbox's IMAP folder, as its poller reports it. */
export interface FolderState {
  /** When it was reported, in milliseconds since the epoch. */
  at: number;
  state: string;
  /** End of the last scan that succeeded. */
  lastScan: number | null;
  failingSince: number | null;
  lastError: { code: string; message: string } | null;
  /** The last lines of the dialogue before that; absent if an older version wrote it. */
  dialogue?: string[];
}

export interface Paused {
  by: string;
  /** Milliseconds since the epoch. */
  at: number;
  why: string;
}

/** A route that was down when it was last tried. */
export interface DownRoute {
  queue: QueueName;
  /** Of a hand-off, or of a report of a suspended message. */
  mailbox: string | null;
  destination: string | null;
  /** Partners to whom mail cannot be sent. */
  partner: string | null;
  /** First failure since it last worked, and the last attempt, in milliseconds since the epoch. */
  since: number;
  last: number;
  /** Code. */
  reason: string;
  /** What the other side said, or why it could not be reached. */
  why: string;
}

/** Pauses and states of routes. A route has the name that its jobs have (`routeOf`). */
export interface Routes {
  /** Loads what is paused, and follows it from now on: a change takes effect within half a second. Idempotent. */
  follow(): Promise<void>;
  /** As followed. */
  isPaused(kind: RouteKind, name: string): boolean;
  /** Called when something was paused, resumed, or is to be polled. */
  onChange(listener: () => void): void;
  /** Whether a person has asked since the last call that a mailbox be polled at once, as far as followed. */
  takePoll(mailbox: string): boolean;

  /** @returns false if it is already paused */
  pause(kind: RouteKind, name: string, paused: Paused): Promise<boolean>;
  /** @returns false if it is not paused */
  resume(kind: RouteKind, name: string): Promise<boolean>;
  /** Has a mailbox polled now by the process that reads it. */
  poll(mailbox: string): Promise<void>;
  /** What is paused, by kind and name; `undefined` for what is not. In the order of the names. */
  paused(kind: RouteKind, names: readonly string[]): Promise<(Paused | undefined)[]>;
  /** Routes that are down, of all queues. */
  down(): Promise<DownRoute[]>;
  /** `KIND NAME` of each route and mailbox that is paused or down. These are few, however many routes there are. */
  troubled(): Promise<ReadonlySet<string>>;
  /** In the order of the names. */
  states(kind: 'partner' | 'destination', names: readonly string[]): Promise<RouteState[]>;
  folders(mailboxes: readonly string[]): Promise<(FolderState | undefined)[]>;
  /** Records an attempt. It is written soon. */
  succeeded(kind: 'partner' | 'destination', name: string): void;
  failed(kind: 'partner' | 'destination', name: string, failure: Omit<RouteFailure, 'at'>): void;
  noteFolder(mailbox: string, state: Omit<FolderState, 'at'>): Promise<void>;
  stop(): void;
}
