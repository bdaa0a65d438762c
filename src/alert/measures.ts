/** How each condition is measured. Null: the value is not known now, and nothing changes. */
import type { AlertCondition } from '../config/alert-conditions.ts';
import type { AlertRule } from '../config/alert-rules.ts';
import type { Config } from '../config/index.ts';
import { type Heartbeat, hasWork, type Measured, roleNames, type Trouble } from '../daemon/index.ts';
import { errorRow } from '../errors.ts';
import {
  type DownRoute,
  destinationRoute,
  type Ledger,
  type MessageRecord,
  type QueueRoom,
  type SuspendedGroup,
} from '../queue/index.ts';
import { certificateSamples } from './certificates.ts';
import type { FailureCount } from './failures.ts';
import { agoText, plural } from './text.ts';
import type { Labels, Sample } from './types.ts';

/** What is read once for all rules of a round. */
export interface Sources {
  /** Milliseconds since the epoch. */
  now: number;
  config: Config;
  queue: Pick<QueueRoom, 'ledger' | 'redis' | 'prefix' | 'partnerNames' | 'routes'>;
  heartbeats: readonly Heartbeat[];
  metrics: readonly Measured[];
  down: readonly DownRoute[];
  failures: FailureCount | undefined;
  /** When each role was last seen, by this process and those before it, in milliseconds since the epoch. */
  roleSeen: ReadonlyMap<string, number>;
  /** Ends what takes long: nobody waits for it when the process ends. */
  signal: AbortSignal;
}

type Measure = (rule: AlertRule, sources: Sources) => Promise<Sample[] | null> | Sample[] | null;

export const measures: Readonly<Record<AlertCondition, Measure>> = {
  suspended: async (rule, { queue }) => {
    const { groups, more } = await queue.ledger.suspended();
    return suspendedSamples(rule, groups, more);
  },
  waiting: async (rule, sources) => waitingSamples(rule, sources, await underWay(sources)),
  overdue: async (rule, sources) => await overdueSamples(rule, sources, await underWay(sources)),
  mailbox: (_, sources) => mailboxSamples(sources),
  route: (_, { down, now }) => down.map((route) => routeSample(route, now)),
  role: (_, sources) => roleSamples(sources),
  trouble: (_, { heartbeats, now }) =>
    latest(
      heartbeats.flatMap((beat) =>
        (beat.troubles ?? [])
          .filter(({ mailbox, certificate }) => mailbox === undefined && certificate === undefined)
          .map((trouble) => ({ labels: { trouble: trouble.what, host: beat.host }, trouble })),
      ),
      now,
    ),
  refusing: (_, { heartbeats }) => refusingSamples(heartbeats),
  certificate: (_, sources) => certificateSamples(sources),
  disk: (_, { metrics }) => diskSamples(metrics),
  memory: (_, { metrics, config }) => memorySamples(metrics, config),
  silent: (_, sources) => silentSamples(sources),
  failures: (rule, { failures }) => failureSamples(rule, failures),
};

/** Whether something belongs to the subject of a rule. */
function isMeant(
  { only }: AlertRule,
  facts: { mailbox: string | null; partner: string | null; reason?: string | null },
) {
  const among = (wanted: readonly string[] | undefined, value: string | null | undefined) =>
    wanted === undefined || wanted.some((each) => each.toLowerCase() === (value ?? '').toLowerCase());
  return (
    among(only.mailboxes, facts.mailbox) &&
    among(only.partners, facts.partner) &&
    (typeof facts.reason !== 'string' || among(only.reasons, facts.reason))
  );
}

interface Groupable {
  direction: 'inbound' | 'outbound';
  mailbox: string | null;
  partner: string | null;
  reason?: string | null;
}

/** The labels by which a rule groups. Labels without a value are left out. */
function labelsOf({ by }: AlertRule, facts: Groupable): Labels {
  return Object.fromEntries(
    by.flatMap((group) => {
      const value = facts[group];
      return value ? [[group, value]] : [];
    }),
  );
}

/** In words: `from acme in mailbox orders`. */
function placeText({ direction, mailbox, partner }: Labels): string {
  const who = partner === undefined ? '' : direction === 'outbound' ? ` for ${partner}` : ` of ${partner}`;
  return `${who}${mailbox === undefined ? '' : ` in mailbox ${mailbox}`}`;
}

