import type { ImapFlow } from 'imapflow';
import { isOfClass, SealpostError } from '../errors.ts';
import { type Log, logRarely } from '../log.ts';
import { counter } from '../metrics.ts';
import type { Intake } from '../queue/index.ts';
import { type Checkpoint, freshMark, type Mark } from './checkpoint.ts';
import type { ImapConfig } from './connect.ts';
import { FetchError, fetchMessage, isThere, tooLarge } from './fetch.ts';
import { watchOf } from './watch.ts';

/** Messages whose sizes are requested together, and that are moved or marked together. */
const BATCH = 20;
/** Attempts for a message that the server does not deliver, and for one that breaks the connection. */
const MAX_ATTEMPTS = 3;
const MAX_DROPS = 6;
/**
 * Milliseconds between the second time that a message breaks the connection and the next attempt. Doubles each time.
 */
const DROP_WAIT = 30_000;

/** A message that stays in the folder. */
export interface Skipped {
  mailbox: string;
  folder: string;
  uidValidity: string;
  uid: number;
  code: string;
  message: string;
}

export interface FolderParts {
  /** Name of the mailbox in the configuration. */
  mailbox: string;
  config: ImapConfig;
  intake: Pick<Intake, 'begin' | 'commit'> & Partial<Pick<Intake, 'refusal'>>;
  checkpoint: Checkpoint;
  log: Log;
  onSkipped: (skipped: Skipped) => void;
  /** Called for each message that was stored. */
  onStored: () => void;
  /**
   * By UIDVALIDITY and UID: how often a message broke the connection, and when it is tried again. Outlives the
   * connection.
   */
  drops: Map<string, { count: number; notBefore: number }>;
}

/** Name of the folder in checkpoints. */
export function folderKey(mailbox: string, { host, user, folder }: ImapConfig): string {
  return `${mailbox}:${user}@${host}:${folder}`;
}

/**
 * One folder over one connection. New messages go into the intake and are then moved, marked or deleted. The order
 * makes a crash at any point safe: first the durable store, then the checkpoint, then the action. A message that is
 * fetched twice because of a crash has the same octets, so the intake drops it.
 */
export class FolderReader {
  readonly #client: ImapFlow;
  readonly #parts: FolderParts;
  readonly #key: string;
  #mark: Mark = freshMark('');

  constructor(client: ImapFlow, parts: FolderParts) {
    this.#client = client;
    this.#parts = parts;
    this.#key = folderKey(parts.mailbox, parts.config);
  }

