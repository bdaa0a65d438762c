/**
 * Messages a second through the real daemon: smtp-source (Postfix) over SMTP, Redis with appendfsync always, decode,
 * hand-off; from smtp-source's first connection to the last hand-off. The load generator shares the machine's cores, as
 * does the web server that webhooks are posted to. L is what `openssl speed -multi` does with RSA-2048 keys on all
 * cores, in the same run; so is the rate of `openssl cms -decrypt`, a process a message on one core.
 *
 *   node bench/end-to-end.ts [--size "10 KB"] [--messages 5000] [--sessions 20] [--destination directory|queue|webhook]
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { stringify } from 'yaml';
import { loadConfig } from '../src/config/load.ts';
import { Supervisor } from '../src/daemon/supervisor.ts';
import { createLog } from '../src/log.ts';
import { makeMaterial, type SizeName, sizes } from './material.ts';
import { cpuOf, cpuOfChildren, helpersOf, keyCost, keyRate, opensslRate, peakOf } from './raw.ts';
import { figure, printTable, progress } from './table.ts';

const { values } = parseArgs({
  options: {
    size: { type: 'string', default: '10 KB' },
    messages: { type: 'string' },
    sessions: { type: 'string', default: '20' },
    destination: { type: 'string', default: 'directory' },
    cipher: { type: 'string', default: '-aes256' },
    decrypt: { type: 'string', default: '0' },
    'warm-up': { type: 'string' },
  },
});

function isSize(text: string): text is SizeName {
  return text in sizes;
}

if (!isSize(values.size)) throw new Error(`--size: one of ${Object.keys(sizes).join(', ')}`);
const size = values.size;
const messages = Number(values.messages ?? (sizes[size] > 1e6 ? 60 : 5000));
const material = makeMaterial();
const delivered = join(material.folder, 'delivered');
mkdirSync(delivered);
process.env.BENCH_SECRET = 'for the signature of webhooks';
/** Messages that were posted to the webhook. */
let posted = 0;
const web = createServer((request, response) => {
  request.resume().on('end', () => {
    posted += 1;
    response.end();
  });
}).listen(0, '127.0.0.1');
await once(web, 'listening');
const destinations = {
  directory: { type: 'directory', path: delivered },
  queue: { type: 'queue', queue: 'bench', inlineLimit: '50MiB' },
  webhook: {
    type: 'webhook',
    url: `http://127.0.0.1:${Object(web.address()).port}/`,
    secret: { env: 'BENCH_SECRET' },
    allowPrivate: true,
    inlineLimit: '50MiB',
  },
};

function isDestination(text: string): text is keyof typeof destinations {
  return text in destinations;
}

if (!isDestination(values.destination))
  throw new Error(`--destination: one of ${Object.keys(destinations).join(', ')}`);
const destination = destinations[values.destination];
const configFile = join(material.folder, 'sealpost.yaml');
writeFileSync(
  configFile,
  stringify({
    dataDir: join(material.folder, 'data'),
    smtp: {
      listen: [{ host: '127.0.0.1', port: 0 }],
      hostname: 'bench.example',
      maxConnectionsPerClient: 500,
    },
    identities: [{ name: 'own', certificate: material.cert, key: material.key }],
    mailboxes: [
      { name: 'bench', addresses: ['to@bench.example'], duplicates: 'deliver', destinations: [destination] },
    ],
    workers: { decrypt: Number(values.decrypt) },
    log: { level: 'error' },
  }),
);

const mail = material.encrypted(size, values.cipher);
const config = loadConfig(configFile);
const supervisor = new Supervisor({
  configFile,
  config,
  roles: ['receive', 'decrypt', 'handoff'],
  log: createLog('error', 'bench'),
});
const facts = await supervisor.start();
const port = String([facts.receive?.smtp ?? []].flat()[0])
  .split(':')
  .at(-1);
