/** R2, R3, R18: workers killed or stopped in the middle of what they do. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { FaultCase, Run } from '../support/case.ts';
import { partnerSink, webhookSink } from '../support/oracle.ts';
import { outboundLoad, outboundPartner, webhookMailbox } from '../support/outbound.ts';
import { startPartner, startWebhook } from '../support/partners.ts';
import { makeMail, type Rig, type RigOptions } from '../support/rig.ts';
import { merge } from './receiver.ts';

/** Kills of one daemon; more would only wait for the supervisor, which starts again ever later. */
const killsOfOne = 6;

async function inRounds(
  run: Run,
  options: RigOptions,
  round: (rig: Rig, kills: number) => ReturnType<Rig['findings']>,
) {
  const findings = [];
  for (let left = run.kills; left > 0; left -= killsOfOne) {
    const rig = await run.rig(options);
    findings.push(await round(rig, Math.min(left, killsOfOne)));
    await rig.close();
  }
  return merge(findings);
}

/** Kills decrypt each time that it has begun to work on the one message, until the message has ended. */
async function killWhileWorkingOn(rig: Rig, id: string): Promise<void> {
  const { redis, prefix } = rig.queue;
  let token: string | null = null;
  for (;;) {
    const record = await rig.queue.ledger.get(id);
    if (record?.state !== 'received') return;
    // The lock names the worker: another one than at the last kill has begun.
    const holder = await redis.get(`${prefix}:inbound:${id}:lock`);
    if (holder !== null && holder !== token && rig.killRole('decrypt')) token = holder;
    await sleep(5);
  }
}

export const workerCases: FaultCase[] = [
  {
    id: 'R2-under-load',
    title: 'decrypt workers killed under load',
    share: 20,
    short: true,
    run: (run) =>
      inRounds(run, { config: { workers: { decrypt: 2 } } }, async (rig, kills) => {
        const load = rig.load({ clients: 4, pace: 10 });
        await rig.killing('decrypt', kills, 500);
        await load.finish();
        return rig.findings([load]);
      }),
  },
  {
    id: 'R2-five-times',
    title: 'decrypt killed again and again in the middle of one job; others go on',
    share: 5,
    async run(run) {
      const rig = await run.rig();
      const others = rig.load({ clients: 1, pace: 500 });
      const heavy = makeMail(run.world, 12_000_000);
      const one = rig.load({ count: 1, clients: 1, mail: () => heavy });
      await one.done();
      await killWhileWorkingOn(rig, one.accepted[0]?.id ?? '');
      await others.finish();
      const findings = await rig.findings([one, others]);
      const record = await rig.queue.ledger.get(one.accepted[0]?.id ?? '');
      findings.notes.push(
        `the message in hand: ${record?.state} ${record?.reason ?? ''} after ${rig.kills} kills`,
      );
      return findings;
    },
  },
  {
    id: 'R3-webhook',
    title: 'deliverer killed between the 2xx of the webhook and the acknowledgement',
    share: 15,
    run: (run) =>
      inRoundsOfWebhook(run, async (rig, kills, hook) => {
        let next = 15;
        hook.script = (request) => {
          if (rig.kills >= kills || request < next) return { status: 200 };
          next = request + 15;
          return { taken: () => void rig.killRole('handoff') };
        };
        const load = rig.load({ clients: 4, pace: 10 });
        await rig.daemon.waitFor('all kills', () => rig.kills >= kills);
        await load.finish();
        return rig.findings([load], { sink: () => webhookSink(hook.received) });
      }),
  },
  {
    id: 'R3-partner',
    title: 'sender killed between the 250 of the partner and the acknowledgement',
    share: 15,
    async run(run) {
      const partner = await startPartner();
      run.after(() => partner.close());
      return inRounds(run, { config: outboundPartner(run.world, partner.port) }, async (rig, kills) => {
        let next = partner.mails + 10;
        partner.script = (mail) => {
          if (rig.kills >= kills || mail < next) return { code: 250 };
          next = mail + 10;
          return { taken: () => void rig.killRole('outbound') };
        };
        const load = outboundLoad(rig, { pace: 20 });
        await rig.daemon.waitFor('all kills', () => rig.kills >= kills);
        await load.finish();
        return rig.findings([load], { sink: () => partnerSink(partner.received) });
      });
    },
  },
  {
    id: 'R18-hung-worker',
    title: 'the only decrypt worker hangs (SIGSTOP) with jobs in hand; the supervisor ends it after a minute',
    async run(run) {
      const rig = await run.rig();
      const load = rig.load({ clients: 4, pace: 20 });
      await sleep(1500);
      const pid = rig.daemon.pidOf('decrypt');
      process.kill(pid, 'SIGSTOP');
      await sleep(10_000);
      await load.finish();
      const findings = await rig.findings([load], { patience: 150_000 });
      const killed = rig.daemon.log().includes('out of hand');
      if (!killed) findings.failures.push('the supervisor did not end it');
      return findings;
    },
  },
];

async function inRoundsOfWebhook(
  run: Run,
  round: (
    rig: Rig,
    kills: number,
    hook: Awaited<ReturnType<typeof startWebhook>>,
  ) => ReturnType<Rig['findings']>,
) {
  const hook = await startWebhook();
  run.after(() => hook.close());
  return inRounds(run, { config: webhookMailbox(run.world, hook.url) }, (rig, kills) =>
    round(rig, kills, hook),
  );
}
