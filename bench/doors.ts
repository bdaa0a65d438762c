/**
 * Messages a second from each door to a partner's server: handed in by programs, durable, signed, encrypted and sent to
 * smtp-sink (Postfix), through the real daemon with all its roles. In the same run, messages that wait in the queue,
 * which is what sending alone can do. From the first message to the last one that is recorded as sent. Programs, sink,
 * Redis and daemon share the machine's cores, so what a door costs beside sending shows in processor time.
 *
 *   node --openssl-legacy-provider bench/doors.ts [--messages 400] [--at-once 16] [--rounds 2] [--doors queue,http,...]
 */
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { sealpost } from '../test/support/daemon.ts';
import { startDoors } from '../test/support/doors.ts';
import { makeWorld } from '../test/support/world.ts';
import { cpuOf } from './raw.ts';
import { startSink } from './sink.ts';
import { figure, median, printTable, progress } from './table.ts';

const { values } = parseArgs({
  options: {
    messages: { type: 'string', default: '400' },
    'at-once': { type: 'string', default: '16' },
    rounds: { type: 'string', default: '2' },
    doors: { type: 'string', default: 'queue,http,submission,folder,client queue,send' },
  },
});
const messages = Number(values.messages);
const atOnce = Number(values['at-once']);
const content = Buffer.from(`${'x'.repeat(62)}\r\n`.repeat(160));

const world = makeWorld();
const sink = await startSink();
const doors = await startDoors(world, {
  roles: 'api,receive,submit,outbound',
  partner: {
    ...{ encrypt: true, sign: 'opaque', identity: 'own', certificates: [world.partner.certFile] },
    route: { host: '127.0.0.1', port: sink.port, tls: 'none' },
  },
  config: { log: { level: 'info' }, workers: { outbound: 2 } },
});
const { daemon, redis } = doors;
const agent = new Agent({ keepAlive: true, maxSockets: atOnce });
let number = 0;

