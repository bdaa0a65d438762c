/**
 * Delay of a healthy partner and of a healthy webhook beside sick ones with much mail, through the processes of the
 * real daemon: from the message's commit to the queue until its last octets are at the other side. A daemon for each
 * row. The kind `well` is the control: as many routes with as much mail, all of them healthy, so that the delay is only
 * the work.
 *
 *   node bench/shares.ts [--messages 60] [--sick 0,1,10,50] [--kinds well,silent,drip,refusing]
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { stringify } from 'yaml';
import { loadConfig } from '../src/config/load.ts';
import { Supervisor } from '../src/daemon/supervisor.ts';
import { createLog } from '../src/log.ts';
import { openQueue, type QueueRoom } from '../src/queue/index.ts';
import { healthyServer, sickServer, type TestServer } from '../test/support/sick-servers.ts';
import { makeMaterial } from './material.ts';
import { figure, median, printTable, progress } from './table.ts';

const { values } = parseArgs({
  options: {
    messages: { type: 'string', default: '60' },
    sick: { type: 'string', default: '0,1,10,50' },
    kinds: { type: 'string', default: 'well,silent,drip,refusing' },
  },
});
const messages = Number(values.messages);
const everyMs = 50;
/** What waits for all sick routes together, at least; each has five. */
const pending = 80;

type Kind = 'well' | 'silent' | 'drip' | 'refusing';

function isKind(text: string): text is Kind {
  return ['well', 'silent', 'drip', 'refusing'].includes(text);
}

/** The numbers in the subjects of what came, by time. */
class Arrivals {
  readonly #times = new Map<string, number>();

  note(text: string): void {
    const number = /number (\d+)/.exec(text)?.[1];
    if (number !== undefined) this.#times.set(number, performance.now());
  }

