/** R6, R17, R22: fail-over of Redis, clocks that jump, the end of the daemon under load. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fakeClock, skipWithoutClock } from '../../support/fake-clock.ts';
import type { FaultCase } from '../support/case.ts';
import { partnerSink, settle } from '../support/oracle.ts';
import { outboundLoad, outboundPartner } from '../support/outbound.ts';
import { startPartner } from '../support/partners.ts';
import { startFaultRedis } from '../support/redis.ts';
import { makeMail } from '../support/rig.ts';

const day = 86_400;
const retry = { attempts: 1000, firstDelay: '100ms', maxDelay: '2s' };

export const lifeCases: FaultCase[] = [
  {
    id: 'R6-failover',
    title: 'the primary killed under load, its replica on the same machine takes over',
    async run(run) {
      const rig = await run.rig();
      const { redis, proxy } = rig;
      if (!redis || !proxy) throw new Error('needs a Redis of its own');
      const replica = await startFaultRedis({ replicaof: `127.0.0.1 ${redis.port}` });
      run.after(() => replica.stop());
      const link = rig.queue.connect('failover');
      await rig.daemon.waitFor('a connection', () => link.status === 'ready');
      await rig.daemon.waitFor('the replica follows', async () =>
        /state=online/.test(await link.info('replication')),
      );
      await link.config('SET', 'min-replicas-to-write', '1');
      link.disconnect();
      const load = rig.load({ clients: 8, pace: 5 });
      await sleep(3000);
      await redis.kill();
      rig.kills++;
      await rig.useRedis(replica.url, async (promoted) => {
        await promoted.call('REPLICAOF', 'NO', 'ONE');
      });
      proxy.target = { port: replica.port };
      proxy.cutAll();
      await sleep(3000);
      await load.finish();
      return rig.findings([load], {
        notes: ['both servers on one machine: the window of an asynchronous replica is not shown by this'],
      });
    },
  },
  {
    id: 'R17-clock-jumps',
    title: 'the clock of the daemon jumps a day ahead and back while messages are retried',
    skip: () => skipWithoutClock || undefined,
    async run(run) {
      const partner = await startPartner();
      run.after(() => partner.close());
      partner.script = () => ({ code: 451 });
      const clock = fakeClock(run.world.folder);
      const config = { ...outboundPartner(run.world, partner.port), retry };
      const rig = await run.rig({ config, env: clock.env });
      const load = outboundLoad(rig, { pace: 200 });
      await sleep(3000);
      clock.set(day);
      await sleep(2000);
      const before = partner.mails;
      await sleep(8000);
      const failures = partner.mails > before ? [] : ['no attempt while the clock was ahead'];
      clock.set(0);
      await load.finish();
      await sleep(1000);
      partner.script = () => ({ code: 250 });
      await settle(rig.queue, load.accepted, 20_000);
      const { sent } = await rig.queue.ledger.count();
      const late = load.accepted.length - sent;
      if (late > 0)
        failures.push(`${late} retries wait for the time that the clock showed when it was ahead`);
      clock.set(day);
      return rig.findings([load], { sink: () => partnerSink(partner.received), failures });
    },
  },
  {
    id: 'R17-all-clocks',
    title:
      'one clock for daemon and Redis: two hours ahead at the start, right, ahead, right, with workers killed',
    skip: () => skipWithoutClock || undefined,
    async run(run) {
      const ahead = 7200;
      const clock = fakeClock(run.world.folder, ahead);
      const rig = await run.rig({ redis: 'private', env: clock.env });
      const load = rig.load({ clients: 4, pace: 20, again: 200 });
      const failures: string[] = [];
      const notes: string[] = [];
      const steps = () =>
        [...rig.daemon.log().matchAll(/the clock jumped by (-?\d+) s/g)].map(([, step]) => Number(step));
      for (const seconds of [0, ahead, 0]) {
        await sleep(3000);
        // Their jobs are locked by the current clock.
        for (const role of ['decrypt', 'handoff']) {
          await rig.up(role);
          rig.killRole(role);
        }
        const before = steps().length;
        clock.set(seconds);
        await rig.daemon.waitFor('the log says of the step', () =>
          steps()
            .slice(before)
            .some((step) => (seconds > 0 ? step > 7000 : step < -7000)),
        );
      }
      await sleep(3000);
      await load.finish();
      // Far less than the step: with keys that last two hours nothing would end in time.
      const findings = await rig.findings([load], { failures, notes, patience: 240_000 });
      const log = rig.daemon.log();
      const health = await rig.daemon.command(['health']);
      if (!/^clock {2}/m.test(String(health.stdout)))
        findings.failures.push('health says nothing of the clock');
      const kept = [...log.matchAll(/"keys":(\d+),"seconds":\d+,"msg":"locks or leases/g)].length;
      findings.notes.push(`${steps().length} lines of a jump, ${kept} of shortened keys`);
      return findings;
    },
  },
  {
    id: 'R17-certificate-time',
    title: 'the clock stands in 2101: the signer has expired, and the verdict says so',
    skip: () => skipWithoutClock || undefined,
    async run(run) {
      const clock = fakeClock(run.world.folder);
      clock.set((2101 - new Date().getFullYear()) * 365.25 * day);
      const mailboxes = [
        {
          name: 'orders',
          addresses: ['orders@own.example'],
          require: ['signed'],
          destinations: [{ type: 'directory', path: join(run.world.folder, 'expired') }],
        },
      ];
      const rig = await run.rig({ config: { mailboxes }, env: clock.env });
      const load = rig.load({ count: 5, clients: 1 });
      await load.done();
      const findings = await rig.findings([load]);
      const record = await rig.queue.ledger.get(load.accepted[0]?.id ?? '');
      const said = record?.events.findLast(({ type }) => type === 'suspended')?.facts.message;
      if (findings.tally.suspended !== 5) findings.failures.push('not suspended');
      if (!/expire|valid|time|certificate/i.test(String(said))) findings.failures.push(`it says: ${said}`);
      findings.notes.push(`${record?.reason}: ${said}`);
      return findings;
    },
  },
  {
    id: 'R22-sigterm',
    title: 'SIGTERM under load and a new start, three times; the second time forced by a second SIGTERM',
    short: true,
    async run(run) {
      const rig = await run.rig({ config: { workers: { decrypt: 1, drainTimeout: '5s' } } });
      const load = rig.load({ clients: 6, pace: 5, again: 200 });
      const notes: string[] = [];
      const failures: string[] = [];
      for (let round = 0; round < (run.short ? 2 : 3); round++) {
        await sleep(2000);
        const startedAt = performance.now();
        rig.daemon.signal('SIGTERM');
        const forced = round % 2 === 1;
        if (forced) {
          await sleep(50);
          rig.daemon.signal('SIGTERM');
        }
        const { code, signal } = await rig.daemon.ended;
        const took = (performance.now() - startedAt) / 1000;
        notes.push(`${forced ? 'forced' : 'drained'} in ${took.toFixed(1)} s, code ${code ?? signal}`);
        // the short form runs beside other tests: there, an end that takes minutes is one that hangs
        if (took > (run.short ? 120 : 8))
          failures.push(`the end took ${took.toFixed(1)} s with drainTimeout 5 s`);
        if (!forced && code !== 0) failures.push(`exit code ${code} after a drain`);
        await rig.boot();
      }
      await sleep(1000);
      await load.finish();
      notes.push(
        `refusals: ${[...load.refusals].map(([reply, times]) => `${reply || 'no connection'} ${times}`).join(', ')}`,
      );
      return rig.findings([load], { notes, failures });
    },
  },
  {
    id: 'R22-killed',
    title: 'kill -9 of the supervisor under load, and a new start on the same data',
    share: 3,
    async run(run) {
      const rig = await run.rig({ redis: 'private' });
      const load = rig.load({ clients: 4, pace: 10, again: 200 });
      for (let done = 0; done < Math.min(run.kills, 4); done++) {
        await sleep(2000);
        process.kill(rig.daemon.pid, 'SIGKILL');
        rig.kills++;
        await rig.daemon.ended;
        await sleep(500);
        await rig.boot();
      }
      const last = makeMail(run.world);
      const one = rig.load({ count: 1, clients: 1, mail: () => last });
      await one.done();
      await load.finish();
      return rig.findings([load, one]);
    },
  },
];
