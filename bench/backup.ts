/**
 * A backup of an installation with many records, while nothing else runs: duration by the clock, processor time, how
 * long writes are held up, the size of the file, and the restore into an empty Redis.
 *
 *   node bench/backup.ts [--records 1000000]
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { configSchema } from '../src/config/schema.ts';
import { createLog } from '../src/log.ts';
import { openQueue } from '../src/queue/index.ts';
import { startPrivateServer } from '../src/redis/private-server.ts';
import { fillLedger } from './filled.ts';
import { figure, printTable } from './table.ts';

const { values } = parseArgs({ options: { records: { type: 'string', default: '1000000' } } });
const records = Number(values.records);
const folder = mkdtempSync(join(tmpdir(), 'sealpost-backup-'));
const program = resolve(import.meta.dirname, '../bin/sealpost');
const rows: string[][] = [];

function sealpost(...args: string[]): { text: string; row: string[] } {
  const ran = spawnSync('bash', ['-c', 'TIMEFORMAT="%R %U %S"; time "$@"', '-', program, ...args], {
    encoding: 'utf8',
    cwd: folder,
  });
  const text = `${ran.stdout}${ran.stderr}`;
  if (ran.status !== 0) throw new Error(`${args.join(' ')}: ${text}`);
  const [elapsed = 0, user = 0, system = 0] = (ran.stderr.trim().split('\n').at(-1) ?? '')
    .split(' ')
    .map(Number);
  return { text, row: [`sealpost ${args[0]}`, figure(elapsed), figure(user + system)] };
}

/** A folder with a server and the configuration of it. */
async function place(name: string) {
  const dataDir = join(folder, name);
  mkdirSync(dataDir, { mode: 0o700 });
  const server = await startPrivateServer(dataDir, { settings: { appendonly: 'no', save: '""' } });
  const redis = { url: server.url, durability: 'relaxed', commandTimeout: '60s' } as const;
  const file = join(folder, `${name}.yaml`);
  writeFileSync(file, JSON.stringify({ dataDir, redis }));
  return { dataDir, server, file, config: configSchema.parse({ dataDir, redis }) };
}

try {
  const old = await place('old');
  const queue = await openQueue(old.config, { role: 'bench', log: createLog('silent', 'bench') });
  await fillLedger(queue, records);
  await queue.close();
  sealpost('backup', 'keygen', 'backup.key');
  const made = sealpost('backup', '--to', 'backup.key.pub', 'one.backup', '--config', old.file);
  rows.push(made.row);
  const verified = sealpost('backup', 'verify', 'one.backup', '--key', 'backup.key');
  rows.push(['sealpost backup verify', ...verified.row.slice(1)]);
  await old.server.stop();
  const target = await place('new');
  copyFileSync(join(old.dataDir, 'spool.key'), join(target.dataDir, 'spool.key'));
  const restored = sealpost('restore', 'one.backup', '--key', 'backup.key', '--config', target.file);
  rows.push(restored.row);
  await target.server.stop();
  printTable(`Backup of ${records} records`, ['command', 's', 's of processor'], rows);
  const { size } = statSync(join(folder, 'one.backup'));
  process.stdout.write(`${made.text.split('\n').slice(0, 3).join('\n')}\n`);
  process.stdout.write(
    `${figure(size / records)} octets of the file for a record; ${figure(size / 1e6)} MB\n`,
  );
} finally {
  rmSync(folder, { recursive: true, force: true });
}
