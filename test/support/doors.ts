/**
 * A daemon with every door of programs open, and one way to try each: HTTP, submission, folder, queue, `sealpost send`.
 */
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { SealpostError } from '../../src/errors.ts';
import { isDeadOwner } from '../../src/files.ts';
import { QueueClient } from '../../src/producer/index.ts';
import type { MessageRecord } from '../../src/queue/index.ts';
import { startDaemon, type TestDaemon } from './daemon.ts';
import { startTestRedis, type TestRedis } from './redis.ts';
import { RawClient } from './smtp.ts';
import { plain } from './submission.ts';
import { makeTlsFiles, type TlsFiles } from './tls.ts';
import type { World } from './world.ts';

/** What a door said: an id, or why not (a code, or the reply over SMTP). */
export interface Outcome {
  id?: string;
  refused?: string;
}

/** Tokens, queue and login of a client. */
export interface DoorClient {
  name: string;
  token: string;
  queue: QueueClient;
  /** Where its jobs are, and the public key that they are sealed for. */
  made: { prefix: string; key: string };
}

/** Who, the query, the type of the body, the body, an idempotency key. */
type HttpRequest = [DoorClient, Record<string, string>, string, Buffer | string, string?];

export interface Doors {
  daemon: TestDaemon;
  redis: TestRedis;
  tls: TlsFiles;
  /** May send to acme from erp@own.example; its folder is `drop`. */
  erp: DoorClient;
  /** May send to globex from shop@own.example. */
  shop: DoorClient;
  api: number;
  drop: string;
  http(...request: HttpRequest): Promise<Outcome>;
  answer(...request: HttpRequest): Promise<{ status: number; text: string }>;
  /** A session that has logged in. */
  login(client: DoorClient): Promise<RawClient>;
  smtp(client: DoorClient, to: string, mail: string | Buffer, parameters?: string): Promise<Outcome>;
  /** Puts a file there by a rename, and waits until it was taken or refused. */
  file(partner: string, name: string, content: string | Buffer | ((path: string) => void)): Promise<Outcome>;
  queue(client: DoorClient, message: Parameters<QueueClient['submit']>[0]): Promise<Outcome>;
  send(args: string[], input?: string): Promise<Outcome>;
  /** All outbound messages. */
  records(): Promise<MessageRecord[]>;
  /** Octets of a message as they are kept. */
  octets(id: string): Promise<string>;
  close(): Promise<void>;
}

const partner = (name: string) => ({
  name,
  addresses: [`edi@${name}.example`],
  encrypt: false,
  sign: 'none',
  route: { host: '127.0.0.1', port: 9, tls: 'none' },
});

export interface DoorsOptions {
  /** Without `outbound`, which is the default, nothing leaves. */
  roles?: string;
  /** Settings of the partners that differ: by default their mail is neither encrypted nor signed. */
  partner?: Record<string, unknown>;
  /** Settings of the daemon that differ. */
  config?: Record<string, unknown>;
}

