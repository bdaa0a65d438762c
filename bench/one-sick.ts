/**
 * What nine healthy routes lose to a sick tenth one. Two daemons send the same backlog for nine partners at the same
 * time, so that both have the same share of the machine. One of them has mail for a tenth partner as well, whose server
 * is sick. When the first of them has sent all, the rates of both are compared: messages to the nine in a second, since
 * both have sent a fifth. A pair of two daemons without a sick partner (`well`) shows how far such a comparison is off
 * by itself. Beside the rates stands the processor time of `outbound` and Redis for each message that came to one of
 * the nine: on a busy machine, it says more.
 *
 *   node --openssl-legacy-provider bench/one-sick.ts [--messages 80] [--pairs 5] [--kinds well,silent,drip,refusing]
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { stringify } from 'yaml';
import { loadConfig } from '../src/config/load.ts';
import { Supervisor } from '../src/daemon/supervisor.ts';
import { createLog } from '../src/log.ts';
import { openQueue } from '../src/queue/index.ts';
import { startTestRedis } from '../test/support/redis.ts';
import { healthyServer, sickServer } from '../test/support/sick-servers.ts';
import { cpuOf } from './raw.ts';
import { figure, median, printTable, progress } from './table.ts';

const { values } = parseArgs({
  options: {
    messages: { type: 'string', default: '80' },
    pairs: { type: 'string', default: '5' },
    kinds: { type: 'string', default: 'well,silent,drip,refusing' },
  },
});
const messages = Number(values.messages);
const healthyRoutes = 9;

type Kind = 'silent' | 'drip' | 'refusing';
const isKind = (text: string): text is Kind => ['silent', 'drip', 'refusing'].includes(text);

interface Side {
  /** Milliseconds of the monotonic clock at which each message came to one of the nine. */
  arrivals: number[];
  /** Processor time of `outbound` and of Redis so far, in milliseconds. */
  used(): { outbound: number; redis: number };
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** @param sick the tenth partner, with as much mail as each of the others; without, it has none */
async function sideOf(sick: Kind | undefined): Promise<Side> {
  const folder = mkdtempSync(join(tmpdir(), 'sealpost-one-sick-'));
  const redis = await startTestRedis();
  const arrivals: number[] = [];
  const servers = await Promise.all(Array.from({ length: healthyRoutes }, () => healthyServer()));
  for (const { taken } of servers) taken.push = () => arrivals.push(performance.now());
  const tenth = sick === undefined ? await healthyServer() : await sickServer(sick);
  const names = [...servers.map((_, at) => `well${at}`), 'tenth'];
  const configFile = join(folder, 'sealpost.yaml');
  const partners = [...servers, tenth].map(({ port }, at) => ({
    ...{ name: names[at], addresses: [`@${names[at]}.example`], encrypt: false, sign: 'none' },
    route: { host: '127.0.0.1', port, tls: 'none' },
  }));
  writeFileSync(
    configFile,
    stringify({
      dataDir: redis.dataDir,
      redis: { url: redis.url },
      smtp: { hostname: 'bench.example' },
      partners,
      workers: { outbound: 1 },
      log: { level: 'fatal' },
    }),
  );
  const config = await loadConfig(configFile);
  const log = createLog('fatal', 'bench');
  const queue = await openQueue(config, { role: 'bench', log, checkDurability: false });
  const to = sick === undefined ? names.slice(0, healthyRoutes) : names;
  for (let each = 0; each < messages; each++)
    await Promise.all(
      to.map(async (partner) => {
        const writer = queue.intake.begin();
        void writer.write(
          Buffer.from(`From: us@own.example\r\nSubject: ${each}\r\n\r\n${'x'.repeat(1000)}\r\n`),
        );
        const envelope = { from: 'us@own.example', to: [`x@${partner}.example`] };
        const origin = { kind: 'command', detail: {} } as const;
        await queue.intake.commitOutbound(writer, [{ origin, envelope, messageId: null, partner }]);
      }),
    );
  await queue.close();
  const supervisor = new Supervisor({ configFile, config, roles: ['outbound'], log });
  return {
    arrivals,
    used() {
      const outbound = supervisor.pids.reduce(
        (sum, { pid }) => sum + (pid === undefined ? 0 : cpuOf(pid)),
        0,
      );
      return { outbound, redis: cpuOf(redis.pid) };
    },
    async start() {
      await supervisor.start();
    },
    async stop() {
      await supervisor.stop();
      for (const server of [...servers, tenth]) await server.close();
      await redis.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

interface Comparison {
  /** The rate of the side with the sick route, as a share of that of the other one. */
  share: number;
  /** Rate of the other one. */
  perSecond: number;
  /** With the sick route, and without. */
  sick: Cost;
  well: Cost;
}

interface Cost {
  /** Messages to the nine. */
  count: number;
  /** Milliseconds of processor time for them. */
  outbound: number;
  redis: number;
}

async function until(reached: () => boolean, end: number): Promise<void> {
  while (!reached() && performance.now() < end) await sleep(5);
}

async function compare(sick: Kind | undefined): Promise<Comparison> {
  const [control, tried] = [await sideOf(undefined), await sideOf(sick)];
  const all = messages * healthyRoutes;
  const end = performance.now() + 240_000;
  await Promise.all([control.start(), tried.start()]);
  // Once both are warm: the one that started first had the machine for itself.
  const fifth = Math.ceil(all / 5);
  await until(() => control.arrivals.length >= fifth && tried.arrivals.length >= fifth, end);
  const meter = ({ used, arrivals }: Side) => ({ ...used(), count: arrivals.length, at: performance.now() });
  const [controlBefore, triedBefore] = [meter(control), meter(tried)];
  await until(() => control.arrivals.length >= all || tried.arrivals.length >= all, end);
  const cost = (side: Side, before: ReturnType<typeof meter>) => {
    const after = meter(side);
    const count = after.count - before.count;
    const [outbound, redis] = [after.outbound - before.outbound, after.redis - before.redis];
    return { rate: count / (after.at - before.at), count, outbound, redis };
  };
  const [well, found] = [cost(control, controlBefore), cost(tried, triedBefore)];
  await Promise.all([control.stop(), tried.stop()]);
  return { share: found.rate / well.rate, perSecond: well.rate * 1000, sick: found, well };
}

/** Microseconds of processor time for a message, in all pairs together. */
function costOf(found: readonly Cost[], name: 'outbound' | 'redis'): number {
  const sum = (of: (each: Cost) => number) => found.reduce((all, each) => all + of(each), 0);
  return (1000 * sum((each) => each[name])) / sum(({ count }) => count);
}

const span = (sorted: readonly number[]) =>
  `${figure(median([...sorted]))} (${figure(sorted[0] ?? Number.NaN)} to ${figure(sorted.at(-1) ?? Number.NaN)})`;
const sorted = (found: readonly number[]) => [...found].sort((a, b) => a - b);

const rows: string[][] = [];
for (const kind of values.kinds.split(',')) {
  if (kind !== 'well' && !isKind(kind)) continue;
  const found: Comparison[] = [];
  for (let pair = 0; pair < Number(values.pairs); pair++) {
    progress(`${kind} ${pair}`);
    found.push(await compare(kind === 'well' ? undefined : kind));
  }
  const [well, ill] = [found.map((each) => each.well), found.map((each) => each.sick)];
  const all = (of: readonly Cost[]) => costOf(of, 'outbound') + costOf(of, 'redis');
  const both = (name: 'outbound' | 'redis') => `${figure(costOf(well, name))}, ${figure(costOf(ill, name))}`;
  rows.push([
    kind === 'well' ? 'none' : kind,
    figure(median(found.map(({ perSecond }) => perSecond))),
    span(sorted(found.map(({ share }) => 100 * (1 - share)))),
    figure(100 * (all(ill) / all(well) - 1)),
    both('outbound'),
    both('redis'),
  ]);
}
printTable(
  `What nine routes lose to a tenth that is sick, in ${values.pairs} pairs of ${messages} messages each`,
  [
    'the tenth',
    'messages a second without it',
    'loss in %: median (least to most)',
    'more processor time in %',
    'us of outbound without and with it',
    'us of Redis',
  ],
  rows,
);
process.exit(0);
