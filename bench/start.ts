/**
 * How long a daemon takes from its command line to `running`, a reload from its command line to its end, and what both
 * take of the processors: the configuration of the README, with a private Redis. The first start is not counted, as it
 * fills the cache of compiled code. Programs take turns, so that other load meets all of them.
 *
 *   node bench/start.ts [--runs 10] [bin/sealpost of this or another checkout or package ...]
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { createTestCa } from '../test/support/ca.ts';
import { median, printTable } from './table.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { runs: { type: 'string', default: '10' } },
});
const programs = positionals.length > 0 ? positionals : [join(import.meta.dirname, '../bin/sealpost')];

/** Milliseconds of processor time that a process and its children took so far; those that ended are counted. */
function spent(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  // after the name in brackets: state, ppid ... utime, stime, cutime, cstime from the twelfth
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const own = fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0) * 10;
  const tasks = readdirSync(`/proc/${pid}/task`);
  const children = tasks.flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, 'latin1').split(' ').filter(Boolean),
  );
  return children.reduce((sum, child) => sum + spent(Number(child)), own);
}

function makeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'sealpost-start-'));
  const ca = createTestCa('Bench CA');
  for (const [name, email] of [
    ['own', 'orders@example.com'],
    ['acme', 'edi@acme.example'],
  ] as const) {
    const issued = ca.issue({ commonName: email, email, key: 'rsa2048' });
    writeFileSync(join(folder, `${name}.pem`), issued.certPem);
    writeFileSync(join(folder, `${name}.key`), issued.keyPem, { mode: 0o600 });
  }
  writeFileSync(
    join(folder, 'sealpost.yaml'),
    `dataDir: data
smtp: { listen: [{ host: 127.0.0.1, port: 0 }] }
identities:
  - { name: own, certificate: own.pem, key: own.key }
mailboxes:
  - name: orders
    addresses: [orders@example.com]
    require: [encrypted, signed, partner]
    destinations: [{ type: directory, path: inbox }]
partners:
  - name: acme
    addresses: [edi@acme.example]
    certificates: [acme.pem]
    identity: own
    from: orders@example.com
    route: { host: 127.0.0.1, port: 2526, tls: none }
`,
  );
  writeFileSync(join(folder, 'order.edi'), Buffer.alloc(10_240, 'UNB'));
  return folder;
}

/** Resolves at the line, with the milliseconds until then. */
function start(program: string, config: string): Promise<{ daemon: ChildProcess; ms: number }> {
  const began = performance.now();
  const daemon = spawn(program, ['start', '--config', config], { stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  return new Promise((resolve, reject) => {
    daemon.stderr?.setEncoding('utf8').on('data', (text: string) => {
      log += text;
      if (/"msg":"running"/.test(log)) resolve({ daemon, ms: performance.now() - began });
    });
    daemon.once('exit', () => reject(new Error(log)));
  });
}

function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => child.once('exit', () => resolve()));
}

/** Milliseconds, and of processor time. */
async function command(program: string, args: string[]): Promise<{ ms: number; cpu: number }> {
  const began = performance.now();
  const child = spawn('/bin/sh', ['-c', '"$0" "$@" >&2; times', program, ...args], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let times = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    times += text;
  });
  await ended(child);
  // the second line is of the children: user and system, as 0m0.123000s
  const cpu = [...(times.split('\n')[1] ?? '').matchAll(/(\d+)m([\d.]+)s/g)].reduce(
    (sum, [, minutes, seconds]) => sum + Number(minutes) * 60_000 + Number(seconds) * 1000,
    0,
  );
  return { ms: performance.now() - began, cpu };
}

const measured = programs.map((program) => ({
  program: resolve(program),
  folder: makeFolder(),
  figures: [] as Record<'start' | 'startCpu' | 'send' | 'sendCpu' | 'reload' | 'reloadCpu', number>[],
}));
try {
  for (let round = 0; round <= Number(values.runs); round++) {
    for (const { program, folder, figures } of round % 2 === 0 ? measured : [...measured].reverse()) {
      const config = join(folder, 'sealpost.yaml');
      const { daemon, ms } = await start(program, config);
      const pid = daemon.pid ?? 0;
      const startCpu = spent(pid);
      const sent = await command(program, [
        'send',
        join(folder, 'order.edi'),
        '--partner',
        'acme',
        '--config',
        config,
      ]);
      const before = spent(pid);
      const reloaded = await command(program, ['reload', '--config', config]);
      const reloadCpu = spent(pid) - before + reloaded.cpu;
      if (round > 0)
        figures.push({
          ...{ start: ms, startCpu, send: sent.ms, sendCpu: sent.cpu },
          ...{ reload: reloaded.ms, reloadCpu },
        });
      daemon.kill('SIGTERM');
      await ended(daemon);
    }
  }
} finally {
  for (const { folder } of measured) rmSync(folder, { recursive: true, force: true });
}
printTable(
  'Milliseconds, median (least)',
  ['', 'start', 'of processor', 'reload', 'of processor', 'send', 'of processor'],
  measured.map(({ program, figures }) => [
    program,
    ...(['start', 'startCpu', 'reload', 'reloadCpu', 'send', 'sendCpu'] as const).map((name) => {
      const all = figures.map((each) => each[name]);
      return `${Math.round(median(all))} (${Math.round(Math.min(...all))})`;
    }),
  ]),
);
