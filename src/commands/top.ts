/** `sealpost top`: what flows and what waits now, again and again on a terminal, once in a pipe. */
import { Command } from 'commander';
import { loadConfig } from '../config/index.ts';
import { readHeartbeats } from '../daemon/index.ts';
import type { FollowedEvent, Latency, MessageState, QueueRoom, Tally } from '../queue/index.ts';
import { shortId } from './message-rows.ts';
import { configOption } from './options.ts';
import { type Piece, printJson, printPieces, terminal } from './output.ts';
import { withQueue } from './queue.ts';
import { type Cell, tableLines } from './table.ts';
import { onScreen } from './watch.ts';
import { plural, span, stamp } from './when.ts';

const minutes = 60_000;
/** States of messages that wait for something. */
const waitingStates = ['received', 'decoded', 'queued', 'suspended'] as const satisfies MessageState[];
const mostGroups = 5;
const mostEvents = 10;

interface Snapshot {
  at: string;
  roles: Record<string, number>;
  refusing: string[];
  troubles: string[];
  queues: Awaited<ReturnType<QueueRoom['queues']['depth']>>;
  waiting: Record<string, { messages: number; oldest: number | null }>;
  /** Of the last ten to twenty minutes, and of the last hour. */
  flow: { recent: Omit<Tally, 'from'>; hour: Omit<Tally, 'from'> };
  latency: { inbound: Latency | null; outbound: Latency | null };
  suspended: { reason: string; who: string; messages: number }[];
  events: FollowedEvent[];
}

function sum(spans: readonly Tally[]): Omit<Tally, 'from'> {
  const total = { received: 0, delivered: 0, queued: 0, sent: 0, suspended: { inbound: 0, outbound: 0 } };
  for (const each of spans) {
    total.received += each.received;
    total.delivered += each.delivered;
    total.queued += each.queued;
    total.sent += each.sent;
    total.suspended.inbound += each.suspended.inbound;
    total.suspended.outbound += each.suspended.outbound;
  }
  return total;
}

async function snapshotOf(queue: QueueRoom, now: number): Promise<Snapshot> {
  const { ledger, queues, events } = queue;
  const [alive, depth, { spans, latency }, { groups }, page] = await Promise.all([
    readHeartbeats(queue),
    queues.depth(),
    ledger.tallies(now - 60 * minutes, now),
    ledger.suspended(),
    // what is recorded of the last minutes; ids of a stream begin with the time
    events.read(`${now - 10 * minutes}-0`),
  ]);
  const waiting = await Promise.all(
    waitingStates.map(async (state) => [state, await ledger.waiting(state)] as const),
  );
  const roles: Record<string, number> = {};
  for (const { role } of alive) roles[role] = (roles[role] ?? 0) + 1;
  const counted = new Map<string, { reason: string; who: string; messages: number }>();
  for (const { reason, mailbox, partner, messages } of groups) {
    const who = partner ?? mailbox ?? '-';
    const group = counted.get(`${reason} ${who}`) ?? { reason, who, messages: 0 };
    group.messages += messages;
    counted.set(`${reason} ${who}`, group);
  }
  const recentFrom = now - 20 * minutes;
  return {
    at: new Date(now).toISOString(),
    roles,
    refusing: [...new Set(alive.flatMap(({ host, refusing }) => (refusing ? [`${host}: ${refusing}`] : [])))],
    troubles: alive.flatMap(({ troubles = [] }) =>
      troubles.map(({ what, since, why }) => `${what}, for ${span(Math.max(0, now - since))}: ${why}`),
    ),
    queues: depth,
    waiting: Object.fromEntries(waiting),
    flow: { recent: sum(spans.filter(({ from }) => from >= recentFrom)), hour: sum(spans) },
    latency,
    suspended: [...counted.values()].sort((a, b) => b.messages - a.messages).slice(0, mostGroups),
    events: page.events.slice(-mostEvents).reverse(),
  };
}

const plain = (...texts: (string | number)[]): Cell[] => texts.map((text) => ({ text: String(text) }));
const latencyText = (found: Latency | null) =>
  found === null ? '-' : `half within ${span(found.p50)}, 99 of 100 within ${span(found.p99)}`;

