/**
 * Makes a small data folder with messages in every state, as one version of the code writes it:
 * `node --openssl-legacy-provider scripts/stored-fixture.ts --code CHECKOUT --out test/fixtures/VERSION [--ordered]`.
 * With `--ordered` (later than 0.1.0), also mail in strict order, with metadata, priority and an idempotency key.
 *
 * `CHECKOUT` is a working tree of that version with its node_modules; it runs as it stands, daemon and command line.
 * The fixture has the configuration, throw-away keys, the append-only file, the spool folder, and `expected.json`:
 * which messages there are and how each ends. `test/daemon/stored-versions.test.ts` opens a copy with the code of
 * today.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs, promisify } from 'node:util';
import type * as ConfigLoad from '../src/config/load.ts';
import type { LedgerEventType, QueueRoom } from '../src/queue/index.ts';
import type { PrivateServer } from '../src/redis/index.ts';
import type { World } from '../test/support/world.ts';

const { values } = parseArgs({
  options: {
    code: { type: 'string' },
    out: { type: 'string' },
    ordered: { type: 'boolean', default: false },
  },
});
if (values.code === undefined || values.out === undefined)
  throw new Error('usage: --code CHECKOUT --out FOLDER');
const [code, out] = [resolve(values.code), resolve(values.out)];

/** What of that version is called in process; files are where it has them. */
const importOf = async (...paths: string[]) => {
  for (const path of paths.slice(0, -1)) {
    const found: unknown = await import(join(code, path)).catch(() => undefined);
    if (found !== undefined) return found;
  }
  return await import(join(code, paths.at(-1) ?? ''));
};

/** Port of the partner's mail server in the configuration; whoever opens the fixture writes another one. */
const partnerPort = 10_025;
/** Goes to the spool folder: above `spool.inlineLimit`. */

const large = 6.5 * 1024;

const folder = await mkdtemp(join(tmpdir(), 'sealpost-fixture-'));
const configFile = join(folder, 'sealpost.yaml');

function settings(decrypts: boolean): string {
  const mailbox = (name: string) => `  - name: ${name}
    addresses: [${name}@own.example]
    destinations: [{ type: directory, path: delivered/${name} }]
    onSuspend: { destination: { type: directory, path: reports } }
`;
  const partner = (name: string, more = '') => `  - name: ${name}
    addresses: [edi@${name}.example]
    certificates: [keys/partner.pem]
    identity: own
    route: { host: 127.0.0.1, port: ${partnerPort}, tls: none }
${more}`;
  return `dataDir: data
smtp: { listen: [{ host: 127.0.0.1, port: 0 }], hostname: own.example, greetingDelay: 0ms }
identities:
  - { name: own, certificate: keys/own.pem, key: keys/own.key.pem }
${decrypts ? '  - { name: older, certificate: keys/older.pem, key: keys/older.key.pem }\n' : ''}trust: { anchors: [keys/root.pem] }
mailboxes:
${mailbox('orders')}${mailbox('invoices')}partners:
${partner('first')}${partner('second')}${values.ordered ? partner('third', '    order: stop\n') : ''}retry: { firstDelay: 20s, maxDelay: 40s }
retention: { original: 3650d, ledger: 3650d, duplicates: 3650d }
spool: { inlineLimit: 8KiB }
workers: { decrypt: 1 }
`;
}

const run = promisify(execFile);
const sealpost = (...args: string[]) => run(join(code, 'bin/sealpost'), [...args, '--config', configFile]);

/** Runs roles of the daemon while the work lasts. */
async function withRoles(roles: string, work: () => Promise<void>): Promise<void> {
  const daemon: ChildProcess = spawn(
    join(code, 'bin/sealpost'),
    ['start', '--config', configFile, '--only', roles],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  const ended = new Promise((done) => daemon.once('exit', done));
  try {
    await work();
  } finally {
    daemon.kill('SIGTERM');
    await ended;
  }
}

async function until(what: string, test: () => Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + 60_000; !(await test()); await sleep(20))
    if (Date.now() > deadline) throw new Error(`it did not come to this: ${what}`);
}

interface Expected {
  id: string;
  direction: 'inbound' | 'outbound';
  /** What it is an example of. */
  what: string;
  /** As it stands in the fixture. */
  state: string;
  /** What a person does with it: it waits for that. */
  act?: 'resume' | 'decode';
  /** Found in what is delivered, or in what the partner decrypts. */
  marker: string;
}

