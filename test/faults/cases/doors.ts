/** R24: the doors of programs, killed in the middle, and Redis under them. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { FaultCase, Findings, Run } from '../support/case.ts';
import { type Door, doorsRig, roleOf } from '../support/doors.ts';
import { partnerSink } from '../support/oracle.ts';
import type { Rig } from '../support/rig.ts';

/** `unanswered`: killed when Redis has messages and the process has no answer of Redis. */
type Kill = 'at once' | 'unanswered' | 'redis';

const all: readonly Door[] = ['http', 'submission', 'folder', 'queue'];
const kinds: readonly Kill[] = ['unanswered', 'redis', 'at once'];
/** Each door in turn, and each kind in turn for all of them. */
const strikesOf = (doors: readonly Door[], kills: number): [Door, Kill][] =>
  Array.from({ length: kills }, (_, done) => [
    doors[done % doors.length] ?? 'http',
    kinds[Math.floor(done / doors.length) % kinds.length] ?? 'redis',
  ]);

async function messagesOf({ queue }: Rig): Promise<number> {
  const counts = await queue.ledger.count();
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

/** Kills, and waits until the role runs again. */
async function strike(rig: Rig, role: string, kill: Kill): Promise<void> {
  if (kill === 'redis') {
    await rig.redis?.kill();
    rig.kills++;
    await sleep(Math.random() * 1000);
    await rig.redis?.start();
    return;
  }
  if (kill === 'unanswered' && rig.proxy) {
    const before = await messagesOf(rig);
    rig.proxy.replies = 'hold';
    const deadline = Date.now() + 5000;
    while ((await messagesOf(rig)) === before && Date.now() < deadline) await sleep(5);
  }
  const killed = rig.daemon.pidOf(role);
  rig.killRole(role);
  rig.proxy?.cutAll();
  rig.proxy?.heal();
  await rig.daemon.waitFor(`${role} runs again`, () =>
    rig.daemon.roles().some((each) => each.role === role && each.pid !== killed),
  );
}

/**
 * @param pace milliseconds between two messages of a program
 * @param atLeast messages of each door between two kills
 */
async function doorsKilled(
  run: Run,
  { doors, strikes, pace }: { doors: readonly Door[]; strikes: readonly [Door, Kill][]; pace: number },
  atLeast = 10,
): Promise<Findings> {
  const { rig, partner, load } = await doorsRig(run);
  const loads = doors.map((door) => load(door, pace));
  for (const [door, kill] of strikes) {
    // All doors are open again before the next kill, and under load.
    const taken = loads.map((each) => each.taken);
    await rig.daemon.waitFor('each door takes messages', () =>
      loads.every((each, index) => each.taken >= (taken[index] ?? 0) + atLeast),
    );
    await sleep(Math.random() * 500);
    await strike(rig, roleOf[door], kill);
  }
  await sleep(500);
  await Promise.all(loads.map((each) => each.finish()));
  const findings = await rig.findings(loads, { sink: () => partnerSink(partner.received) });
  findings.failures.push(...loads.flatMap(({ refused }) => refused));
  const there = await messagesOf(rig);
  if (there !== findings.tally.accepted)
    findings.failures.push(`${there} messages were made of ${findings.tally.accepted}`);
  let repeated = 0;
  for (const { id } of loads.flatMap(({ accepted }) => accepted)) {
    const record = await rig.queue.ledger.get(id);
    if (record?.events.some(({ type }) => type === 'duplicate')) repeated++;
  }
  const unanswered = loads.reduce((sum, each) => sum + each.unanswered, 0);
  findings.notes.push(
    `${unanswered} attempts without an answer; ${repeated} repeated what was on disk already`,
  );
  return findings;
}

const titles: Record<Door, string> = {
  http: 'the HTTP API killed under load, then Redis, again and again',
  submission: 'the listener for submission killed under load, then Redis',
  folder: 'the process of the drop folder killed among its files, then Redis',
  queue: "the reader of clients' queues killed under load, then Redis",
};

export const doorCases: FaultCase[] = [
  ...all.map(
    (door): FaultCase => ({
      id: `R24-${door}`,
      title: titles[door],
      share: 9,
      run: (run) => doorsKilled(run, { doors: [door], strikes: strikesOf([door], run.kills), pace: 50 }),
    }),
  ),
  {
    id: 'R24-doors',
    title:
      'all doors of programs together, killed one after the other when nothing was answered yet, then Redis',
    short: true,
    async run(run) {
      if (!run.short) return await doorsKilled(run, { doors: all, strikes: strikesOf(all, 12), pace: 50 });
      // The queue and the folder have the same process.
      const strikes: [Door, Kill][] = (['http', 'submission', 'queue'] as const).map((door) => [
        door,
        'unanswered',
      ]);
      return await doorsKilled(run, { doors: all, strikes: [...strikes, ['http', 'redis']], pace: 200 }, 2);
    },
  },
];