  /** The delay of each in milliseconds; what did not come within the time has none. */
  async delays(sent: Map<string, number>, timeoutMs: number): Promise<number[]> {
    const end = performance.now() + timeoutMs;
    while (this.#times.size < sent.size && performance.now() < end) await sleep(20);
    return [...sent].map(([number, at]) => (this.#times.get(number) ?? Number.POSITIVE_INFINITY) - at);
  }
}

async function webServer(kind: Kind, arrivals: Arrivals): Promise<{ url: string; server: Server }> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      if (kind === 'silent') return;
      if (kind === 'drip') {
        response.writeHead(200);
        const timer = setInterval(() => response.write('.'), 100).unref();
        return void response.on('close', () => clearInterval(timer));
      }
      arrivals.note(
        Buffer.from(JSON.parse(Buffer.concat(chunks).toString()).message.data, 'base64').toString(),
      );
      response.writeHead(204).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const url = `http://127.0.0.1:${port}/`;
  // Nobody listens at that port any more.
  if (kind === 'refusing') await new Promise((resolve) => server.close(resolve));
  return { url, server };
}

const origin = { kind: 'command', detail: {} } as const;

async function bring(queue: QueueRoom, way: 'out' | 'in', name: string, text: string): Promise<void> {
  const writer = queue.intake.begin();
  void writer.write(
    Buffer.from(`From: us@own.example\r\nTo: x@${name}.example\r\nSubject: ${text}\r\n\r\n${text}\r\n`),
  );
  const envelope = { from: 'us@own.example', to: [`x@${name}.example`] };
  const entry = { origin, envelope, messageId: null };
  if (way === 'out') await queue.intake.commitOutbound(writer, [{ ...entry, partner: name }]);
  else await queue.intake.commit(writer, [{ ...entry, mailbox: name }]);
}

async function measure(kind: Kind, count: number): Promise<{ out: number[]; in: number[] }> {
  const folder = mkdtempSync(join(tmpdir(), 'sealpost-shares-'));
  const material = makeMaterial();
  const arrivals = { out: new Arrivals(), in: new Arrivals() };
  const names = Array.from({ length: count }, (_, at) => `sick${at}`);
  const mailServers: TestServer[] = [];
  for (const _ of names) mailServers.push(kind === 'well' ? await healthyServer() : await sickServer(kind));
  const healthy = await healthyServer();
  const push = healthy.taken.push.bind(healthy.taken);
  healthy.taken.push = (...texts) => {
    for (const text of texts) arrivals.out.note(text);
    return push(...texts);
  };
  const web = await Promise.all(names.map(() => webServer(kind, arrivals.in)));
  const well = await webServer('well', arrivals.in);
  const partner = (name: string, port: number) => ({
    ...{ name, addresses: [`@${name}.example`], certificates: [], encrypt: false, sign: 'none' },
    route: { host: '127.0.0.1', port, tls: 'none' },
  });
  const mailbox = (name: string, url: string) => ({
    ...{ name, addresses: [`x@${name}.example`], notSmime: 'pass' },
    destinations: [{ type: 'webhook', url, secret: { file: join(folder, 'secret') }, allowPrivate: true }],
  });
  writeFileSync(join(folder, 'secret'), 'x'.repeat(40), { mode: 0o600 });
  const configFile = join(folder, 'sealpost.yaml');
  writeFileSync(
    configFile,
    stringify({
      dataDir: join(folder, 'data'),
      smtp: { listen: [{ host: '127.0.0.1', port: 0 }], hostname: 'bench.example' },
      identities: [{ name: 'own', certificate: material.cert, key: material.key }],
      mailboxes: [mailbox('well', well.url), ...names.map((name, at) => mailbox(name, web[at]?.url ?? ''))],
      partners: [
        partner('well', healthy.port),
        ...names.map((name, at) => partner(name, mailServers[at]?.port ?? 0)),
      ],
      workers: { decrypt: 1, outbound: 1 },
      log: { level: 'fatal' },
    }),
  );
  const config = await loadConfig(configFile);
  const roles = ['receive', 'decrypt', 'handoff', 'outbound'] as const;
  const log = createLog('fatal', 'bench');
  const supervisor = new Supervisor({ configFile, config, roles: [...roles], log });
  await supervisor.start();
  const url = supervisor.redisUrl;
  const redis = { ...config.redis, ...(url === undefined ? {} : { url }) };
  const queue = await openQueue({ ...config, redis }, { role: 'bench', log, checkDurability: false });
  const result = { out: [] as number[], in: [] as number[] };
  for (const way of ['out', 'in'] as const) {
    const each = count === 0 ? 0 : Math.max(5, Math.ceil(pending / count));
    for (let mail = 0; mail < each; mail++)
      await Promise.all(names.map((name) => bring(queue, way, name, `for ${name}, ${mail}`)));
    const sent = new Map<string, number>();
    for (let number = 0; number < messages; number++) {
      await bring(queue, way, 'well', `number ${number}`);
      sent.set(String(number), performance.now());
      await sleep(everyMs);
    }
    result[way] = await arrivals[way].delays(sent, 30_000);
  }
  await queue.close();
  await supervisor.stop();
  for (const server of [...mailServers, healthy]) await server.close();
  for (const { server } of [...web, well]) {
    server.closeAllConnections();
    server.close();
  }
  rmSync(folder, { recursive: true, force: true });
  return result;
}

const rows: string[][] = [];
for (const count of values.sick.split(',').map(Number))
  for (const kind of values.kinds.split(',').filter(isKind)) {
    // Without sick ones there is no kind.
    if (count === 0 && rows.length > 0) continue;
    progress(`${count} ${kind}`);
    const delays = await measure(kind, count);
    for (const [way, what] of [
      ['out', 'to a partner'],
      ['in', 'to a webhook'],
    ] as const) {
      const sorted = delays[way].sort((a, b) => a - b);
      const p99 = sorted[Math.ceil(sorted.length * 0.99) - 1] ?? Number.NaN;
      const cells = [median(sorted), p99, sorted.at(-1) ?? Number.NaN].map((value) => figure(value));
      rows.push([what, String(count), count === 0 ? '-' : kind, ...cells]);
    }
  }
printTable(
  'Delay of a healthy route beside others, in milliseconds',
  ['way', 'others', 'kind', 'median', '99 %', 'most'],
  rows,
);
process.exit(0);