let server: PrivateServer | undefined;
try {
  await mkdir(join(folder, 'keys'));
  await mkdir(join(folder, 'delivered'));
  const { makeWorld }: { makeWorld(): World } = (await importOf('test/support/world.ts')) as never;
  const world = makeWorld();
  const older = world.party('older@own.example');
  for (const [name, file] of [
    ['own.pem', world.own.certFile],
    ['own.key.pem', world.own.keyFile],
    ['older.pem', older.certFile],
    ['older.key.pem', older.keyFile],
    ['partner.pem', world.partner.certFile],
    ['partner.key.pem', world.partner.keyFile],
    ['root.pem', world.anchorFile],
  ] as const)
    await cp(file, join(folder, 'keys', name));
  await writeFile(configFile, settings(false));

  const { loadConfig } = (await importOf('src/config/load.ts')) as typeof ConfigLoad;
  const { openQueue } = (await importOf('src/queue/index.ts')) as {
    openQueue(config: unknown, options: unknown): Promise<QueueRoom>;
  };
  const { createLog } = (await importOf('src/log.ts')) as typeof import('../src/log.ts');
  const { startPrivateServer } = (await importOf(
    'src/redis/private-server.ts',
    'src/queue/private-server.ts',
  )) as { startPrivateServer(dataDir: string): Promise<PrivateServer> };
  const config = loadConfig(configFile);
  server = await startPrivateServer(config.dataDir);
  const queue = await openQueue(config, { role: 'fixture', log: createLog('warn', 'fixture') });
  const expected: Expected[] = [];

  const text = (marker: string, octets: number) =>
    `Content-Type: text/plain\r\n\r\n${marker}\r\n${randomBytes(octets).toString('base64').replace(/.{76}/g, '$&\r\n')}\r\n`;

  async function receive(
    what: string,
    {
      mailbox = 'orders',
      size = 300,
      state,
      act,
      to = world.own,
    }: {
      mailbox?: string;
      size?: number;
      state: string;
      act?: Expected['act'];
      to?: typeof older;
    },
  ): Promise<string> {
    const marker = `marker-${expected.length + 1}-${randomBytes(4).toString('hex')}`;
    const raw = world.mail(text(marker, size), { to });
    const writer = queue.intake.begin();
    await writer.write(raw);
    const [result] = await queue.intake.commit(writer, [
      {
        mailbox,
        origin: { kind: 'smtp', detail: { address: '127.0.0.1', helo: 'partner.example' } },
        envelope: { from: 'edi@partner.example', to: [`${mailbox}@own.example`] },
        messageId: `<${marker}@partner.example>`,
      },
    ]);
    if (!result) throw new Error('nothing was accepted');
    expected.push({
      id: result.id,
      direction: 'inbound',
      what,
      state,
      ...(act ? { act } : {}),
      marker,
    });
    return result.id;
  }

  async function submit(
    what: string,
    {
      partner,
      size = 300,
      state,
      act,
      options = [],
    }: { partner: string; size?: number; state: string; act?: Expected['act']; options?: string[] },
  ): Promise<string> {
    const marker = `marker-${expected.length + 1}-${randomBytes(4).toString('hex')}`;
    const file = join(world.folder, `${marker}.eml`);
    await writeFile(
      file,
      `From: orders@own.example\r\nTo: edi@${partner}.example\r\nSubject: ${marker}\r\n${text(marker, size)}`,
    );
    const { stdout } = await sealpost('send', file, '--partner', partner, '--json', ...options);
    const { id }: { id: string } = JSON.parse(stdout);
    expected.push({
      id,
      direction: 'outbound',
      what,
      state,
      ...(act ? { act } : {}),
      marker,
    });
    return id;
  }

  const stateOf = async (id: string) => (await queue.ledger.get(id))?.state;
  const hasEvent = async (id: string, type: LedgerEventType) =>
    (await queue.ledger.get(id))?.events.some((event) => event.type === type) === true;
  const count = async (queueName: string) => {
    const prefix = `${queue.prefix}:${queueName}`;
    const [waiting, delayed, parked] = await Promise.all([
      queue.redis.llen(`${prefix}:wait`),
      queue.redis.zcard(`${prefix}:delayed`),
      queue.redis.zcard(`${queue.prefix}:parked:${queueName}`),
    ]);
    return { waiting, delayed, parked };
  };

  // Delivered, with the original kept; one more that is decoded again later, and one that no key opens.
  const again: string[] = [];
  await withRoles('decrypt,handoff,outbound', async () => {
    const done = [
      await receive('delivered, original kept in Redis', {
        state: 'delivered',
        act: 'decode',
      }),
      await receive('delivered, original kept in the spool folder', {
        state: 'delivered',
        act: 'decode',
        size: large,
      }),
      await receive('decoded again after its delivery, waits for handoff', {
        state: 'decoded',
      }),
    ];
    again.push(done[2] ?? '');
    for (const id of done) await until('delivered', async () => (await stateOf(id)) === 'delivered');
    const locked = await receive('suspended: no key for it', {
      state: 'suspended',
      act: 'decode',
      to: older,
    });
    await until('suspended', async () => (await stateOf(locked)) === 'suspended');
  });

  await rm(join(folder, 'delivered', 'invoices'), { recursive: true });

  // A partner whose server refuses for good, then one that is down: messages are delayed, or wait apart (where that
  // version has it).
  const refusing = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.write('220 partner.example ESMTP\r\n');
    socket.setEncoding('latin1').on('data', (line: string) => {
      if (/^EHLO/i.test(line)) socket.write('250 partner.example\r\n');
      else if (/^QUIT/i.test(line)) socket.end('221 bye\r\n');
      else socket.write(/^MAIL/i.test(line) ? '250 ok\r\n' : '550 5.1.1 no such mailbox\r\n');
    });
  });
  await new Promise<void>((done) => refusing.listen(partnerPort, '127.0.0.1', done));
  await withRoles('outbound', async () => {
    const refused = await submit('suspended: the server refused it', {
      partner: 'second',
      state: 'suspended',
      act: 'resume',
    });
    await until('refused', async () => (await stateOf(refused)) === 'suspended');
  });
  await new Promise<void>((done) => {
    refusing.close(() => done());
  });
  await submit('delayed or parked: the server was down', { partner: 'first', state: 'queued' });
  await submit('delayed or parked: the server was down', { partner: 'first', state: 'queued' });
  await submit('delayed or parked, large', { partner: 'first', state: 'queued', size: large });
  await withRoles('outbound', () =>
    until('outbound tried', async () => {
      const { waiting, delayed, parked } = await count('outbound');
      return waiting === 0 && delayed >= 1 && delayed + parked === 3;
    }),
  );

  // The same for a folder that is gone while handoff runs: something else has its name.
  const invoices = join(folder, 'delivered', 'invoices');
  await withRoles('decrypt,handoff', async () => {
    await until('ready', () => Promise.resolve(existsSync(invoices)));
    await rm(invoices, { recursive: true });
    await writeFile(invoices, 'not a folder');
    for (const size of [300, 300, large])
      await receive('delayed or parked: the folder was gone', {
        mailbox: 'invoices',
        state: 'decoded',
        size,
      });
    await until('handoff tried', async () => {
      const { waiting, delayed, parked } = await count('handoff');
      return waiting === 0 && delayed >= 1 && delayed + parked === 3;
    });
  });
  await rm(invoices);

  // Without handoff: decoded messages wait, and so does the report of a suspended one.
  await withRoles('decrypt', async () => {
    const ids = [
      await receive('decoded, waits for handoff', { state: 'decoded' }),
      await receive('decoded, waits for handoff, large', { state: 'decoded', size: large }),
    ];
    for (const id of again) {
      await queue.flow.decodeAgain(id);
      ids.push(id);
    }
    for (const id of ids) await until('decoded', async () => (await stateOf(id)) === 'decoded');
    const locked = await receive('suspended, its report waits', {
      state: 'suspended',
      act: 'decode',
      to: older,
    });
    await until('suspended', async () => (await stateOf(locked)) === 'suspended');
  });

  // Without any role: as they were accepted.
  await receive('received, waits for decrypt', { state: 'received' });
  await receive('received, waits for decrypt, large', { state: 'received', size: large });
  await submit('waits for outbound', { partner: 'second', state: 'queued' });
  await submit('waits for outbound, large', { partner: 'second', state: 'queued', size: large });

  if (values.ordered)
    for (const place of ['first', 'second'])
      await submit(`in strict order, ${place} in line`, {
        partner: 'third',
        state: 'queued',
        options: ['--metadata', `place=${place}`, '--priority', '2', '--idempotency-key', `key-${place}`],
      });

  for (const { id, state, what } of expected)
    if ((await stateOf(id)) !== state) throw new Error(`${id} (${what}) is ${await stateOf(id)}`);
  if (!(await hasEvent(again[0] ?? '', 'decode-again'))) throw new Error('nothing was decoded again');
  const counts: Record<string, unknown> = {};
  for (const name of ['inbound', 'handoff', 'outbound', 'failures']) counts[name] = await count(name);
  process.stdout.write(`${JSON.stringify(counts)}\n`);

  // As commands and not as a snapshot: any server reads it, of Redis or Valkey, older or newer.
  await queue.redis.config('SET', 'aof-use-rdb-preamble', 'no');
  await queue.redis.bgrewriteaof();
  await until('rewritten', async () =>
    /aof_rewrite_in_progress:0/.test(await queue.redis.info('persistence')),
  );
  await until('not scheduled', async () =>
    /aof_rewrite_scheduled:0/.test(await queue.redis.info('persistence')),
  );
  await queue.close();
  await server.stop();
  server = undefined;

  await writeFile(configFile, settings(true));
  await rm(out, { recursive: true, force: true });
  await mkdir(join(out, 'data/redis'), { recursive: true });
  for (const name of ['sealpost.yaml', 'keys', 'data/spool', 'data/spool.key', 'data/redis/appendonlydir'])
    await cp(join(folder, name), join(out, name), { recursive: true });
  await chmod(join(out, 'data/spool.key'), 0o600);
  const digest = createHash('sha256')
    .update(await readFile(configFile))
    .digest('hex');
  await writeFile(
    join(out, 'expected.json'),
    `${JSON.stringify({ partnerPort, configuration: digest, messages: expected }, null, 2)}\n`,
  );
  world.remove();
} finally {
  await server?.stop();
  await rm(folder, { recursive: true, force: true });
}
