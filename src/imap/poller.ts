import { randomUUID } from 'node:crypto';
import type { ImapFlow } from 'imapflow';
import type { Secret } from '../config/index.ts';
import { SealpostError, toErrorInfo } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Tokens } from '../oauth/index.ts';
import type { Intake } from '../queue/index.ts';
import { lifetimes } from '../redis/index.ts';
import type { Checkpoint } from './checkpoint.ts';
import { Connector, type ImapConfig, leave, refusedLogin, sessionError } from './connect.ts';
import { type FolderParts, FolderReader, folderKey, type Skipped, sessionsFailed } from './folder.ts';
import { dialogueOf, watchOf } from './watch.ts';

export type { Skipped } from './folder.ts';

/** Milliseconds: the first wait after a failure, the longest one, and the first one after a refused login. */
const FIRST_WAIT = 1000;
const LONGEST_WAIT = 300_000;
const LOGIN_WAIT = 30_000;
/** Milliseconds for which we keep the lease of a folder without renewing it. */
const LEASE = lifetimes.imapLease;
const RENEWAL = 5000;
/** Milliseconds between checks whether the folder is free. */
const STANDBY = 5000;
/** Milliseconds between checks whether there is room again. */
const FULL_WAIT = 5000;

export interface ImapPollerParts {
  /** Name of the mailbox. */
  mailbox: string;
  config: ImapConfig;
  intake: Pick<Intake, 'begin' | 'commit'> & Partial<Pick<Intake, 'refusal'>>;
  checkpoint: Checkpoint;
  log: Log;
  readSecret: (secret: Secret) => string;
  /** Bearer tokens, shared by the mailboxes of a process. */
  tokens?: Pick<Tokens, 'for'> | undefined;
  /** Whether a person has paused the mailbox. */
  isPaused?: () => boolean;
  /** Called for each message that stays in the folder for good. It is also logged. */
  onSkipped?: (skipped: Skipped) => void;
}

export interface PollerStatus {
  /** `standby`: another process has the folder. `paused`: there is no room. `waiting`: after a failure. */
  state: 'stopped' | 'connecting' | 'standby' | 'reading' | 'idle' | 'paused' | 'waiting';
  /** End of the last successful scan, in milliseconds since the epoch. */
  lastScan: number | null;
  /** First failure since the last successful scan, in milliseconds since the epoch; null if there was none. */
  failingSince: number | null;
  /** Why the last session failed; null after a successful scan. */
  lastError: { code: string; message: string } | null;
  /** The last lines of the dialogue before that. */
  dialogue: readonly string[];
  stored: number;
  skipped: number;
}

export interface ImapPoller {
  start(): void;
  /** Ends a wait: the poller looks into the folder now, or checks whether it is paused. */
  hurry(): void;
  /** Finishes the current message, within `timeout` milliseconds. Idempotent. */
  stop(timeout: number): Promise<void>;
  status(): PollerStatus;
}

/**
 * Polls the IMAP folder of one mailbox (RFC 9051, RFC 3501) over one connection. After a failure, the connection is
 * opened again, with growing delays. Errors: `file-access`.
 */
export function createImapPoller(parts: ImapPollerParts): ImapPoller {
  return new Poller(parts);
}

