/**
 * What nine healthy routes lose to a sick tenth one. Two daemons have a backlog for nine partners each and send it at
 * the same time, so that both have the same share of the machine. One of them has mail for a tenth partner as well,
 * whose server is sick. When the first of them has sent all, the others are counted: messages to the nine in the same
 * time. Then the two change their places, in many rounds of one run: what one process has of its own, or who began
 * first, cancels out in a pair of rounds. A run without a sick partner (`well`) shows how far such a comparison is off
 * by itself. Beside the loss stands the processor time of `outbound` and Redis for each message that came to one of
 * the nine: on a busy machine, it says more.
 *
 *   node --openssl-legacy-provider bench/one-sick.ts [--messages 40] [--pairs 12] [--kinds well,silent,drip,refusing]
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
    messages: { type: 'string', default: '40' },
    pairs: { type: 'string', default: '12' },
    kinds: { type: 'string', default: 'well,silent,drip,refusing' },
  },
});
const messages = Number(values.messages);
const healthyRoutes = 9;

type Kind = 'silent' | 'drip' | 'refusing';
const isKind = (text: string): text is Kind => ['silent', 'drip', 'refusing'].includes(text);

interface Side {
  /** Messages that came to one of the nine. */
  arrived(): number;
  /** Processor time of `outbound` and of Redis so far, in milliseconds. */
  used(): { outbound: number; redis: number };
  /** Puts a backlog on the queue, while `outbound` stands still. */
  fill(withTenth: boolean): Promise<void>;
  /** Goes on with the work. */
  go(): void;
  /** Ends what waits for the tenth partner. */
  clear(): Promise<void>;
  stop(): Promise<void>;
}

/** @param sick the tenth partner */
async function sideOf(sick: Kind | undefined): Promise<Side> {
  const folder = mkdtempSync(join(tmpdir(), 'sealpost-one-sick-'));
  const redis = await startTestRedis();
  let arrived = 0;
  const servers = await Promise.all(Array.from({ length: healthyRoutes }, () => healthyServer()));
  for (const { taken } of servers) taken.push = () => (arrived += 1);
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
  const supervisor = new Supervisor({ configFile, config, roles: ['outbound'], log });
  await supervisor.start();
  const pids = () => supervisor.pids.flatMap(({ pid }) => pid ?? []);
  const signal = (name: 'SIGSTOP' | 'SIGCONT') => {
    for (const pid of pids()) process.kill(pid, name);
  };
  const submit = async (partner: string, number: number): Promise<string> => {
    const writer = queue.intake.begin();
    const text = `From: us@own.example\r\nSubject: ${number}\r\n\r\n${'x'.repeat(1000)}\r\n`;
    void writer.write(Buffer.from(text));
    const envelope = { from: 'us@own.example', to: [`x@${partner}.example`] };
    const origin = { kind: 'command', detail: {} } as const;
    const [made] = await queue.intake.commitOutbound(writer, [
      { origin, envelope, messageId: null, partner },
    ]);
    return made?.id ?? '';
  };
  let forTenth: string[] = [];
  return {
    arrived: () => arrived,
    used() {
      return { outbound: pids().reduce((sum, pid) => sum + cpuOf(pid), 0), redis: cpuOf(redis.pid) };
    },
    async fill(withTenth) {
      signal('SIGSTOP');
      for (let each = 0; each < messages; each++) {
        await Promise.all(names.slice(0, healthyRoutes).map((partner) => submit(partner, each)));
        if (withTenth) forTenth.push(await submit('tenth', each));
      }
    },
    go: () => signal('SIGCONT'),
    async clear() {
      for (const id of forTenth) await queue.flow.terminate(id, 'the round is over').catch(() => undefined);
      forTenth = [];
    },
    async stop() {
      signal('SIGCONT');
      await supervisor.stop();
      await queue.close();
      for (const server of [...servers, tenth]) await server.close();
      await redis.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

interface Comparison {
  /** The messages of the side with the sick route, as a share of those of the other one. */
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

/** One round: both have the same backlog, and one of them mail for the tenth partner as well. */
async function compare(control: Side, tried: Side, hasTenth: boolean): Promise<Comparison> {
  await Promise.all([control.fill(false), tried.fill(hasTenth)]);
  const all = messages * healthyRoutes;
  const end = performance.now() + 240_000;
  const meter = ({ used, arrived }: Side) => ({ ...used(), count: arrived(), at: performance.now() });
  const [controlBefore, triedBefore] = [meter(control), meter(tried)];
  control.go();
  tried.go();
  const done = (side: Side, { count }: { count: number }) => side.arrived() - count >= all;
  await until(() => done(control, controlBefore) || done(tried, triedBefore), end);
  const cost = (side: Side, before: ReturnType<typeof meter>) => {
    const after = meter(side);
    const count = after.count - before.count;
    const [outbound, redis] = [after.outbound - before.outbound, after.redis - before.redis];
    return { rate: count / (after.at - before.at), count, outbound, redis };
  };
  const [well, found] = [cost(control, controlBefore), cost(tried, triedBefore)];
  await until(() => done(control, controlBefore) && done(tried, triedBefore), end);
  await tried.clear();
  return { share: found.count / well.count, perSecond: well.rate * 1000, sick: found, well };
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
  const shares: number[] = [];
  const sick = kind === 'well' ? undefined : kind;
  const [one, other] = [await sideOf(sick), await sideOf(sick)];
  // Once both are warm.
  await compare(one, other, false);
  for (let pair = 0; pair < Number(values.pairs); pair++) {
    progress(`${kind} ${pair}`);
    const both = [await compare(one, other, kind !== 'well'), await compare(other, one, kind !== 'well')];
    found.push(...both);
    shares.push(Math.sqrt(both.reduce((product, { share }) => product * share, 1)));
  }
  await Promise.all([one.stop(), other.stop()]);
  const [well, ill] = [found.map((each) => each.well), found.map((each) => each.sick)];
  const all = (of: readonly Cost[]) => costOf(of, 'outbound') + costOf(of, 'redis');
  const both = (name: 'outbound' | 'redis') => `${figure(costOf(well, name))}, ${figure(costOf(ill, name))}`;
  rows.push([
    kind === 'well' ? 'none' : kind,
    figure(median(found.map(({ perSecond }) => perSecond))),
    span(sorted(shares.map((share) => 100 * (1 - share)))),
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
