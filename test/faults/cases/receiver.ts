/** R1, R10, R16: the way in, killed and cut at each of its points. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FaultCase, Run } from '../support/case.ts';
import { type Accepted, sendOnce } from '../support/load.ts';
import { TcpProxy } from '../support/proxy.ts';
import { makeMail, type Rig } from '../support/rig.ts';

/** Where the receiver dies. */
type Point = 'before-dot' | 'after-dot' | 'enqueued' | 'before-250';

/** Messages that are in flight at each kill. */
const together = 6;
/** Kills of one daemon; then a new one begins on empty data. */
const killsOfOne = 4;

async function messagesOf(rig: Rig): Promise<number> {
  const counts = await rig.queue.ledger.count();
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

interface Tried {
  accepted: Accepted[];
  sent: number;
  longestPause: number;
}

/** One kill with messages in flight at the point; all are sent again until they are accepted. */
async function killAt(point: Point, rig: Rig, smtp: TcpProxy, tried: Tried): Promise<void> {
  const mails = Array.from({ length: together }, () => makeMail(rig.world));
  const before = await messagesOf(rig);
  const ready = Promise.withResolvers<void>();
  const dots = Promise.withResolvers<void>();
  let waiting = 0;
  const beforeDot = () => {
    if (++waiting === together) ready.resolve();
    return dots.promise;
  };
  const startedAt = performance.now();
  const first = mails.map((mail) => sendOnce(smtp.port, mail.octets, { beforeDot, timeout: 20_000 }));
  await ready.promise;
  if (point === 'before-dot') await sleep(50);
  if (point === 'after-dot' && rig.proxy) rig.proxy.requests = 'hold';
  if (point === 'enqueued' && rig.proxy) rig.proxy.replies = 'hold';
  if (point === 'before-250') smtp.replies = 'hold';
  if (point !== 'before-dot') dots.resolve();
  if (point === 'after-dot') await sleep(50);
  if (point === 'enqueued' || point === 'before-250') {
    await rig.daemon.waitFor('all are enqueued', async () => (await messagesOf(rig)) >= before + together);
    if (point === 'before-250') await sleep(50);
  }
  rig.killRole('receive');
  if (point === 'before-dot') dots.resolve();
  smtp.cutAll();
  smtp.heal();
  rig.proxy?.cutAll();
  rig.proxy?.heal();
  const replies = await Promise.all(first);
  await rig.up('receive');
  tried.sent += together;
  for (const [index, mail] of mails.entries()) {
    let reply = replies[index] ?? '';
    while (!reply.startsWith('250')) reply = await sendOnce(smtp.port, mail.octets, { timeout: 20_000 });
    const id = / as (\S+)$/.exec(reply)?.[1] ?? '';
    tried.accepted.push({ id, messageId: mail.messageId, at: Date.now() });
  }
  tried.longestPause = Math.max(tried.longestPause, performance.now() - startedAt);
}

async function receiverKilled(point: Point, run: Run) {
  const tried: Tried = { accepted: [], sent: 0, longestPause: 0 };
  const findings = [];
  for (let left = run.kills; left > 0; left -= killsOfOne) {
    const rig = await run.rig();
    const smtp = await TcpProxy.start({ port: rig.port });
    run.after(() => smtp.stop());
    const warm = rig.load({ count: 2, clients: 1 });
    await warm.done();
    const part: Tried = { accepted: warm.accepted, sent: warm.sent, longestPause: 0 };
    for (let kill = 0; kill < Math.min(left, killsOfOne); kill++) await killAt(point, rig, smtp, part);
    findings.push(await rig.findings([part]));
    tried.longestPause = Math.max(tried.longestPause, part.longestPause);
    await rig.close();
  }
  return merge(findings);
}

/** Findings of several daemons as one. */
export function merge(all: Awaited<ReturnType<Rig['findings']>>[]) {
  const [first, ...rest] = all;
  if (first === undefined) throw new Error('nothing was found');
  for (const { sent, kills, pause, tally, notes, failures } of rest) {
    first.sent += sent;
    first.kills += kills;
    first.pause = Math.max(first.pause ?? 0, pause ?? 0);
    first.notes.push(...notes);
    first.failures.push(...failures);
    const { tally: sum } = first;
    for (const name of ['accepted', 'delivered', 'repeated', 'suspended', 'terminated'] as const)
      sum[name] += tally[name];
    for (const name of ['lost', 'doubled', 'disagree'] as const) sum[name].push(...tally[name]);
    sum.slowest = Math.max(sum.slowest, tally.slowest);
  }
  return first;
}

const points: { point: Point; title: string; short?: true }[] = [
  { point: 'before-dot', title: 'receiver killed before the final dot' },
  { point: 'after-dot', title: 'receiver killed after the dot, before Redis has the message' },
  {
    point: 'enqueued',
    title: 'receiver killed when Redis has the message and the receiver no answer',
    short: true,
  },
  { point: 'before-250', title: 'receiver killed when it has answered and the client has not heard it' },
];

export const receiverCases: FaultCase[] = [
  ...points.map(
    ({ point, title, short }): FaultCase => ({
      id: `R1-${point}`,
      title,
      share: 7,
      ...(short ? { short } : {}),
      run: (run) => receiverKilled(point, run),
    }),
  ),
  {
    id: 'R10-drop-in-data',
    title: 'clients drop in the middle of DATA, small and large messages',
    short: true,
    async run(run) {
      const rig = await run.rig();
      const warm = rig.load({ count: 2, clients: 1 });
      await warm.done();
      const before = await messagesOf(rig);
      const drops = run.short ? 20 : 200;
      const large = Buffer.alloc(400_000, `${'x'.repeat(76)}\r\n`);
      for (let at = 0; at < drops; at += 20)
        await Promise.all(
          Array.from({ length: 20 }, async (_, index) => {
            const octets = index % 2 ? makeMail(rig.world).octets : large;
            const dropped = new Error('dropped');
            const beforeDot = () => {
              throw dropped;
            };
            await sendOnce(rig.port, octets, { beforeDot }).catch((error) => {
              if (error !== dropped) throw error;
            });
          }),
        );
      const load = rig.load({ count: 10, clients: 2 });
      await load.done();
      const files = () =>
        readdirSync(join(rig.daemon.dataDir, 'spool'), { recursive: true, withFileTypes: true });
      const left = await leftAfter(() => files().filter((entry) => entry.isFile()).length);
      const enqueued = (await messagesOf(rig)) - before - 10;
      const failures = [];
      if (enqueued !== 0) failures.push(`${enqueued} messages were enqueued`);
      if (left !== 0) failures.push(`${left} files are left in the spool`);
      return rig.findings([warm, load], {
        failures,
        notes: [`${drops} drops, nothing enqueued, no file left`],
      });
    },
  },
  {
    id: 'R16-same-message-id',
    title: 'the same Message-ID on different bodies',
    short: true,
    async run(run) {
      const rig = await run.rig();
      const pairs = run.short ? 5 : 50;
      const load = rig.load({
        count: pairs * 2,
        mail: (number) => makeMail(rig.world, number % 2 ? 200 : 900, `pair-${number >> 1}@partner.example`),
      });
      await load.done();
      const findings = await rig.findings([load]);
      if (findings.tally.delivered !== pairs * 2) findings.failures.push('not each of a pair was delivered');
      return findings;
    },
  },
];

/** A number that should go to zero, after some patience. */
async function leftAfter(count: () => number): Promise<number> {
  for (let attempt = 0; attempt < 100 && count() > 0; attempt++) await sleep(50);
  return count();
}