const redisPid = Number(readFileSync(join(material.folder, 'data', 'redis', 'redis.pid'), 'utf8'));
const processes: [string, number][] = [
  ...supervisor.pids.map(({ role, pid }): [string, number] => [role, pid ?? 0]),
  ['redis', redisPid],
];

const { openQueue } = await import('../src/queue/index.ts');
const url = supervisor.redisUrl;
const queue = await openQueue(
  { ...config, redis: { ...config.redis, ...(url === undefined ? {} : { url }) } },
  { role: 'bench', log: createLog('silent', 'bench'), checkDurability: false },
);
async function done(): Promise<number> {
  if (values.destination === 'webhook') return posted;
  if (values.destination === 'queue') return queue.redis.llen('{sealpost}:bench:wait');
  return readdirSync(delivered).filter((name) => !name.startsWith('.')).length;
}

async function load(count: number): Promise<number> {
  const before = await done();
  const start = performance.now();
  const source = spawn(
    'smtp-source',
    [
      '-d',
      '-s',
      values.sessions,
      '-m',
      String(count),
      '-f',
      'from@bench.example',
      '-t',
      'to@bench.example',
      '-F',
      mail,
      `127.0.0.1:${port}`,
    ],
    {
      stdio: ['ignore', 'inherit', 'inherit'],
      env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` },
    },
  );
  source.on('exit', (code) => {
    if (code !== 0) throw new Error(`smtp-source ended with ${code}`);
  });
  const deadline = start + 600_000;
  for (;;) {
    await sleep(count > 1000 ? 50 : 10);
    const now = (await done()) - before;
    progress(`${now} of ${count}`);
    if (now >= count) return count / ((performance.now() - start) / 1000);
    if (performance.now() > deadline) throw new Error(`only ${now} of ${count} were handed off in time`);
  }
}

try {
  execFileSync('/bin/sh', ['-c', 'PATH=$PATH:/usr/sbin command -v smtp-source'], { stdio: 'ignore' });
  const lead = keyRate();
  const alone = opensslRate(mail, material);
  await load(Number(values['warm-up'] ?? Math.ceil(messages / 5)));
  const looked = () => processes.map(([, pid]) => ({ all: cpuOf(pid), helpers: helpersOf(pid) }));
  const keyBefore = keyCost(material.key);
  const generatorBefore = cpuOfChildren();
  const before = looked();
  const rate = await load(messages);
  const used = looked().map(({ all, helpers }, at) => ({
    all: all - (before[at]?.all ?? 0),
    helpers: helpers - (before[at]?.helpers ?? 0),
  }));
  const generator = cpuOfChildren() - generatorBefore;
  const key = (keyBefore + keyCost(material.key)) / 2;
  const each = (ms: number) => figure((ms * 1000) / messages);
  const total = used.reduce((sum, { all }) => sum + all, 0);
  printTable(
    `End to end, ${size}, ${values.cipher.slice(1)}, ${values.sessions} sessions, ${availableParallelism()} cores, hand-off to a ${values.destination}`,
    ['messages', 'messages a second', 'L', '/ L', 'openssl cms', '/ openssl cms'],
    [
      [
        String(messages),
        figure(rate),
        figure(lead),
        figure(rate / lead),
        figure(alone.rate),
        figure(rate / alone.rate),
      ],
    ],
  );
  printTable(
    'Processor time and peak memory; an operation of the private key took as much in the same run',
    ['process', 'us a message', 'of these helpers of V8', 'peak MB'],
    [
      ...processes.map(([name, pid], at) => [
        name,
        each(used[at]?.all ?? 0),
        each(used[at]?.helpers ?? 0),
        figure(peakOf(pid)),
      ]),
      ['all', each(total), '', ''],
      ['smtp-source', each(generator), '', ''],
      ['private key', figure(key), '', ''],
      ['all / private key', figure((total * 1000) / messages / key), '', ''],
      ['openssl cms', figure(alone.cpu * 1000), '', ''],
    ],
  );
} finally {
  progress('');
  await queue.close();
  await supervisor.stop();
  web.close();
  web.closeAllConnections();
  material.remove();
}