/** Things grouped by their labels, in the order in which they came. */
function grouped<T extends Groupable>(rule: AlertRule, all: readonly T[]): { labels: Labels; all: T[] }[] {
  const found = new Map<string, { labels: Labels; all: T[] }>();
  for (const each of all) {
    const labels = labelsOf(rule, each);
    const key = JSON.stringify(labels);
    const group = found.get(key) ?? { labels, all: [] };
    found.set(key, group);
    group.all.push(each);
  }
  return [...found.values()];
}

function suspendedSamples(rule: AlertRule, groups: readonly SuspendedGroup[], more: boolean): Sample[] {
  const meant = groups.filter((each) => isMeant(rule, each));
  return grouped(rule, meant).map(({ labels, all }) => {
    const value = all.reduce((sum, { messages }) => sum + messages, 0);
    const row = labels.reason === undefined ? undefined : errorRow(labels.reason);
    const many = more ? `${value} or more messages` : plural(value, 'message');
    const why = labels.reason === undefined ? '' : `: ${row?.cause ?? labels.reason} (${labels.reason})`;
    const waits = value === 1 ? 'waits' : 'wait';
    return {
      ...{ labels, value, hint: row?.remedy },
      text: `${many}${placeText(labels)} ${waits} for a person${why}`,
    };
  });
}

/** How many messages of each step are looked at, the oldest ones. */
const mostOldest = 500;

/** A message that has not reached its end, and since when it could have gone on. */
interface UnderWay {
  record: MessageRecord;
  /** Milliseconds since the epoch: when it arrived, or when it may leave. */
  from: number;
  /** When its next attempt is planned; 0 if it waits for its turn; null if no job of it is queued. */
  due: number | null;
}

async function underWay({ queue, now }: Sources): Promise<UnderWay[]> {
  const { ledger } = queue;
  const states = ['received', 'decoded', 'queued'] as const;
  const records = (await Promise.all(states.map((state) => ledger.oldest(state, mostOldest)))).flat();
  const due = await ledger.due(records.map(({ id }) => id));
  return records.flatMap((record, at) => {
    const next = due[at] ?? null;
    const failed = record.events.at(-1)?.type === 'retried';
    // It waits for a window or for a time that the client named; nothing has failed.
    if (!failed && next !== null && next > now + 60_000) return [];
    const from = Math.max(record.receivedAt, record.delivery?.notBefore ?? 0);
    return from > now ? [] : [{ record, from, due: next }];
  });
}

function waitingSamples(rule: AlertRule, { now }: Sources, all: readonly UnderWay[]): Sample[] {
  const oldest = all
    .filter(({ record }) => isMeant(rule, record))
    .sort((a, b) => a.from - b.from)
    .map(({ record, from }) => ({ ...groupable(record), id: record.id, from }));
  return grouped(rule, oldest).flatMap(({ labels, all: [first] }) => {
    if (first === undefined) return [];
    const value = now - first.from;
    const text = `the oldest message${placeText(labels)} has waited for ${agoText(value)} (${first.id})`;
    return [{ labels, value, text, hint: `See sealpost messages show ${first.id}.` }];
  });
}

async function overdueSamples(
  rule: AlertRule,
  sources: Sources,
  all: readonly UnderWay[],
): Promise<Sample[]> {
  const { now, down } = sources;
  const isDown = ({ direction, partner, mailbox }: MessageRecord) =>
    down.some((route) => (direction === 'outbound' ? route.partner === partner : route.mailbox === mailbox));
  const ready = all.filter(
    ({ record, due }) => due !== null && due <= now && isMeant(rule, record) && !isDown(record),
  );
  const isPaused = await pausedWays(
    sources,
    ready.map(({ record }) => record),
  );
  const late = ready
    .filter(({ record }) => !isPaused(record))
    .map(({ record, from, due }) => ({
      ...groupable(record),
      id: record.id,
      // its last event, or the planned time
      from: Math.max(from, record.updatedAt, due ?? 0),
    }))
    .sort((a, b) => a.from - b.from);
  return grouped(rule, late).flatMap(({ labels, all: [first] }) => {
    if (first === undefined) return [];
    const value = now - first.from;
    const text = `a message${placeText(labels)} could have gone on ${agoText(value)} ago (${first.id})`;
    return [{ labels, value, text, hint: 'Look at sealpost health: is the role there, and is it busy?' }];
  });
}

