/** R19, R20, R21: too many, too slow, too large. */
import { fork } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { peakMegabytes } from '../../support/daemon.ts';
import type { FaultCase } from '../support/case.ts';
import { type Load, replies, sendOnce } from '../support/load.ts';
import { webhookSink } from '../support/oracle.ts';
import { webhookMailbox } from '../support/outbound.ts';
import { startWebhook } from '../support/partners.ts';
import { makeMail, type Rig } from '../support/rig.ts';
import type { SlowClients } from '../support/slow-clients.ts';

/** MB by which a role may grow while more and more messages wait. */
const flatWithin = 60;

const residentMegabytes = (pid: number) =>
  Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;

/** Resident memory of each role and of Redis now, in MB. */
function memoryOf(rig: Rig): Map<string, number> {
  const found = new Map<string, number>();
  for (const { role, pid } of rig.daemon.roles()) {
    found.set(role, Math.max(found.get(role) ?? 0, Math.round(residentMegabytes(pid))));
  }
  if (rig.redis) found.set('redis', Math.round(residentMegabytes(rig.redis.pid)));
  return found;
}

const shown = (memory: ReadonlyMap<string, number>) =>
  [...memory].map(([role, size]) => `${role} ${size} MB`).join(', ');

interface Loris {
  socket: Socket;
  greeting: Promise<string>;
}

/** A client that says one octet of a long command each second. */
function loris(port: number, localAddress: string): Loris {
  const socket = connect({ port, host: '127.0.0.1', localAddress });
  socket.on('error', () => {});
  const next = replies(socket, 60_000);
  const timer = setInterval(() => socket.writable && socket.write('E'), 1000);
  socket.on('close', () => clearInterval(timer));
  return { socket, greeting: next() };
}

async function lorises(port: number, clients: number, each: number): Promise<Loris[]> {
  const all: Loris[] = [];
  for (let client = 0; client < clients; client++) {
    const address = `127.0.${1 + (client >> 7)}.${2 + (client & 127)}`;
    for (let at = 0; at < each; at++) all.push(loris(port, address));
    await sleep(20);
  }
  await Promise.all(all.map(({ greeting }) => greeting));
  return all;
}

const heard = async (all: readonly Loris[], code: string) =>
  (await Promise.all(all.map(({ greeting }) => greeting))).filter((text) => text.startsWith(code)).length;

/** Descriptors that one process may have open (getrlimit(2)); Node raises the soft limit to the hard one. */
function descriptors(): number {
  return Number(/^Max open files\s+\S+\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? 0);
}

const thousands = 10_000;
const perAddress = 50;

/** Slow clients in another process, and what it said of them last. */
function slowClients(port: number, first: number, clients: number) {
  const file = join(import.meta.dirname, '../support/slow-clients.ts');
  const child = fork(file, [port, first, clients / perAddress, perAddress].map(String), { stdio: 'inherit' });
  let counts: SlowClients = { greeted: 0, refused: 0, open: 0, waiting: clients };
  child.on('message', (message) => {
    if (isCounts(message)) counts = message;
  });
  return { counts: () => counts, stop: () => child.kill('SIGKILL') };
}

const isCounts = (message: unknown): message is SlowClients =>
  typeof message === 'object' && message !== null && 'greeted' in message;

