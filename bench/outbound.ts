/**
 * Messages a second to partners: messages that wait in the queue are signed, encrypted and sent to smtp-sink (Postfix),
 * through the outbound processes of the real daemon. From the start of sending to the last message that is recorded as
 * sent. Messages before that (`--warm`) are not counted: the processes start, and V8 has most of their code still to
 * compile. The sink shares the machine's cores. L is what `openssl speed` does with the same keys on all cores, in the
 * same run.
 *
 *   node bench/outbound.ts [--messages 2000] [--size "10 KB"] [--connections 5] [--partners 1] [--processes 0]
 *     [--warm 5000]
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Redis } from 'ioredis';
import { stringify } from 'yaml';
import { loadConfig } from '../src/config/load.ts';
import { Supervisor } from '../src/daemon/supervisor.ts';
import { createLog } from '../src/log.ts';
import { openQueue } from '../src/queue/index.ts';
import { startTestRedis } from '../test/support/redis.ts';
import { makeMaterial, type SizeName, sizes } from './material.ts';
import { cpuOf, keyCost, keyRate, peakOf } from './raw.ts';
import { startSink } from './sink.ts';
import { figure, printTable, progress } from './table.ts';

const { values } = parseArgs({
  options: {
    messages: { type: 'string', default: '2000' },
    size: { type: 'string', default: '10 KB' },
    connections: { type: 'string', default: '5' },
    partners: { type: 'string', default: '1' },
    processes: { type: 'string', default: '0' },
    warm: { type: 'string', default: '5000' },
  },
});

function isSize(text: string): text is SizeName {
  return text in sizes;
}

if (!isSize(values.size)) throw new Error(`--size: one of ${Object.keys(sizes).join(', ')}`);
const messages = Number(values.messages);
const material = makeMaterial();
const server = await startTestRedis();

const { port, stop: stopSink } = await startSink();
const names = Array.from({ length: Number(values.partners) }, (_, at) => `partner${at}`);
const configFile = join(material.folder, 'sealpost.yaml');
writeFileSync(
  configFile,
  stringify({
    dataDir: server.dataDir,
    redis: { url: server.url },
    smtp: { listen: [], hostname: 'bench.example' },
    identities: [{ name: 'own', certificate: material.cert, key: material.key }],
    partners: names.map((name) => ({
      ...{
        name,
        addresses: [`@${name}.example`],
        certificates: [material.cert],
        sign: 'opaque',
        identity: 'own',
      },
      route: { host: '127.0.0.1', port, tls: 'none', connections: Number(values.connections) },
    })),
    workers: { outbound: Number(values.processes) },
    log: { level: 'error' },
  }),
);
const config = loadConfig(configFile);
const log = createLog('error', 'bench');
const queue = await openQueue(config, { role: 'bench', log, checkDurability: false });
const content = readFileSync(material.content(values.size));

async function fill(count: number): Promise<void> {
  for (let done = 0; done < count; done += 50) {
    await Promise.all(
      Array.from({ length: Math.min(50, count - done) }, async (_, at) => {
        const partner = names[(done + at) % names.length] ?? '';
        const writer = queue.intake.begin();
        void writer.write(
          Buffer.from(
            `From: us@own.example\r\nTo: x@${partner}.example\r\nSubject: bench\r\nMIME-Version: 1.0\r\n`,
          ),
        );
        void writer.write(content);
        await queue.intake.commitOutbound(writer, [
          {
            ...{ partner, origin: { kind: 'command', detail: {} }, messageId: null },
            envelope: { from: 'us@own.example', to: [`x@${partner}.example`] },
          },
        ]);
      }),
    );
    progress(`${done} put on the queue`);
  }
}

async function untilSent(count: number): Promise<void> {
  for (;;) {
    const { sent, suspended } = await queue.ledger.count();
    progress(`${sent} of ${count} sent`);
    if (suspended > 0) throw new Error(`${suspended} messages were suspended`);
    if (sent >= count) return;
    await sleep(50);
  }
}

/** Calls of commands that clients made so far, by name; those inside of scripts count too. */
async function redisCalls(): Promise<Map<string, number>> {
  const redis = new Redis(server.url);
  const text = await redis.info('commandstats');
  redis.disconnect();
  return new Map(
    [...text.matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm)].map(([, name = '', calls]) => [name, Number(calls)]),
  );
}

const supervisor = new Supervisor({ configFile, config, roles: ['outbound'], log });
try {
  const lead = keyRate();
  const keyBefore = keyCost(material.key);
  const warm = Number(values.warm);
  await fill(warm);
  await supervisor.start();
  await untilSent(warm);
  // The rest is put on the queue while nobody takes it.
  for (const { pid } of supervisor.pids) process.kill(pid ?? 0, 'SIGSTOP');
  await fill(messages);
  const processes: [string, number][] = [
    ...supervisor.pids.map(({ role, pid }): [string, number] => [role, pid ?? 0]),
    ['redis', server.pid],
  ];
  const calledBefore = await redisCalls();
  const before = processes.map(([, pid]) => cpuOf(pid));
  const start = performance.now();
  for (const { pid } of supervisor.pids) process.kill(pid ?? 0, 'SIGCONT');
  await untilSent(warm + messages);
  const rate = (messages * 1000) / (performance.now() - start);
  const times = processes.map(([, pid], at) => ((cpuOf(pid) - (before[at] ?? 0)) * 1000) / messages);
  const used = processes.map(([name, pid], at) => [name, figure(times[at] ?? 0), figure(peakOf(pid))]);
  const roleTime = times.reduce((sum, each, at) => sum + (processes[at]?.[0] === 'outbound' ? each : 0), 0);
  // Others may have begun or ended something since.
  const leadAfter = keyRate();
  const key = (keyBefore + keyCost(material.key)) / 2;
  printTable(
    `Outbound, ${values.size}, signed and encrypted, ${values.connections} connections, ${names.length} partners, ${availableParallelism()} cores`,
    ['messages', 'messages a second', 'L before', 'L after', '/ their mean'],
    [
      [
        String(messages),
        figure(rate),
        figure(lead),
        figure(leadAfter),
        figure((2 * rate) / (lead + leadAfter)),
      ],
    ],
  );
  const called = await redisCalls();
  printTable(
    'Commands of Redis, those inside of scripts, too',
    ['command', 'calls a message'],
    ['evalsha', 'bzpopmin', 'hmget', 'get', 'multi', 'info'].map((name) => [
      name,
      figure(((called.get(name) ?? 0) - (calledBefore.get(name) ?? 0)) / messages),
    ]),
  );
  printTable('Processor time and peak memory', ['process', 'us a message', 'peak MB'], used);
  printTable(
    'Processor time beside that of a private-key operation in the same run',
    ['us of the operation', 'operations that a message takes in the role'],
    [[figure(key), figure(roleTime / key)]],
  );
} finally {
  progress('');
  await queue.close();
  await supervisor.stop();
  stopSink();
  await server.stop();
  material.remove();
}
process.exit(0);
