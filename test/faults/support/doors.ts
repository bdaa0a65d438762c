/** The doors of programs: a daemon with all of them, and programs that repeat what was not answered. */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createTransport } from 'nodemailer';
import { SealpostError } from '../../../src/errors.ts';
import { QueueClient } from '../../../src/producer/index.ts';
import { freePort } from '../../support/net.ts';
import { makeTlsFiles } from '../../support/tls.ts';
import type { Run } from './case.ts';
import type { Accepted } from './load.ts';
import { outboundPartner } from './outbound.ts';
import { type PartnerServer, startPartner } from './partners.ts';
import type { Rig } from './rig.ts';

/** Each door, and the role whose process stands behind it. */
export const roleOf = { http: 'api', submission: 'receive', folder: 'submit', queue: 'submit' } as const;
export type Door = keyof typeof roleOf;

/** A message, known to its sink by its subject, which is its idempotency key too. */
interface Message {
  name: string;
  text: string;
}

/** One attempt; undefined if there was no answer, or one that says "later". */
type Attempt = (message: Message) => Promise<string | undefined>;

export interface DoorsRig {
  rig: Rig;
  partner: PartnerServer;
  /** @param pace milliseconds between two messages of a program */
  load(door: Door, pace: number): DoorLoad;
}

const patience = 20_000;
/** Every fourth is larger than what Redis keeps, so that uploads are cut in the middle. */
const large = 400_000;

function messageOf(door: Door, number: number): Message {
  const name = `${door}-${number}-${randomBytes(6).toString('hex')}`;
  const size = number % 4 === 3 ? large : 200;
  return { name, text: `${name} ${'sealing wax '.repeat(6)}\r\n`.repeat(Math.ceil(size / 100)) };
}

/** A daemon with all doors on fixed ports, a client that may use them, and a partner that knows mails by subject. */
export async function doorsRig(run: Run): Promise<DoorsRig> {
  const partner = await startPartner((mail) => /^subject: (\S+)/im.exec(mail)?.[1] ?? '');
  run.after(() => partner.close());
  const tls = await makeTlsFiles();
  run.after(() => tls.remove());
  const [api, submission] = [await freePort(), await freePort()];
  const drop = join(run.world.folder, `drop-${api}`);
  mkdirSync(drop);
  const { partners } = outboundPartner(run.world, partner.port);
  // The user of a queue is kept by Redis, as docs/sending.md has it.
  const users = run.world.file(`users-${api}.acl`, '');
  const rig = await run.rig({
    redis: { settings: { aclfile: users } },
    smtp: {
      listen: [{ port: submission, kind: 'submission', implicitTls: true }],
      tls: { cert: tls.cert, key: tls.key },
    },
    config: {
      mailboxes: [],
      partners: partners.map((each) => ({ ...each, encrypt: false, sign: 'none' })),
      api: { port: api },
      folders: [{ path: drop, client: 'erp', settle: '100ms', scan: '1s' }],
      clientQueues: { enabled: true },
    },
  });
  const ran = await rig.daemon.command(
    'clients add erp --scope send --partner partner --sender orders@own.example --queue --json'.split(' '),
  );
  const { acl, ...queue } = JSON.parse(ran.stdout.toString());
  await rig.queue.redis.call('ACL', ...acl.split(' ').slice(1));
  await rig.queue.redis.call('ACL', 'SAVE');
  const token = (await rig.daemon.command(['tokens', 'add', 'erp'])).stdout.toString().trim();
  // A door learns of it within a second.
  await rig.daemon.waitFor('the token is known', async () => {
    const headers = { authorization: `Bearer ${token}` };
    return (await fetch(`http://127.0.0.1:${api}/v1/openapi.json`, { headers })).ok;
  });
  const producer = new QueueClient({ redis: { host: '127.0.0.1', port: rig.redis?.port ?? 0 }, ...queue });
  run.after(() => producer.close());
  await rig.daemon.waitFor('the folder of the partner is made', () => readdirSync(drop).includes('partner'));
  const attempts: Record<Exclude<Door, 'folder'>, Attempt> = {
    http: (message) => overHttp(api, token, message),
    submission: (message) => overSmtp(submission, token, message),
    queue: (message) => overQueue(producer, message),
  };
  const load = (door: Door, pace: number) =>
    door === 'folder'
      ? new FolderLoad(rig, join(drop, 'partner'), pace)
      : new DoorLoad(door, pace, attempts[door]);
  return { rig, partner, load };
}

