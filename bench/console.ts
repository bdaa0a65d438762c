/**
 * Pages of the console with many records in the ledger: milliseconds until a page is there, through the running
 * process, as a person who has logged in, and the processor time that console and Redis took for it, which other
 * programs of the machine change little. For speed the records are made without an fsync for each.
 *
 *   node --openssl-legacy-provider bench/console.ts [--records 1000000] [--rounds 20] [--kept FOLDER]
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { readHeartbeats } from '../src/daemon/index.ts';
import { startConsole } from '../test/support/console.ts';
import { makeWorld } from '../test/support/world.ts';
import { filledServer, idOf, messageIdOf } from './filled.ts';
import { figure, printTable } from './table.ts';

const { values } = parseArgs({
  options: {
    records: { type: 'string', default: '1000000' },
    rounds: { type: 'string', default: '20' },
    kept: { type: 'string' },
  },
});
const records = Number(values.records);
const rounds = Number(values.rounds);
const world = makeWorld();
const own = (name: string) => ({
  ...{ name, addresses: [`${name}@own.example`], destinations: [{ type: 'queue', queue: 'erp' }] },
});
const other = (name: string) => ({
  ...{ name, addresses: [`edi@${name}.example`], encrypt: false, sign: 'none', from: 'a@own.example' },
  route: { host: '127.0.0.1', port: 9, tls: 'none' },
});
const dataDir = join(world.folder, 'filled');
const { server, redis: redisSettings, memory } = await filledServer(dataDir, records, values.kept);
const room = await startConsole(world, {
  config: {
    ...{ dataDir, redis: redisSettings },
    mailboxes: Array.from({ length: 20 }, (_, at) => own(`mailbox${at}`)),
    partners: Array.from({ length: 50 }, (_, at) => other(`partner${at}`)),
  },
  console: { requestsPerMinute: 100_000 },
});
try {
  const { redis } = room.daemon.queue;
  const pid = (await readHeartbeats(room.daemon.queue)).find(({ role }) => role === 'console')?.pid ?? 0;
  const ticks = Number(execFileSync('getconf', ['CLK_TCK']));
  /** Milliseconds of processor time until now: of the console, and of Redis. */
  const spent = async () => {
    const [, text = ''] = /\) (.*)/s.exec(readFileSync(`/proc/${pid}/stat`, 'utf8')) ?? [];
    const fields = text.split(' ').map(Number);
    const cpu = [...(await redis.info('cpu')).matchAll(/^used_cpu_(?:user|sys):([\d.]+)/gm)];
    return {
      console: (((fields[11] ?? 0) + (fields[12] ?? 0)) / ticks) * 1000,
      redis: cpu.reduce((sum, [, seconds]) => sum + Number(seconds) * 1000, 0),
    };
  };
  const { browser } = await room.person('olga', 'operator', '--content');
  const any = () => 2 + Math.floor(Math.random() * (records - 2));
  const timed = async (path: () => string): Promise<string[]> => {
    const times: number[] = [];
    let octets = 0;
    let before = await spent();
    // one that does not count: what is loaded with the first look
    for (let round = -1; round < rounds; round++) {
      if (round === 0) before = await spent();
      const begin = performance.now();
      const { status, text } = await browser.get(path());
      if (round >= 0) times.push(performance.now() - begin);
      if (status !== 200) throw new Error(`${path()}: ${status} ${text.slice(0, 300)}`);
      octets = text.length;
    }
    const after = await spent();
    times.sort((a, b) => a - b);
    return [
      `${figure(times[Math.floor(rounds / 2)] ?? 0)} (${figure(times.at(-1) ?? 0)})`,
      figure((after.console - before.console) / rounds),
      figure((after.redis - before.redis) / rounds),
      figure(octets / 1000),
    ];
  };
  await browser.get('/messages');
  const { to: bySubject } = await browser.post('/messages/search', { subject: 'nothing' });
  const page = async (what: string, path: () => string) => [what, ...(await timed(path))];
  const { messages } = await room.daemon.queue.ledger.list({ limit: 1 });
  const middle = new Date((messages[0]?.receivedAt ?? Date.now()) - records / 2).toISOString();
  printTable(
    `Pages with ${records} records, ${figure(memory)} octets of memory each`,
    ['page', 'ms, median (worst)', 'ms of the console', 'ms of Redis', 'kB'],
    [
      await page('Now', () => '/'),
      await page('Messages', () => '/messages'),
      await page('Messages from the middle on', () => `/messages?until=${middle}`),
      await page('Messages of a partner in a mailbox', () => '/messages?partner=partner7&mailbox=mailbox7'),
      await page('Messages of a state and direction', () => '/messages?state=delivered&direction=inbound'),
      await page(
        'Messages by Message-ID',
        () => `/messages?messageId=${encodeURIComponent(messageIdOf(any()))}`,
      ),
      await page('Messages with an address that none has', () => '/messages?address=nobody@example.org'),
      await page('Messages by the beginning of an id', () => `/messages?id=${idOf(any()).slice(0, 8)}`),
      await page('Messages with a subject that none has', () => bySubject),
      await page('One message', () => `/messages/${idOf(any())}`),
      await page('Suspended, in groups', () => '/suspended'),
      await page('What an act would do', () => '/suspended/preview?act=resume&reason=decrypt-no-key'),
      await page('Partners', () => '/partners'),
      await page('A partner', () => '/partners/partner7'),
      await page('Mailboxes and routes', () => '/routes'),
      await page('Setup', () => '/setup'),
    ],
  );
} finally {
  await room.daemon.stop();
  await server.stop();
  world.remove();
}