  /** Selects the folder and loads how far it has been read. */
  async open(): Promise<void> {
    const { config, checkpoint, log, mailbox, drops } = this.#parts;
    const selected = await this.#answered('SELECT', () => this.#client.mailboxOpen(config.folder));
    refuseSameFolder(this.#client, config);
    const uidValidity = String(selected.uidValidity);
    const known = await checkpoint.load(this.#key);
    if (known !== null && known.uidValidity !== uidValidity) {
      log.warn(
        { mailbox, folder: config.folder },
        'UIDVALIDITY has changed, the folder is read from its beginning',
      );
      drops.clear();
    }
    this.#mark = known?.uidValidity === uidValidity ? known : freshMark(uidValidity);
  }

  /** Creates the folder for the action `move` if it is missing. */
  async prepare(): Promise<void> {
    const { config } = this.#parts;
    if (config.action === 'move')
      await this.#answered('CREATE', () => this.#client.mailboxCreate(pathOf(config.moveTo)));
  }

  /** Reads new messages until there are no more, or until `stopped` returns true. */
  async scan(stopped: () => boolean): Promise<void> {
    const { drops } = this.#parts;
    const mark = this.#mark;
    await this.#act();
    const retries = Object.keys(mark.failed)
      .map(Number)
      .filter((uid) => (drops.get(`${mark.uidValidity}/${uid}`)?.notBefore ?? 0) <= performance.now());
    const uids = [...(await this.#newUids()), ...retries];
    for (let at = 0; at < uids.length && !stopped(); at += BATCH) {
      const batch = uids.slice(at, at + BATCH);
      const sizes = await this.#sizes(batch);
      for (const uid of batch) {
        if (stopped()) break;
        const size = sizes.get(uid);
        if (size === undefined && !(await isThere(this.#client, uid))) delete mark.failed[uid];
        else await this.#take(uid, size ?? 0);
        mark.uid = Math.max(mark.uid, uid);
      }
      await this.#save();
      await this.#act();
    }
  }

  async #newUids(): Promise<number[]> {
    const first = this.#mark.uid + 1;
    const seen = this.#parts.config.action === 'seen' ? { seen: false } : {};
    const found = await this.#answered('SEARCH', () =>
      this.#client.search({ uid: `${first}:*`, deleted: false, ...seen }, { uid: true }),
    );
    if (!Array.isArray(found))
      throw new SealpostError('imap-failed', 'the server does not search the folder');
    // "5:*" includes the last message even if its UID is below 5 (RFC 9051 section 9, seq-range)
    return found.filter((uid) => uid >= first).sort((a, b) => a - b);
  }

  async #sizes(uids: number[]): Promise<Map<number, number>> {
    const messages = await this.#answered('FETCH', () =>
      this.#client.fetchAll(uids.join(','), { uid: true, size: true }, { uid: true }),
    );
    return new Map(messages.map(({ uid, size }) => [uid, size ?? 0]));
  }

  /** Stores one message. Problems of the message itself are handled here; everything else is thrown. */
  async #take(uid: number, size: number): Promise<void> {
    const { mailbox, config, intake, drops } = this.#parts;
    const mark = this.#mark;
    const { uidValidity } = mark;
    try {
      if (size > config.maxSize) throw tooLarge(config.maxSize);
      const result = await fetchMessage(this.#client, uid, intake, {
        mailbox,
        user: config.user,
        origin: { kind: 'imap', detail: { host: config.host, folder: config.folder, uidValidity, uid } },
        maxSize: config.maxSize,
        acceptOctets: mark.failed[uid]?.octets,
      });
      delete mark.failed[uid];
      drops.delete(`${uidValidity}/${uid}`);
      if (result === 'gone') return;
      mark.pending.push(uid);
      messagesFetched.inc({ mailbox });
      this.#parts.onStored();
    } catch (error) {
      if (isOfClass(error, 'message')) this.#skip(uid, error);
      else if (error instanceof FetchError) await this.#failed(uid, error);
      else throw error;
    }
  }

  async #failed(uid: number, error: FetchError): Promise<void> {
    const { drops } = this.#parts;
    const mark = this.#mark;
    if (!this.#client.usable) {
      // Most likely it is the network, so the message gets more attempts. But one that breaks the connection every time
      // must not stop the mailbox, so it is tried later, after the others.
      const key = `${mark.uidValidity}/${uid}`;
      const count = (drops.get(key)?.count ?? 0) + 1;
      drops.set(key, {
        count,
        notBefore: count === 1 ? 0 : performance.now() + DROP_WAIT * 2 ** (count - 2),
      });
      mark.failed[uid] ??= { attempts: 0, octets: error.octets };
      if (count >= MAX_DROPS) {
        this.#skip(uid, new SealpostError('imap-failed', 'the connection breaks at this message'));
      }
      mark.uid = Math.max(mark.uid, uid);
      await this.#save();
      throw new SealpostError('imap-failed', 'the connection was lost', { cause: error });
    }
    const attempts = (mark.failed[uid]?.attempts ?? 0) + 1;
    mark.failed[uid] = { attempts, octets: error.octets };
    this.#parts.log.warn(
      { mailbox: this.#parts.mailbox, uid, attempts },
      'an IMAP message cannot be fetched',
    );
    if (attempts >= MAX_ATTEMPTS) this.#skip(uid, new SealpostError('imap-failed', error.message));
  }