/** Whether a person has paused the message's route or one of its destinations. */
async function pausedWays(
  { config, queue: { routes, partnerNames } }: Sources,
  records: readonly MessageRecord[],
): Promise<(record: MessageRecord) => boolean> {
  const names = (all: readonly (string | null)[]) => [...new Set(all.filter((each) => each !== null))];
  const partners = names(
    records.map(({ direction, partner }) => (direction === 'outbound' ? partner : null)),
  );
  // A message that is not decoded yet waits for no destination.
  const mailboxes = names(records.map(({ state, mailbox }) => (state === 'decoded' ? mailbox : null)));
  const ways = config.mailboxes
    .filter(({ name }) => mailboxes.includes(name))
    .flatMap(({ name, destinations }) => destinations.map((each) => destinationRoute(name, each)));
  const keys = partners.map((name) => partnerNames.key(name));
  const [ofPartners, ofDestinations] = await Promise.all([
    routes.paused('partner', keys),
    routes.paused(
      'destination',
      ways.map(({ name }) => name),
    ),
  ]);
  const paused = new Set([
    ...partners.filter((_, at) => ofPartners[at]).map((name) => `outbound ${name}`),
    ...ways.filter((_, at) => ofDestinations[at]).map(({ mailbox }) => `decoded ${mailbox}`),
  ]);
  return ({ direction, state, partner, mailbox }) =>
    paused.has(direction === 'outbound' ? `outbound ${partner}` : `${state} ${mailbox}`);
}

function groupable({ direction, mailbox, partner }: MessageRecord): Groupable {
  return { direction, mailbox, partner };
}

/** One sample for each set of labels. The trouble that began first gives the text. */
function latest(all: readonly { labels: Labels; trouble: Trouble }[], now: number): Sample[] {
  const found = new Map<string, { labels: Labels; trouble: Trouble }>();
  for (const each of all) {
    const key = JSON.stringify(each.labels);
    const known = found.get(key);
    if (known === undefined || each.trouble.since < known.trouble.since) found.set(key, each);
  }
  return [...found.values()].map(({ labels, trouble }) => {
    const value = Math.max(0, now - trouble.since);
    return { labels, value, text: `${trouble.what} fails since ${agoText(value)}: ${trouble.why}` };
  });
}

function mailboxSamples({ heartbeats, config, now }: Sources): Sample[] | null {
  if (!config.mailboxes.some(({ imap }) => imap)) return [];
  // The process that would report it is gone; another alert says so.
  if (!heartbeats.some(({ role }) => role === 'receive')) return null;
  const failing = heartbeats.flatMap(({ troubles = [] }) =>
    troubles.flatMap((trouble) =>
      trouble.mailbox === undefined ? [] : [{ labels: { mailbox: trouble.mailbox }, trouble }],
    ),
  );
  return latest(failing, now).map((sample) => ({ ...sample, hint: errorRow('imap-failed')?.remedy }));
}

function routeSample(
  { queue, mailbox, destination, partner, since, reason, why }: DownRoute,
  now: number,
): Sample {
  const value = Math.max(0, now - since);
  const labels = {
    ...(partner !== null && { partner }),
    ...(mailbox !== null && { mailbox }),
    ...(destination !== null && { destination }),
    ...(queue === 'outbound' && { direction: 'outbound' }),
  };
  const what =
    destination === null
      ? `the route to ${partner}`
      : `destination ${destination} of ${mailbox === null ? `partner ${partner}` : `mailbox ${mailbox}`}`;
  return {
    ...{ labels, value, hint: errorRow(reason)?.remedy },
    text: `${what} is down since ${agoText(value)}: ${why}`,
  };
}

function roleSamples({ config, heartbeats, roleSeen, now }: Sources): Sample[] {
  return roleNames.flatMap((role) => {
    if (!hasWork(role, config) || heartbeats.some((beat) => beat.role === role)) return [];
    const value = now - Math.min(now, roleSeen.get(role) ?? now);
    const text = `no process of the role ${role} has given a sign of life for ${agoText(value)}`;
    return [
      { labels: { role }, value, text, hint: 'Look at the log of its machine, and at sealpost health.' },
    ];
  });
}

function refusingSamples(heartbeats: readonly Heartbeat[]): Sample[] {
  const hosts = new Map<string, { processes: number; why: string }>();
  for (const { host, refusing } of heartbeats) {
    if (refusing === null) continue;
    hosts.set(host, { processes: (hosts.get(host)?.processes ?? 0) + 1, why: refusing });
  }
  return [...hosts].map(([host, { processes, why }]) => ({
    ...{ labels: { host }, value: processes },
    text: `nothing new is accepted on ${host}: ${why}`,
  }));
}

