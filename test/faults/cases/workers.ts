/** R2, R3, R18: workers killed or stopped in the middle of what they do. */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { kill } from '../../support/daemon.ts';
import type { FaultCase, Run } from '../support/case.ts';
import type { Load } from '../support/load.ts';
import { partnerSink, settle, webhookSink } from '../support/oracle.ts';
import { outboundLoad, outboundPartner, webhookMailbox } from '../support/outbound.ts';
import { startPartner, startWebhook } from '../support/partners.ts';
import { makeMail, type Rig, type RigOptions } from '../support/rig.ts';
import { merge } from './receiver.ts';

/** Kills of one daemon; then a new one begins on empty data. */
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

/** True while a process has a file of the spool open: large messages lie there. */
function hasSpoolOpen(pid: number, spool: string): boolean {
  try {
    const folder = `/proc/${pid}/fd`;
    return readdirSync(folder).some((name) => readlinkSync(join(folder, name)).startsWith(spool));
  } catch {
    // It has ended, or has closed the file meanwhile.
    return false;
  }
}

/**
 * Hits the process that reads the one large message, as poison in it would, until the message has ended. A process
 * that has taken it up only to suspend it does not read it, and is left alone.
 */
async function whileWorkingOn(rig: Rig, id: string, hit: (pid: number) => void): Promise<void> {
  const spool = join(rig.daemon.dataDir, 'spool');
  const dead = new Set<number>();
  const deadline = Date.now() + 600_000;
  while (Date.now() < deadline) {
    for (let look = 0; look < 10; look++) {
      for (const { role, pid } of rig.daemon.roles()) {
        if (role !== 'decrypt' || dead.has(pid) || !hasSpoolOpen(pid, spool)) continue;
        dead.add(pid);
        hit(pid);
        rig.kills++;
      }
      await sleep(5);
    }
    const record = await rig.queue.ledger.get(id);
    if (record?.state !== 'received') return;
  }
}

/** One large message ends each process that works on it, while others come in; only it may be suspended. */
async function onePoison(run: Run, starts: number, poison: (rig: Rig, id: string) => Promise<void>) {
  const rig = await run.rig();
  const others = rig.load({ clients: 4, pace: 20 });
  const heavy = makeMail(run.world, 12_000_000);
  const one = rig.load({ count: 1, clients: 1, mail: () => heavy });
  await one.done();
  const id = one.accepted[0]?.id ?? '';
  await poison(rig, id);
  await others.finish();
  return await judged(rig, [one, others], id, starts);
}

async function judged(rig: Rig, loads: Load[], id: string, starts: number) {
  const findings = await rig.findings(loads);
  const record = await rig.queue.ledger.get(id);
  const { state, reason } = record ?? { state: 'absent', reason: null };
  const started = record?.events.at(-1)?.facts.starts;
  findings.notes.push(`the message in hand: ${state} ${reason ?? ''} after ${started} starts`);
  if (reason !== 'worker-crashed' || started !== starts)
    findings.failures.push(`the message was not suspended as worker-crashed after ${starts} starts`);
  if (findings.tally.suspended > 1) findings.failures.push('others were suspended with it');
  return findings;
}

/** Octets that a decrypt process may take beyond what it has when it is ready. */
const dataMore = 100 * 2 ** 20;

function noPrlimit(): string | undefined {
  return spawnSync('prlimit', ['--version']).status === 0 ? undefined : 'prlimit is not installed';
}

/** From now on the kernel limits the data of each decrypt process (RLIMIT_DATA); ends with the case. */
function limitData(run: Run, rig: Rig): void {
  const limited = new Set<number>();
  const look = () => {
    for (const { role, pid } of rig.daemon.roles()) {
      if (
        role !== 'decrypt' ||
        limited.has(pid) ||
        !rig.daemon.log().includes(`"role":"decrypt","pid":${pid},`)
      )
        continue;
      limited.add(pid);
      const status = readFileSync(`/proc/${pid}/status`, 'utf8');
      const now = Number(/^VmData:\s+(\d+)/m.exec(status)?.[1] ?? 0) * 1024;
      spawnSync('prlimit', ['--pid', String(pid), `--data=${now + dataMore}`]);
    }
  };
  look();
  const timer = setInterval(look, 20);
  run.after(() => clearInterval(timer));
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
    run: (run) => onePoison(run, 5, (rig, id) => whileWorkingOn(rig, id, kill)),
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
    id: 'R18-memory',
    title: 'a message with a header field of 90 MB takes more memory than the kernel gives; others go on',
    skip: noPrlimit,
    async run(run) {
      const rig = await run.rig({ config: { limits: { headerSize: '100MiB' } } });
      limitData(run, rig);
      const others = rig.load({ clients: 4, pace: 20 });
      const messageId = 'poison@partner.example';
      const subject = `Subject: ${'x'.repeat(90_000_000)}`;
      const octets = Buffer.from(
        `From: edi@partner.example\r\nMessage-ID: <${messageId}>\r\n${subject}\r\n\r\npoison\r\n`,
      );
      const one = rig.load({ count: 1, clients: 1, mail: () => ({ messageId, octets }) });
      await one.done();
      const id = one.accepted[0]?.id ?? '';
      await settle(rig.queue, one.accepted, 180_000);
      await others.finish();
      const findings = await judged(rig, [one, others], id, 5);
      const said = rig.daemon.log().match(/out of memory/gi) ?? [];
      const deaths = rig.daemon.log().match(/"role":"decrypt","code":.*starting it again/g) ?? [];
      findings.notes.push(
        `decrypt died ${deaths.length} times; the log says out of memory ${said.length} times`,
      );
      return findings;
    },
  },
  {
    id: 'R18-hung-message',
    title:
      'each process that reads one message hangs (SIGSTOP); the supervisor ends it after a minute; others go on',
    run: (run) =>
      onePoison(run, 5, (rig, id) => whileWorkingOn(rig, id, (pid) => void process.kill(pid, 'SIGSTOP'))),
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
      const killed = rig.daemon.log().includes('exceeded its limits');
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