  #skip(uid: number, error: SealpostError): void {
    const { mailbox, config, log, onSkipped } = this.#parts;
    const { uidValidity } = this.#mark;
    delete this.#mark.failed[uid];
    messagesSkipped.inc({ mailbox });
    log.error({ mailbox, folder: config.folder, uid, err: error }, 'an IMAP message is left in its folder');
    onSkipped({ mailbox, folder: config.folder, uidValidity, uid, code: error.code, message: error.message });
  }

  /** Runs the action for all stored messages. Failed ones stay pending, and are tried again at the next scan. */
  async #act(): Promise<void> {
    const { config, log, mailbox } = this.#parts;
    const { pending } = this.#mark;
    if (pending.length === 0) return;
    const range = pending.join(',');
    const done = await this.#answered(config.action, () => this.#treat(range));
    if (!done) {
      const words = watchOf(this.#client).words;
      log.error(
        { mailbox, action: config.action, ...(words === '' ? {} : { said: words }) },
        'stored messages cannot be moved, marked or deleted',
      );
      return;
    }
    this.#mark.pending = [];
    await this.#save();
  }

  async #treat(range: string): Promise<boolean> {
    const { config } = this.#parts;
    const client = this.#client;
    const options = { uid: true };
    if (config.action === 'seen') return client.messageFlagsAdd(range, ['\\Seen'], options);
    if (config.action === 'delete') return this.#remove(range);
    if (client.capabilities.has('MOVE'))
      return Boolean(await client.messageMove(range, pathOf(config.moveTo), options));
    return (
      Boolean(await client.messageCopy(range, pathOf(config.moveTo), options)) && (await this.#remove(range))
    );
  }

  /**
   * Without UIDPLUS (RFC 4315) there is only EXPUNGE, which removes every message that anybody has marked. So ours are
   * marked and left there. A search for new messages skips them.
   */
  #remove(range: string): Promise<boolean> {
    const options = { uid: true };
    if (this.#client.capabilities.has('UIDPLUS')) return this.#client.messageDelete(range, options);
    const { log, mailbox } = this.#parts;
    logRarely(
      log,
      'warn',
      `uidplus ${mailbox}`,
      { mailbox },
      'messages are only marked deleted: the server has no UIDPLUS',
    );
    return this.#client.messageFlagsAdd(range, ['\\Deleted'], options);
  }

  #answered<T>(what: string, command: () => Promise<T>): Promise<T> {
    return watchOf(this.#client).answered(what, command);
  }

  #save(): Promise<void> {
    return this.#parts.checkpoint.save(this.#key, this.#mark);
  }
}

/**
 * The configuration cannot know how the server writes names. A message that is moved into the folder it came from would
 * be fetched again for ever.
 */
export function refuseSameFolder(client: ImapFlow, { action, moveTo, folder }: ImapConfig): void {
  const { mailbox } = client;
  if (action !== 'move' || !mailbox) return;
  const name = (path: string) => (path.toUpperCase() === 'INBOX' ? 'INBOX' : path);
  const target = name(pathOf(moveTo).join(mailbox.delimiter ?? '/'));
  if (target === name(mailbox.path) || name(moveTo) === name(folder)) {
    throw new SealpostError('config-invalid', `imap.moveTo is the folder itself, ${mailbox.path}`, {
      hint: 'name another folder, or use the action seen',
    });
  }
}

/** The parts of a folder's path. imapflow joins them with the server's delimiter. */
export function pathOf(folder: string): string[] {
  return folder.split('/');
}

export const messagesFetched = counter('imap_messages_total', 'Messages that were fetched and stored.', [
  'mailbox',
]);
export const messagesSkipped = counter('imap_skipped_total', 'Messages that were left in the folder.', [
  'mailbox',
]);
export const sessionsFailed = counter('imap_failures_total', 'IMAP sessions that ended with an error.', [
  'mailbox',
]);