export async function startDoors(
  world: World,
  { roles = 'api,receive,submit', partner: more = {}, config = {} }: DoorsOptions = {},
): Promise<Doors> {
  const [redis, tls] = [await startTestRedis(), await makeTlsFiles()];
  const drop = join(world.folder, 'drop');
  mkdirSync(drop);
  const daemon = await startDaemon(world, {
    args: ['--only', roles],
    config: {
      redis: { url: redis.url },
      mailboxes: [],
      smtp: {
        listen: [{ port: 0, kind: 'submission', implicitTls: true }],
        tls: { cert: tls.cert, key: tls.key },
        hostname: 'own.example',
        greetingDelay: '0ms',
      },
      partners: [
        { ...partner('acme'), from: 'erp@own.example', ...more },
        { ...partner('globex'), from: 'shop@own.example', ...more },
      ],
      api: { port: 0 },
      folders: [{ path: drop, client: 'erp', settle: '100ms', scan: '1s' }],
      clientQueues: { enabled: true },
      ...config,
    },
  });
  const port = (what: RegExp) => Number(what.exec(daemon.log())?.[1]);
  const [api, submission] = [port(/"api":"[^"]*:(\d+)"/), port(/"smtp":\["[^"]*:(\d+)"/)];
  const closing: (() => Promise<void>)[] = [];
  const client = async (name: string, to: string): Promise<DoorClient> => {
    const grants = ['--scope', 'send', '--partner', to, '--sender', `${name}@own.example`];
    const added = await daemon.command(['clients', 'add', name, ...grants, '--queue', '--json']);
    const { acl, ...made } = JSON.parse(added.stdout.toString());
    await daemon.queue.redis.call('ACL', ...acl.split(' ').slice(1));
    const queue = new QueueClient({ redis: { path: redis.url.replace(/^unix:\/\//, '') }, ...made });
    closing.push(() => queue.close());
    const token = (await daemon.command(['tokens', 'add', name])).stdout.toString().trim();
    await daemon.waitFor('the token is known', async () => {
      const headers = { authorization: `Bearer ${token}` };
      return (await fetch(`http://127.0.0.1:${api}/v1/openapi.json`, { headers })).status === 200;
    });
    return { name, token, queue, made };
  };
  const [erp, shop] = [await client('erp', 'acme'), await client('shop', 'globex')];
  await daemon.waitFor('the folder is made', () => existsSync(join(drop, 'acme')));

  const doors: Doors = {
    ...{ daemon, redis, tls, erp, shop, api, drop },
    async answer({ token }, query, type, body, key) {
      const answer = await fetch(`http://127.0.0.1:${api}/v1/messages?${new URLSearchParams(query)}`, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${token}`,
          'content-type': type,
          ...(key === undefined ? {} : { 'idempotency-key': key }),
        },
        body: Buffer.from(body),
      });
      return { status: answer.status, text: await answer.text() };
    },
    async http(...request) {
      const { status, text } = await doors.answer(...request);
      const json = JSON.parse(text);
      return status === 202 ? { id: json.messages[0].id } : { refused: json.code };
    },
    async login({ name, token }) {
      const session = await RawClient.connectTls(submission, tls.pem);
      await session.hello();
      const reply = await session.command(plain(name, token));
      if (!reply.startsWith('235 ')) throw new Error(reply);
      return session;
    },
    async smtp(who, to, mail, parameters = '') {
      const session = await doors.login(who);
      try {
        const from = `MAIL FROM:<${who.name}@own.example>${parameters}`;
        for (const line of [from, `RCPT TO:<${to}>`, 'DATA']) {
          const reply = await session.command(line);
          if (!/^[23]/.test(reply)) return { refused: reply };
        }
        session.write(Buffer.concat([Buffer.from(mail), Buffer.from('\r\n.\r\n')]));
        return smtpOutcome(await session.reply());
      } finally {
        session.close();
      }
    },
    async file(to, name, content) {
      const path = join(drop, to, name);
      mkdirSync(join(drop, to), { recursive: true });
      const draft = join(drop, to, '.draft');
      if (typeof content === 'function') content(draft);
      else writeFileSync(draft, content);
      renameSync(draft, path);
      const reason = join(drop, 'failed', to, `${name}.error.json`);
      return await daemon.waitFor(`${name} was taken`, async () => {
        if (existsSync(reason)) return { refused: JSON.parse(readFileSync(reason, 'utf8')).code };
        const found = (await doors.records()).find(({ metadata }) => metadata?.file === name);
        return found && !existsSync(path) ? { id: found.id } : undefined;
      });
    },
    async queue(who, message) {
      try {
        const [first] = await who.queue.submit(message, 60_000);
        return first === undefined ? {} : { id: first.id };
      } catch (error) {
        if (error instanceof SealpostError) return { refused: error.code };
        throw error;
      }
    },
    async send(args, input = '') {
      const ran = await daemon.command(['send', ...args], { input });
      if (ran.code === 0) return { id: ran.stdout.toString().trim() };
      return { refused: /\[([a-z-]+)\]/.exec(ran.stderr)?.[1] ?? ran.stderr };
    },
    async records() {
      const { messages } = await daemon.queue.ledger.list({ limit: 1000 });
      return messages.filter(({ direction }) => direction === 'outbound');
    },
    async octets(id) {
      const ref = await daemon.queue.flow.originalOf(id);
      return ref ? (await daemon.queue.spool.read(ref)).toString() : '';
    },
    async close() {
      for (const close of closing) await close();
      await daemon.stop();
      await redis.stop();
      tls.remove();
    },
  };
  return doors;
}

const smtpOutcome = (reply: string): Outcome => {
  const id = /^250 .* as (\S+)$/.exec(reply)?.[1];
  return id === undefined ? { refused: reply } : { id };
};

/** Half of an upload, and then the connection breaks. */
export async function cutOff(port: number, ...pieces: (string | Buffer)[]): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  for (const piece of pieces) socket.write(piece);
  await once(socket, 'connect');
  await new Promise((resolve) => setTimeout(resolve, 300));
  socket.resetAndDestroy();
}

/** Drafts of living processes in the spool of a data folder; a sweep removes those of dead ones. */
export function draftsIn(dataDir: string): string[] {
  const folder = join(dataDir, 'spool', 'tmp');
  const drafts = existsSync(folder) ? readdirSync(folder) : [];
  return drafts.filter((name) => !isDeadOwner(name.slice(name.indexOf('.') + 1)));
}
