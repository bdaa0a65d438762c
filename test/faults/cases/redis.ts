/** R4, R7, R8, R9, R23: the store is killed, full, silent, or not there. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { kill, launch, writeConfig } from '../../support/daemon.ts';
import { freePort } from '../../support/net.ts';
import type { FaultCase } from '../support/case.ts';
import type { Load } from '../support/load.ts';
import { webhookSink } from '../support/oracle.ts';
import { webhookMailbox } from '../support/outbound.ts';
import { startWebhook } from '../support/partners.ts';
import type { Rig } from '../support/rig.ts';

const refusalsOf = (load: Load) =>
  `refusals: ${[...load.refusals].map(([code, times]) => `${code || 'cut'} ${times}`).join(', ') || 'none'}`;

/** Warnings and errors in the log: a tight loop shows here, and a line for each message. */
function complaintsSince(rig: Rig, offset: number): number {
  return [
    ...rig.daemon
      .log()
      .slice(offset)
      .matchAll(/^\{"level":[4-6]0,/gm),
  ].length;
}

/** What three processes may say about one trouble of Redis that lasts some seconds. */
const mostComplaints = 25;
const tooMany = (complaints: number) =>
  complaints > mostComplaints ? [`${complaints} warnings and errors in the log about one trouble`] : [];

/** Why a small file system cannot be mounted here, or undefined. */
function noMount(): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'sealpost-mount-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder], { stdio: 'ignore' });
    execFileSync('umount', [folder], { stdio: 'ignore' });
    return undefined;
  } catch {
    return 'mounting a file system is not permitted';
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Waits until the clients were refused, for a while at most. */
async function untilRefused(load: Load, within: number): Promise<boolean> {
  const deadline = Date.now() + within;
  while (Date.now() < deadline) {
    if ([...load.refusals.values()].some((times) => times > 5)) return true;
    await sleep(50);
  }
  return false;
}

export const redisCases: FaultCase[] = [
  {
    id: 'R4-redis-killed',
    title: 'Redis killed under load, started again after a second',
    share: 20,
    short: true,
    async run(run) {
      const rig = await run.rig();
      const load = rig.load({ clients: 8, pace: 5 });
      for (let done = 0; done < run.kills; done++) {
        await sleep(800 + Math.random() * 1200);
        await rig.redis?.kill();
        rig.kills++;
        await sleep(Math.random() * 1500);
        await rig.redis?.start();
      }
      await sleep(1000);
      await load.finish();
      return rig.findings([load], { notes: [refusalsOf(load)] });
    },
  },
  {
    id: 'R4-private-killed',
    title: 'the private Redis killed under load; the supervisor starts it again',
    share: 4,
    async run(run) {
      const rig = await run.rig({ redis: 'private' });
      const load = rig.load({ clients: 4, pace: 20 });
      for (let done = 0; done < run.kills; done++) {
        await sleep(1000 + Math.random() * 1000);
        const pid = await rig.daemon.waitFor('the private Redis runs', () => rig.daemon.redisPid());
        // Every other one is killed while it starts; only such kills would leave no load to lose.
        const before = load.accepted.length;
        if (done % 2 === 0)
          await rig.daemon.waitFor('mail is accepted again', () => load.accepted.length > before);
        kill(rig.daemon.redisPid() ?? pid);
        rig.kills++;
        await sleep(200);
      }
      await rig.daemon.waitFor('the private Redis runs again', () => rig.daemon.redisPid());
      await load.finish();
      return rig.findings([load], { notes: [refusalsOf(load)] });
    },
  },
  {
    id: 'R7-disk-full',
    title: 'the disk of Redis is full (8 MB tmpfs), then has room again',
    skip: noMount,
    async run(run) {
      const folder = mkdtempSync(join(tmpdir(), 'sealpost-disk-'));
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', folder]);
      run.after(() => {
        execFileSync('umount', ['-l', folder]);
        rmSync(folder, { recursive: true, force: true });
      });
      const hook = await startWebhook();
      run.after(() => hook.close());
      hook.script = () => ({ status: 503 });
      const rig = await run.rig({ redis: { folder }, config: webhookMailbox(run.world, hook.url) });
      const ballast = join(folder, 'ballast');
      writeFileSync(ballast, Buffer.alloc(3_000_000));
      const offset = rig.daemon.log().length;
      const load = rig.load({ clients: 4, pace: 5, size: 10_000 });
      const full = await untilRefused(load, 60_000);
      await sleep(3000);
      const complaints = complaintsSince(rig, offset);
      const died = !rig.redis?.alive();
      truncateSync(ballast, 0);
      hook.script = () => ({ status: 200 });
      if (died) await rig.redis?.start();
      // Waiting messages are nearly all of the file; without room for them there is none for more.
      execFileSync('mount', ['-o', 'remount,size=64m', folder]);
      await sleep(2000);
      await load.finish();
      return rig.findings([load], {
        sink: () => webhookSink(hook.received),
        failures: [...(full ? [] : ['the disk did not become full']), ...tooMany(complaints)],
        notes: [
          refusalsOf(load),
          `Redis ${died ? 'ended' : 'went on'}; warnings and errors in the log: ${complaints}`,
        ],
      });
    },
  },
  {
    id: 'R8-out-of-memory',
    title: 'Redis at maxmemory with the destination down, then up again',
    short: true,
    async run(run) {
      const hook = await startWebhook();
      run.after(() => hook.close());
      hook.script = () => ({ status: 503 });
      const rig = await run.rig({
        redis: { settings: { maxmemory: '12mb' } },
        config: webhookMailbox(run.world, hook.url),
      });
      const offset = rig.daemon.log().length;
      const load = rig.load({ clients: 4, pace: 2, size: 30_000 });
      const full = await untilRefused(load, 60_000);
      await sleep(3000);
      const complaints = complaintsSince(rig, offset);
      hook.script = () => ({ status: 200 });
      const recovered = await rig.daemon
        .waitFor('room again', async () => (await rig.queue.queues.depth()).handoff.delayed < 5)
        .catch(() => undefined);
      await load.finish(30_000);
      return rig.findings([load], {
        sink: () => webhookSink(hook.received),
        failures: [
          ...(full ? [] : ['it did not become full']),
          ...(recovered ? [] : ['it does not drain by itself']),
          ...tooMany(complaints),
        ],
        notes: [refusalsOf(load), `warnings and errors in the log: ${complaints}`],
      });
    },
  },
  ...(['black-hole', 'half-open', 'slow'] as const).map(
    (how): FaultCase => ({
      id: `R9-${how}`,
      title: {
        'black-hole': 'everything to and from Redis is swallowed for ten seconds',
        'half-open': 'open connections to Redis fall silent for good, new ones work',
        slow: 'each packet to and from Redis takes 300 ms',
      }[how],
      async run(run) {
        const rig = await run.rig();
        const load = rig.load({ clients: 4, pace: 10 });
        await sleep(1000);
        const offset = rig.daemon.log().length;
        const rounds = run.short ? 1 : 3;
        for (let round = 0; round < rounds; round++) {
          if (how === 'half-open') rig.proxy?.halfOpen();
          else if (rig.proxy && how === 'slow') rig.proxy.delay = 300;
          else if (rig.proxy) {
            rig.proxy.requests = 'swallow';
            rig.proxy.replies = 'swallow';
          }
          await sleep(10_000);
          if (how !== 'half-open') rig.proxy?.heal();
          await sleep(2000);
        }
        await load.finish();
        const complaints = complaintsSince(rig, offset) / rounds;
        const answer = (load.longestAnswer / 1000).toFixed(1);
        return rig.findings([load], {
          failures: [
            ...(load.longestAnswer > 31_000 ? ['a client had no answer within 31 s'] : []),
            ...tooMany(complaints),
          ],
          notes: [
            refusalsOf(load),
            `longest wait of a client for an answer: ${answer} s (commandTimeout 3 s)`,
            `warnings and errors in the log for each trouble: ${Math.round(complaints)}`,
          ],
        });
      },
    }),
  ),
  {
    id: 'R23-redis-absent',
    title: 'Redis is not there at the start; then it is',
    short: true,
    async run(run) {
      const port = await freePort();
      const { configFile } = writeConfig(run.world, {
        redis: { url: `redis://127.0.0.1:${port}`, commandTimeout: '1s' },
      });
      const absent = launch(configFile);
      const { code } = await absent.ended;
      const said = absent.log().includes('redis-unreachable');
      const rig = await run.rig();
      const load = rig.load({ count: 10, clients: 2 });
      await load.done();
      return rig.findings([load], {
        failures: [
          ...(code === 1 ? [] : [`exit code ${code}`]),
          ...(said ? [] : ['the log does not say redis-unreachable']),
        ],
        notes: [`without Redis: exit code ${code}, redis-unreachable in the log`],
      });
    },
  },
];