class Poller implements ImapPoller {
  readonly #config: ImapConfig;
  readonly #log: Log;
  readonly #checkpoint: Checkpoint;
  readonly #connector: Connector;
  readonly #folder: FolderParts;
  readonly #key: string;
  readonly #isPaused: () => boolean;
  readonly #owner = randomUUID();
  readonly #abort = new AbortController();
  readonly #status: PollerStatus = {
    state: 'stopped',
    lastScan: null,
    failingSince: null,
    lastError: null,
    dialogue: [],
    stored: 0,
    skipped: 0,
  };
  #failures = 0;
  #stopping = false;
  #running: Promise<void> | undefined;
  /** Ends the wait in progress. */
  #wake: () => void = () => {};

  constructor(parts: ImapPollerParts) {
    const { config } = parts;
    this.#config = config;
    this.#log = parts.log;
    this.#checkpoint = parts.checkpoint;
    this.#connector = new Connector(config, parts.readSecret, parts.tokens);
    this.#key = folderKey(parts.mailbox, config);
    this.#isPaused = parts.isPaused ?? (() => false);
    this.#folder = {
      mailbox: parts.mailbox,
      config,
      intake: parts.intake,
      checkpoint: parts.checkpoint,
      log: parts.log,
      drops: new Map(),
      onStored: () => {
        this.#status.stored++;
      },
      onSkipped: (skipped) => {
        this.#status.skipped++;
        parts.onSkipped?.(skipped);
      },
    };
  }

  start(): void {
    this.#running ??= this.#run();
  }

  hurry(): void {
    this.#wake();
  }

  async stop(timeout: number): Promise<void> {
    this.#stopping = true;
    this.#wake();
    const timer = setTimeout(() => this.#abort.abort(), timeout);
    await this.#running;
    clearTimeout(timer);
  }

  status(): PollerStatus {
    return { ...this.#status };
  }

  async #run(): Promise<void> {
    while (!this.#stopping) {
      try {
        const heldAt = performance.now();
        if (await this.#checkpoint.hold(this.#key, this.#owner, LEASE)) await this.#session(heldAt);
        else {
          this.#status.state = 'standby';
          await this.#wait(STANDBY);
        }
      } catch (error) {
        if (!this.#stopping) await this.#wait(this.#failed(error));
      }
    }
    await this.#checkpoint.release(this.#key, this.#owner).catch(() => {});
    this.#status.state = 'stopped';
  }

  /** @param heldAt when the lease was requested, on a monotonic clock */
  async #session(heldAt: number): Promise<void> {
    this.#status.state = 'connecting';
    const client = await this.#connector.open(this.#abort.signal);
    const close = () => client.close();
    this.#abort.signal.addEventListener('abort', close, { once: true });
    let ours = heldAt;
    const renewal = setInterval(() => {
      const askedAt = performance.now();
      this.#checkpoint.hold(this.#key, this.#owner, LEASE).then(
        (held) => {
          if (held) ours = askedAt;
          else client.close();
        },
        () => {
          // Redis is unreachable for a moment. The intake reports it if there is something to store. When Redis is
          // back, another process may have the folder.
          if (performance.now() - ours > LEASE) client.close();
        },
      );
    }, RENEWAL);
    renewal.unref();
    try {
      await this.#read(client);
      await leave(client);
    } catch (error) {
      throw sessionError(error, client, this.#config);
    } finally {
      clearInterval(renewal);
      this.#abort.signal.removeEventListener('abort', close);
      client.close();
    }
  }

  async #read(client: ImapFlow): Promise<void> {
    const reader = new FolderReader(client, this.#folder);
    let news = false;
    client.on('exists', () => {
      news = true;
      this.#wake();
    });
    client.on('close', () => this.#wake());
    await reader.prepare();
    const { mailbox } = this.#folder;
    const paused = () =>
      this.#isPaused() ? new SealpostError('mailbox-paused', `mailbox ${mailbox} is paused`) : null;
    const refusal = () => paused() ?? this.#folder.intake.refusal?.() ?? null;
    const full = () => refusal() !== null;
    while (!this.#stopping) {
      const why = refusal();
      if (why) {
        this.#pause(why);
        await this.#wait(FULL_WAIT);
        if (!client.usable)
          throw (
            watchOf(client).failure ??
            new SealpostError('imap-failed', `${this.#config.host} closed the connection`)
          );
        continue;
      }
      this.#status.state = 'reading';
      // selecting again reveals new messages on servers that announce them late, and a changed UIDVALIDITY
      if (!news) await reader.open();
      news = false;
      await reader.scan(() => this.#stopping || full());
      if (full()) continue;
      this.#status.lastScan = Date.now();
      this.#status.lastError = null;
      this.#status.dialogue = [];
      this.#status.failingSince = null;
      this.#failures = 0;
      if (news || this.#stopping) continue;
      this.#status.state = 'idle';
      // it rejects when the connection ends, which 'close' reports too
      if (this.#config.idle && client.capabilities.has('IDLE')) client.idle().catch(() => {});
      await this.#wait(this.#config.pollInterval);
      if (!client.usable)
        throw (
          watchOf(client).failure ??
          new SealpostError('imap-failed', `${this.#config.host} closed the connection`)
        );
    }
  }

  /** Mail stays in its folder until there is room, or until a person resumes the mailbox. */
  #pause(why: SealpostError): void {
    const { state } = this.#status;
    this.#status.state = 'paused';
    this.#status.lastError = toErrorInfo(why);
    this.#status.dialogue = [];
    const { log, mailbox } = this.#folder;
    if (state !== 'paused') log.warn({ mailbox, err: why }, 'the mailbox is not read for now');
  }

  /** Milliseconds to wait after the failure. */
  #failed(error: unknown): number {
    // Not a failure of the mailbox. Reading continues soon after there is room again.
    if (error instanceof SealpostError && error.code === 'queue-full') {
      this.#pause(error);
      return FULL_WAIT;
    }
    this.#failures++;
    const login = refusedLogin(error);
    const known =
      error instanceof SealpostError
        ? error
        : new SealpostError('imap-failed', `no session with ${this.#config.host}`, { cause: error });
    this.#status.failingSince ??= Date.now();
    // a wrong password must not lock the account, so the first wait is long
    const first = login ? LOGIN_WAIT : FIRST_WAIT;
    const wait =
      Math.min(LONGEST_WAIT, first * 2 ** Math.min(this.#failures - 1, 20)) * (0.5 + Math.random() / 2);
    this.#status.state = 'waiting';
    this.#status.lastError = toErrorInfo(known);
    this.#status.dialogue = dialogueOf(known);
    sessionsFailed.inc({ mailbox: this.#folder.mailbox });
    this.#log.warn(
      { mailbox: this.#folder.mailbox, err: known, seconds: Math.round(wait / 1000) },
      'an IMAP session failed',
    );
    return wait;
  }

  async #wait(ms: number): Promise<void> {
    if (this.#stopping) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = () => {};
  }
}
