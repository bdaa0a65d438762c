/**
 * The ledger with many records on a real redis-server: memory of a record, and the time to list a page, to find one, to
 * count. Records are written by the daemon's own scripts, pipelined; for speed without an fsync for each.
 *
 *   node bench/ledger.ts [--records 1000000]
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { configSchema } from '../src/config/schema.ts';
import { createLog } from '../src/log.ts';
import { openQueue } from '../src/queue/index.ts';
import { startPrivateServer } from '../src/redis/private-server.ts';
import { digestOf, fillLedger, idOf, messageIdOf } from './filled.ts';
import { figure, printTable } from './table.ts';

const { values } = parseArgs({ options: { records: { type: 'string', default: '1000000' } } });
const records = Number(values.records);
const dataDir = mkdtempSync(join(tmpdir(), 'sealpost-ledger-'));
const server = await startPrivateServer(dataDir, { settings: { appendonly: 'no', save: '""' } });
const config = configSchema.parse({
  dataDir,
  redis: { url: server.url, durability: 'relaxed', commandTimeout: '60s' },
});
const queue = await openQueue(config, { role: 'bench', log: createLog('silent', 'bench') });
const { ledger } = queue;

async function timed(work: () => Promise<unknown>, rounds = 30): Promise<string> {
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const begin = performance.now();
    await work();
    times.push(performance.now() - begin);
  }
  times.sort((a, b) => a - b);
  return `${figure(times[Math.floor(rounds / 2)] ?? 0)} (${figure(times.at(-1) ?? 0)})`;
}

/** The program itself, its start included: seconds by the clock and of processor time. */
function command(...args: string[]): string[] {
  const file = join(dataDir, 'sealpost.yaml');
  writeFileSync(
    file,
    `dataDir: ${dataDir}\nredis: { url: "${server.url}", durability: relaxed, commandTimeout: 60s }\n`,
  );
  const program = resolve(import.meta.dirname, '../bin/sealpost');
  const timed = spawnSync(
    'bash',
    ['-c', 'TIMEFORMAT="%R %U %S"; time "$@" >/dev/null', '-', program, ...args, '--config', file],
    {
      encoding: 'utf8',
    },
  );
  const [elapsed = 0, user = 0, system = 0] = (timed.stderr.trim().split('\n').at(-1) ?? '')
    .split(' ')
    .map(Number);
  if (timed.status !== 0) throw new Error(`${args.join(' ')}: ${timed.stderr}`);
  return [`sealpost ${args.join(' ')}`, figure(elapsed), figure(user + system)];
}

try {
  const { memory, start } = await fillLedger(queue, records);
  const any = () => 2 + Math.floor(Math.random() * (records - 2));
  const middle = start + records / 2;
  const suspended = async () => {
    let count = 0;
    for await (const _ of ledger.ids({ state: 'suspended', reason: 'decrypt-no-key', mailbox: 'mailbox0' }))
      count += 1;
    return count;
  };
  printTable(
    `Ledger with ${records} records, ${figure(memory)} octets of memory each`,
    ['what', 'ms, median (worst)'],
    [
      ['first page of 50', await timed(() => ledger.list({}))],
      ['page of 50 in the middle', await timed(() => ledger.list({ until: middle }))],
      ['page of 50 of a state', await timed(() => ledger.list({ state: 'delivered', until: middle }))],
      [
        'page of 50 of a partner in a mailbox',
        await timed(() => ledger.list({ partner: 'partner7', mailbox: 'mailbox7' })),
      ],
      ['one by id', await timed(() => ledger.get(idOf(any())))],
      ['one by Message-ID', await timed(() => ledger.list({ messageId: messageIdOf(any()) }))],
      ['one by SHA-256', await timed(() => ledger.list({ sha256: digestOf(any()) }))],
      ['count by state', await timed(() => ledger.count())],
      ['ids of the suspended by reason and mailbox', await timed(suspended)],
    ],
  );
  command('messages', 'list');
  printTable(
    'The program, its start included',
    ['command', 'seconds', 'of processor time'],
    [
      command('messages', 'list'),
      command('messages', 'list', '--json'),
      command('messages', 'show', idOf(any())),
      command('messages', 'list', '--json', '--limit', '50000'),
    ],
  );
} finally {
  await queue.close();
  await server.stop();
  rmSync(dataDir, { recursive: true, force: true });
}