function metricOf(metrics: readonly Measured[], name: string, instance: string): number | undefined {
  return metrics.find((each) => each.name === name && each.instance === instance)?.value;
}

/** Processes on one machine see the same disk. */
function diskSamples(metrics: readonly Measured[]): Sample[] | null {
  const hosts = new Map<string, Sample>();
  for (const { name, instance, value: free } of metrics) {
    if (name !== 'disk_free_octets') continue;
    const limit = metricOf(metrics, 'disk_limit_octets', instance);
    if (!limit) continue;
    const host = instance.slice(0, instance.lastIndexOf(':'));
    const value = Math.round((100 * free) / limit) / 100;
    const known = hosts.get(host);
    if (known !== undefined && known.value <= value) continue;
    const text = `the disk of ${host} has ${megabytes(free)} left; below ${megabytes(limit)}, nothing new is accepted`;
    hosts.set(host, { labels: { host }, value, text, hint: 'Make room, or let what waits go on.' });
  }
  return hosts.size === 0 ? null : [...hosts.values()];
}

function memorySamples(metrics: readonly Measured[], { limits }: Config): Sample[] | null {
  let worst: Sample | null = null;
  for (const { name, instance, value: used } of metrics) {
    if (name !== 'redis_memory_octets') continue;
    const most = metricOf(metrics, 'redis_memory_limit_octets', instance);
    if (!most) continue;
    const value = Math.round((10_000 * used) / (most * limits.redisMemory));
    const percent = Math.round((100 * used) / most);
    const text = `Redis uses ${percent} percent of its memory; at ${limits.redisMemory}, nothing new is accepted`;
    const hint = 'Give Redis more memory, keep fewer records (retention), or let what waits go on.';
    if (worst === null || value > worst.value) worst = { labels: {}, value, text, hint };
  }
  return worst === null ? null : [worst];
}

const megabytes = (octets: number) => `${Math.round(octets / 1024 ** 2)} MiB`;

function failureSamples({ least }: AlertRule, failures: FailureCount | undefined): Sample[] | null {
  if (failures?.before === undefined) return null;
  const { last, before } = failures;
  // If there were none, the factor is applied to one.
  const value = last < least ? 0 : Math.round((10 * last) / Math.max(1, before)) / 10;
  const text = `${plural(last, 'attempt')} failed in the last hour; in the same hour of last week ${before}`;
  return [
    { labels: {}, value, text, hint: 'Look at the log, and at sealpost messages list --state suspended.' },
  ];
}

const day = 86_400_000;
const week = 7 * day;
/**
 * Milliseconds: how far back mail is looked for, both before now and before the same time in each of the previous
 * weeks.
 */
const span = 26 * 3_600_000;
/** How many milliseconds later than in previous weeks mail may arrive. */
const grace = 3 * 3_600_000;
/** On how many days of the week before there must have been mail. */
const mostDays = 4;

export interface SilentSources extends Pick<Sources, 'now' | 'signal'> {
  config: Pick<Config, 'partners'>;
  queue: { ledger: Pick<Ledger, 'list'> };
}

/** Partners that are expected to send now, with the time since their last mail. It throws when it is ended. */
export async function silentSamples({ now, config, queue, signal }: SilentSources): Promise<Sample[]> {
  const { ledger } = queue;
  const lastBefore = async (partner: string, since: number, until: number) => {
    const { messages } = await ledger.list({ partner, direction: 'inbound', since, until, limit: 1 });
    return messages[0]?.receivedAt;
  };
  const sampleOf = async (partner: string): Promise<Sample[]> => {
    const last = await lastBefore(partner, now - week - span, now + 1);
    if (last === undefined || now - last <= span / 2) return [];
    for (const weeks of [1, 2]) {
      const then = now - weeks * week - grace;
      if ((await lastBefore(partner, then - span, then)) === undefined) return [];
    }
    let days = 0;
    for (let back = 1; back <= 7; back++) {
      const end = now - span - (back - 1) * day;
      if ((await lastBefore(partner, end - day, end)) !== undefined) days += 1;
    }
    if (days < mostDays) return [];
    const value = now - last;
    const hint = 'Ask the partner whether it has sent, and look at your mail server.';
    return [
      { labels: { partner }, value, text: `nothing has come from ${partner} for ${agoText(value)}`, hint },
    ];
  };
  const found: Sample[] = [];
  // One after the other: there may be thousands, and nobody waits for the result.
  for (const { name } of config.partners) {
    signal.throwIfAborted();
    found.push(...(await sampleOf(name)));
  }
  return found;
}