async function overHttp(port: number, token: string, { name, text }: Message): Promise<string | undefined> {
  const answer = await fetch(`http://127.0.0.1:${port}/v1/messages`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${token}`,
      'content-type': 'application/json',
      'idempotency-key': name,
    },
    body: JSON.stringify({ partner: 'partner', subject: name, text }),
    signal: AbortSignal.timeout(patience),
  })
    .then(async (response) => ({ status: response.status, body: await response.text() }))
    .catch(() => undefined);
  if (answer === undefined || answer.status >= 500 || answer.status === 429) return undefined;
  if (answer.status !== 202) throw new Error(`${answer.status} ${answer.body}`);
  return JSON.parse(answer.body).messages[0].id;
}

async function overSmtp(port: number, token: string, { name, text }: Message): Promise<string | undefined> {
  // Message-ID, Date and boundaries are made anew for each attempt, as programs do.
  const transport = createTransport({
    host: '127.0.0.1',
    port,
    secure: true,
    tls: { rejectUnauthorized: false },
    auth: { user: 'erp', pass: token },
    socketTimeout: patience,
  });
  try {
    const { response } = await transport.sendMail({
      from: 'orders@own.example',
      to: 'edi@partner.example',
      subject: name,
      text,
      headers: { 'X-Sealpost-Idempotency-Key': name },
    });
    return / as (\S+)$/.exec(response)?.[1];
  } catch (error) {
    const code = error instanceof Error && 'responseCode' in error ? Number(error.responseCode) : 0;
    if (code >= 500) throw error;
    return undefined;
  } finally {
    transport.close();
  }
}

async function overQueue(producer: QueueClient, { name, text }: Message): Promise<string | undefined> {
  try {
    const message = { partner: 'partner', content: text, filename: 'order.txt', subject: name };
    const [first] = await producer.submit({ ...message, idempotencyKey: name }, patience);
    return first?.id;
  } catch (error) {
    if (error instanceof SealpostError && error.code === 'redis-unreachable') return undefined;
    throw error;
  }
}

/** Programs that send side by side; each repeats a message with its key until it has an answer. */
export class DoorLoad {
  readonly accepted: Accepted[] = [];
  /** What was refused for good: nothing should be. */
  readonly refused: string[] = [];
  sent = 0;
  unanswered = 0;
  longestPause = 0;
  protected finishing = false;
  protected readonly pace: number;
  readonly #running: Promise<void>[];
  #lastAt = performance.now();

  constructor(door: Door, pace: number, attempt: Attempt, clients = 3) {
    this.pace = pace;
    this.#running = Array.from({ length: clients }, () => this.#client(door, attempt));
  }

  /** Messages that were taken so far. */
  get taken(): number {
    return this.accepted.length;
  }

  async finish(): Promise<void> {
    this.finishing = true;
    await Promise.all(this.#running);
  }

  async #client(door: Door, attempt: Attempt): Promise<void> {
    while (!this.finishing) {
      const message = messageOf(door, this.sent++);
      try {
        const id = await this.#untilAnswered(attempt, message);
        const now = performance.now();
        this.longestPause = Math.max(this.longestPause, now - this.#lastAt);
        this.#lastAt = now;
        this.accepted.push({ id, messageId: message.name, at: Date.now() });
      } catch (error) {
        this.refused.push(`${message.name}: ${error instanceof Error ? error.message : String(error)}`);
      }
      await sleep(this.pace);
    }
  }

  async #untilAnswered(attempt: Attempt, message: Message): Promise<string> {
    for (;;) {
      const id = await attempt(message);
      if (id !== undefined) return id;
      this.unanswered++;
      await sleep(200 * (0.5 + Math.random()));
    }
  }
}

const namesIn = (path: string) => (existsSync(path) ? readdirSync(path) : []);

/** A program that puts files into the folder of the partner. Each that it has put there counts as accepted. */
class FolderLoad extends DoorLoad {
  readonly #rig: Rig;
  readonly #folder: string;
  readonly #names: string[] = [];
  readonly #writing: Promise<void>;

  constructor(rig: Rig, folder: string, pace: number) {
    super('folder', pace, async () => undefined, 0);
    this.#rig = rig;
    this.#folder = folder;
    this.#writing = this.#write();
  }

  override get taken(): number {
    return this.#names.length - this.#left();
  }

  #left(): number {
    return namesIn(this.#folder).length + namesIn(join(this.#folder, '../.sealpost/partner')).length;
  }

  async #write(): Promise<void> {
    while (!this.finishing) {
      const { name, text } = messageOf('folder', this.sent++);
      writeFileSync(join(this.#folder, `.${name}`), text);
      renameSync(join(this.#folder, `.${name}`), join(this.#folder, name));
      this.#names.push(name);
      await sleep(this.pace);
    }
  }

  /** Waits until the folder is empty, and finds the messages in the ledger. */
  override async finish(): Promise<void> {
    await super.finish();
    await this.#writing;
    await this.#rig.daemon.waitFor('every file is taken', () => this.#left() === 0);
    const ids = new Map<string, string>();
    for (let cursor: string | undefined; ; ) {
      const page = await this.#rig.queue.ledger.list({
        partner: 'partner',
        limit: 500,
        ...(cursor && { cursor }),
      });
      for (const { id, metadata } of page.messages) if (metadata?.file) ids.set(metadata.file, id);
      if (!page.cursor) break;
      cursor = page.cursor;
    }
    this.refused.push(...namesIn(join(this.#folder, '../failed/partner')));
    for (const name of this.#names)
      this.accepted.push({ id: ids.get(name) ?? `no message of ${name}`, messageId: name, at: Date.now() });
  }
}