function linesOf(shown: Snapshot, now: number): Piece[][] {
  const { roles, refusing, troubles, queues, waiting, flow, latency, suspended, events } = shown;
  const alive = Object.entries(roles).map(([role, count]) => (count === 1 ? role : `${role} ${count}`));
  const state = (name: string, found: { messages: number; oldest: number | null } | undefined): Cell[] => {
    const bad = name === 'suspended' && (found?.messages ?? 0) > 0;
    const oldest =
      found?.oldest === null || found === undefined ? '-' : span(Math.max(0, now - found.oldest));
    return [
      { text: name, ...(bad && { style: 'bad' as const }) },
      { text: String(found?.messages ?? 0) },
      { text: oldest },
    ];
  };
  const row = (name: string, each: Omit<Tally, 'from'>) =>
    plain(
      name,
      each.received,
      each.delivered,
      each.queued,
      each.sent,
      each.suspended.inbound + each.suspended.outbound,
    );
  const right = (title: string) => ({ title, right: true });
  const none: Piece[] = [];
  return [
    [
      { text: `sealpost  ${stamp(now)}  `, style: 'heading' },
      alive.length === 0 ? { text: 'no role is alive', style: 'bad' } : { text: alive.join(', ') },
    ],
    ...[...refusing.map((text) => `refuses: ${text}`), ...troubles.map((text) => `fails: ${text}`)].map(
      (text): Piece[] => [{ text, style: 'bad' }],
    ),
    none,
    ...tableLines(
      [{ title: 'MESSAGES' }, right('NUMBER'), right('OLDEST')],
      waitingStates.map((name) => state(name, waiting[name])),
    ),
    none,
    ...tableLines(
      [{ title: 'QUEUE' }, right('WAITING'), right('ACTIVE'), right('DELAYED')],
      Object.entries(queues).map(([name, each]) => plain(name, each.waiting, each.active, each.delayed)),
    ),
    none,
    ...tableLines(
      [{ title: 'FLOW' }, ...['RECEIVED', 'DELIVERED', 'QUEUED', 'SENT', 'SUSPENDED'].map(right)],
      [row('20 min', flow.recent), row('1 h', flow.hour)],
    ),
    [
      {
        text: `inbound: ${latencyText(latency.inbound)}; outbound: ${latencyText(latency.outbound)}`,
        style: 'quiet',
      },
    ],
    ...(suspended.length === 0
      ? []
      : [
          none,
          ...tableLines(
            [{ title: 'SUSPENDED' }, { title: 'WHO', least: 8 }, right('NUMBER')],
            suspended.map(({ reason, who, messages }) => plain(reason, who, messages)),
          ),
        ]),
    ...(events.length === 0
      ? []
      : [
          none,
          ...tableLines(
            [
              { title: 'TIME' },
              { title: 'EVENT' },
              { title: 'ID', least: shortId, bare: true },
              { title: 'WHO', least: 8 },
              { title: 'REASON', least: 8 },
            ],
            events.map(({ event: { at, type, facts }, record }) =>
              plain(
                stamp(at).slice(11),
                type,
                record.id,
                record.partner ?? record.mailbox ?? '-',
                String(facts.reason ?? ''),
              ),
            ),
          ),
        ]),
  ];
}

/** Keeping the record of events costs a little with each message; it is kept while somebody watches. */
const keepEvery = 60 * minutes;

async function top(options: { config: string; json?: boolean }): Promise<void> {
  await withQueue(await loadConfig(options.config), async (queue) => {
    if (options.json || terminal() === undefined) {
      const now = Date.now();
      const shown = await snapshotOf(queue, now);
      if (options.json)
        printJson(
          { ...shown, events: shown.events.map(({ event, record }) => ({ ...event, id: record.id })) },
          2,
        );
      else for (const line of linesOf(shown, now)) printPieces(line);
      return;
    }
    let kept = 0;
    await onScreen(async () => {
      const now = Date.now();
      if (now - kept > keepEvery) {
        await queue.events.keep();
        kept = now;
      }
      const lines = linesOf(await snapshotOf(queue, now), now);
      return [...lines, [], [{ text: `every ${plural(2, 'second')}; Ctrl-C ends it`, style: 'quiet' }]];
    });
  });
}

export function topCommand(): Command {
  return new Command('top')
    .addOption(configOption())
    .option('--json', 'print one snapshot as JSON')
    .action(top);
}