export const floodCases: FaultCase[] = [
  {
    id: 'R19-slow-loris',
    title: 'slow clients: 2,400 from 60 addresses, 600 more from one; healthy ones between them',
    async run(run) {
      const [clients, each, flood] = run.short ? [10, 30, 100] : [60, 40, 600];
      const rig = await run.rig({
        smtp: { maxConnections: 3000, maxConnectionsPerClient: 50, commandTimeout: '8s' },
      });
      const before = memoryOf(rig).get('receive') ?? 0;
      const slow = await lorises(rig.port, clients, each);
      const one = await lorises(rig.port, 1, 1).then(async ([first]) => [
        ...(first ? [first] : []),
        ...Array.from({ length: flood }, () => loris(rig.port, '127.0.99.9')),
      ]);
      const refused = await heard(one, '421');
      const load = rig.load({ clients: 4, count: run.short ? 20 : 100 });
      await load.done();
      const served = load.refusals.size === 0;
      const after = memoryOf(rig).get('receive') ?? 0;
      await rig.daemon.waitFor('the slow ones are sent away', () =>
        slow.every(({ socket }) => socket.destroyed),
      );
      for (const { socket } of [...slow, ...one]) socket.destroy();
      return rig.findings([load], {
        failures: [
          ...(served ? [] : [`healthy clients were refused: ${[...load.refusals]}`]),
          ...(refused >= flood - 50 ? [] : [`only ${refused} of ${flood} of one address were refused`]),
        ],
        notes: [
          `${await heard(slow, '220')} of ${slow.length} slow ones were let in and sent away after commandTimeout; ${refused} of ${flood} from one address read 421`,
          `receive: ${before} MB before, ${after} MB with them`,
        ],
      });
    },
  },
  {
    id: 'R19-full-house',
    title: 'slow clients hold every connection; healthy ones are served when these run out of time',
    async run(run) {
      const rig = await run.rig({
        smtp: { maxConnections: 200, maxConnectionsPerClient: 50, commandTimeout: '5s' },
      });
      const slow = await lorises(rig.port, 6, 50);
      const refused = await heard(slow, '421');
      const load = rig.load({ clients: 4, count: 20, again: 300 });
      await load.done();
      for (const { socket } of slow) socket.destroy();
      return rig.findings([load], {
        failures: refused >= 100 ? [] : [`only ${refused} read 421`],
        notes: [`${refused} of 300 read 421 with maxConnections 200`],
      });
    },
  },
  {
    id: 'R19-ten-thousand',
    title: '10,000 slow clients from 200 addresses; healthy ones between them; 421 above the limit',
    skip: () =>
      descriptors() < thousands + 1000 ? `only ${descriptors()} descriptors (ulimit -n)` : undefined,
    async run(run) {
      const spare = 100;
      const rig = await run.rig({
        smtp: {
          maxConnections: thousands + spare,
          maxConnectionsPerClient: perAddress,
          commandTimeout: '2m',
        },
      });
      const before = memoryOf(rig).get('receive') ?? 0;
      const parts = [0, 50, 100, 150].map((first) => slowClients(rig.port, first, thousands / 4));
      const sum = (of: keyof SlowClients) => parts.reduce((total, { counts }) => total + counts()[of], 0);
      run.after(() => parts.forEach(({ stop }) => void stop()));
      await rig.daemon.waitFor('all are connected', () => sum('waiting') === 0);
      const greeted = sum('greeted');
      const load = rig.load({ clients: 4, count: 100 });
      await load.done();
      const served = load.refusals.size === 0;
      const slowest = Math.round(load.longestAnswer);
      const after = memoryOf(rig).get('receive') ?? 0;
      const open = sum('open');
      const above = slowClients(rig.port, 200, 500);
      run.after(() => void above.stop());
      await rig.daemon.waitFor('those above the limit have an answer', () => above.counts().waiting === 0);
      const { refused } = above.counts();
      for (const part of [...parts, above]) part.stop();
      const last = rig.load({ clients: 4, count: 20 });
      await last.done();
      return rig.findings([load, last], {
        failures: [
          ...(greeted === thousands ? [] : [`only ${greeted} of ${thousands} were let in`]),
          ...(open === thousands ? [] : [`only ${open} of ${thousands} were open at the same time`]),
          ...(served ? [] : [`healthy clients were refused: ${[...load.refusals]}`]),
          ...(refused >= 500 - spare ? [] : [`only ${refused} of 500 above the limit read 421`]),
        ],
        notes: [
          `${open} slow ones at the same time; ${refused} of 500 more read 421 (limit ${thousands + spare})`,
          `longest wait of a healthy client between them: ${slowest} ms`,
          `receive: ${before} MB before, ${after} MB with them`,
        ],
      });
    },
  },
  {
    id: 'R20-flood',
    title: 'a flood with the destination down; memory stays flat, then all of it drains',
    async run(run) {
      const hook = await startWebhook();
      run.after(() => hook.close());
      hook.script = () => ({ status: 503 });
      const rig = await run.rig({ config: webhookMailbox(run.world, hook.url) });
      const count = run.messages ?? (run.short ? 300 : 3000);
      const samples: { waiting: number; memory: Map<string, number> }[] = [];
      const loads: Load[] = [];
      const parts = 10;
      for (let part = 1; part <= parts; part++) {
        const load = rig.load({ clients: 16, count: Math.ceil(count / parts) });
        loads.push(load);
        await load.done(1_800_000);
        samples.push({ waiting: Math.ceil((part * count) / parts), memory: memoryOf(rig) });
        if (run.messages) console.error(`    ${samples.at(-1)?.waiting}: ${shown(memoryOf(rig))}`);
      }
      const early = samples[2]?.memory ?? new Map<string, number>();
      const late = memoryOf(rig);
      hook.script = () => ({ status: 200 });
      // The memory of Redis grows with what waits there.
      const grown = [...late].filter(
        ([role, size]) => role !== 'redis' && size > (early.get(role) ?? 0) + flatWithin,
      );
      return rig.findings(loads, {
        sink: () => webhookSink(hook.received),
        patience: 600_000,
        failures: grown.map(([role, size]) => `${role} grew from ${early.get(role)} to ${size} MB`),
        notes: samples.map(({ waiting, memory }) => `${waiting} waiting: ${shown(memory)}`),
      });
    },
  },
  {
    id: 'R21-large',
    title: 'twenty mails of 100 MB at once; one above the limit',
    async run(run) {
      const rig = await run.rig({ smtp: { maxSize: '120MiB' } });
      const size = run.short ? 10_000_000 : 70_000_000;
      const clients = run.short ? 4 : 20;
      const load = rig.load({ clients, count: run.short ? 2 : clients, size, timeout: 600_000 });
      await load.done(600_000);
      const line = Buffer.alloc(1 << 20, `${'x'.repeat(62)}\r\n`);
      const header = Buffer.from('Subject: too large\r\nMessage-ID: <large@partner.example>\r\n\r\n');
      const large = Buffer.concat([header, ...Array<Buffer>(125).fill(line)]);
      const reply = await sendOnce(rig.port, large);
      const findings = await rig.findings([load], { patience: 180_000 });
      const peaks = rig.daemon
        .roles()
        .map(({ role, pid }) => [role, Math.round(peakMegabytes(pid))] as const);
      const octets = makeMail(run.world, size).octets.length / 1e6;
      findings.notes.push(`mails of ${octets.toFixed(0)} MB; peak memory: ${shown(new Map(peaks))}`);
      if (rig.daemon.log().includes('without renewing their locks'))
        findings.failures.push('a job lost its lock while it was worked on');
      if (!reply.startsWith('552')) findings.failures.push(`above the limit: ${reply}`);
      for (const [role, peak] of peaks) if (peak > 400) findings.failures.push(`${role} needed ${peak} MB`);
      return findings;
    },
  },
];