/** So many at a time, each with a name of its own. */
async function sideBySide(one: (name: string) => Promise<void>): Promise<void> {
  let left = messages;
  const lane = async () => {
    for (; left > 0; ) {
      left -= 1;
      number += 1;
      await one(`order-${number}.xml`);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
}

async function post(name: string): Promise<void> {
  const status = await new Promise<number | undefined>((resolve, reject) => {
    const sent = request(
      {
        ...{ agent, port: doors.api, method: 'POST' },
        path: `/v1/messages?partner=acme&filename=${name}`,
        headers: {
          authorization: `Bearer ${doors.erp.token}`,
          'content-type': 'application/xml',
          'content-length': content.length,
        },
      },
      (answer) => answer.resume().on('end', () => resolve(answer.statusCode)),
    );
    sent.on('error', reject);
    sent.end(content);
  });
  if (status !== 202) throw new Error(`status ${status}`);
}

async function submitAll(): Promise<void> {
  const sessions = await Promise.all(Array.from({ length: atOnce }, () => doors.login(doors.erp)));
  await sideBySide(async (name) => {
    const session = sessions.pop();
    if (session === undefined) throw new Error('more lanes than sessions');
    for (const line of ['MAIL FROM:<erp@own.example>', 'RCPT TO:<edi@acme.example>', 'DATA'])
      await session.command(line);
    session.write(Buffer.concat([Buffer.from(`Subject: ${name}\r\n\r\n`), content, Buffer.from('.\r\n')]));
    const reply = await session.reply();
    if (!reply.startsWith('250 ')) throw new Error(reply);
    sessions.push(session);
  });
  for (const session of sessions) session.close();
}

function writeAll(folder: string): void {
  for (let each = 0; each < messages; each += 1) {
    number += 1;
    const draft = join(folder, `.draft-${number}`);
    writeFileSync(draft, Buffer.concat([content, Buffer.from(`${number}`)]));
    renameSync(draft, join(folder, `order-${number}.xml`));
  }
}

const outbound = () => daemon.roles().filter(({ role }) => role === 'outbound');

/** Puts all into the queue while nobody sends; the time of sending begins when this resolves. */
async function fillQueue(): Promise<void> {
  for (const { pid } of outbound()) process.kill(pid, 'SIGSTOP');
  await sideBySide(async (name) => {
    const writer = daemon.queue.intake.begin();
    void writer.write(Buffer.from(`From: erp@own.example\r\nSubject: ${name}\r\n\r\n`));
    void writer.write(content);
    const envelope = { from: 'erp@own.example', to: ['edi@acme.example'] };
    const origin = { kind: 'command', detail: {} } as const;
    await daemon.queue.intake.commitOutbound(writer, [
      { origin, envelope, messageId: null, partner: 'acme' },
    ]);
  });
  for (const { pid } of outbound()) process.kill(pid, 'SIGCONT');
}

interface Door {
  /** The role that takes the messages. */
  role: string | undefined;
  /** Not timed. */
  before?: () => Promise<void>;
  run(): Promise<void>;
}

const all: Record<string, Door> = {
  queue: { role: undefined, before: fillQueue, run: async () => undefined },
  http: { role: 'api', run: () => sideBySide(post) },
  submission: { role: 'receive', run: submitAll },
  folder: { role: 'submit', run: async () => writeAll(join(doors.drop, 'acme')) },
  'client queue': {
    role: 'submit',
    run: () =>
      sideBySide(async (filename) => {
        const said = await doors.queue(doors.erp, { partner: 'acme', content, filename });
        if (said.id === undefined) throw new Error(said.refused);
      }),
  },
  send: {
    role: undefined,
    async run() {
      const folder = join(world.folder, `send-${number}`);
      mkdirSync(folder);
      writeAll(folder);
      const ran = await sealpost(['send', '--config', daemon.configFile, '--partner', 'acme', folder]);
      if (ran.code !== 0) throw new Error(ran.stderr);
    },
  },
};

const sent = async () => (await daemon.queue.ledger.count()).sent;

interface Measured {
  rate: number;
  door: number;
  outbound: number;
  redis: number;
  program: number;
}

async function measure({ role, before, run }: Door): Promise<Measured> {
  const goal = (await sent()) + messages;
  const used = () => ({
    door: role === undefined ? 0 : cpuOf(daemon.pidOf(role)),
    outbound: outbound().reduce((sum, { pid }) => sum + cpuOf(pid), 0),
    redis: cpuOf(redis.pid),
    program: (process.cpuUsage().user + process.cpuUsage().system) / 1000,
  });
  await before?.();
  const [from, start] = [used(), performance.now()];
  const running = run();
  while ((await sent()) < goal) {
    progress(`${goal - (await sent())} to go`);
    await sleep(50);
  }
  const rate = (messages * 1000) / (performance.now() - start);
  await running;
  const to = used();
  const each = (name: 'door' | 'outbound' | 'redis' | 'program') => (to[name] - from[name]) / messages;
  const [door, out, store, program] = [each('door'), each('outbound'), each('redis'), each('program')];
  return { rate, door, outbound: out, redis: store, program };
}

try {
  const names = values.doors.split(',').filter((name) => name in all);
  const found = new Map<string, Measured[]>(names.map((name) => [name, []]));
  // The first round warms everything up and does not count.
  for (let round = 0; round <= Number(values.rounds); round += 1)
    for (const name of names) {
      const door = all[name];
      const measured = door && (await measure(door));
      if (measured && round > 0) found.get(name)?.push(measured);
    }
  const middle = (name: string, of: keyof Measured) =>
    median((found.get(name) ?? []).map((each) => each[of]));
  printTable(
    `${messages} messages of 10 KB from each door, ${atOnce} at a time, signed, encrypted and sent; median of ${values.rounds}`,
    ['door', 'messages/s', 'to the queue', 'ms of the door', 'of outbound', 'of Redis', 'of the program'],
    names.map((name) => [
      name,
      figure(middle(name, 'rate')),
      (middle(name, 'rate') / middle('queue', 'rate')).toFixed(2),
      ...(['door', 'outbound', 'redis', 'program'] as const).map((of) => middle(name, of).toFixed(2)),
    ]),
  );
  console.log(`\nload ${loadavg()[0]?.toFixed(1)}`);
} finally {
  progress('');
  agent.destroy();
  sink.stop();
  await doors.close();
  world.remove();
}
process.exit(0);
