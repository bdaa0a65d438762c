/**
 * What nine healthy routes lose to a sick tenth one. Two daemons send the same backlog for nine partners at the same time,
 * so that both have the same share of the machine. One of them has mail for a tenth partner as well, whose server is sick.
 * When the first of them has sent all, the rates of both are compared: messages to the nine in a second, since both have
 * sent a fifth. A pair of two daemons without a sick partner (`well`) shows how far such a comparison is off by itself.
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

/** The rate of the side with the sick route, as a share of that of the other one. */
async function compare(sick: Kind | undefined): Promise<{ share: number; perSecond: number }> {
  const [control, tried] = [await sideOf(undefined), await sideOf(sick)];
  const all = messages * healthyRoutes;
  await Promise.all([control.start(), tried.start()]);
  const end = performance.now() + 240_000;
  while (control.arrivals.length < all && tried.arrivals.length < all && performance.now() < end)
    await sleep(5);
  const now = performance.now();
  // Once both are warm: the one that started first had the machine for itself.
  const warm = Math.max(...[control, tried].map(({ arrivals }) => arrivals[Math.ceil(all / 5)] ?? now));
  const rate = ({ arrivals }: Side) => arrivals.filter((at) => at > warm).length / (now - warm);
  const [usual, found] = [rate(control), rate(tried)];
  await Promise.all([control.stop(), tried.stop()]);
  return { share: found / usual, perSecond: usual * 1000 };
}

const rows: string[][] = [];
for (const kind of values.kinds.split(',')) {
  if (kind !== 'well' && !isKind(kind)) continue;
  const found: Awaited<ReturnType<typeof compare>>[] = [];
  for (let pair = 0; pair < Number(values.pairs); pair++) {
    progress(`${kind} ${pair}`);
    found.push(await compare(kind === 'well' ? undefined : kind));
  }
  const losses = found.map(({ share }) => 100 * (1 - share)).sort((a, b) => a - b);
  rows.push([
    kind === 'well' ? 'none' : kind,
    figure(median(found.map(({ perSecond }) => perSecond))),
    figure(median(losses)),
    `${figure(losses[0] ?? Number.NaN)} to ${figure(losses.at(-1) ?? Number.NaN)}`,
  ]);
}
printTable(
  `What nine routes lose to a tenth that is sick, in ${values.pairs} pairs of ${messages} messages each`,
  ['the tenth', 'messages a second without it', 'loss in %', 'least and most'],
  rows,
);
process.exit(0);
