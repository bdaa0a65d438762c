/** What is in a bundle for the maintainers: each section by allow-list, nothing that was chosen freely. */

import { statfs } from 'node:fs/promises';
import { cpus, freemem, platform, release, totalmem } from 'node:os';
import { type Config, checkConfig, loadConfig, loadShareable } from '../../config/index.ts';
import { readHeartbeats } from '../../daemon/index.ts';
import { errorCodes, toErrorInfo } from '../../errors.ts';
import type { MessageRecord, QueueRoom } from '../../queue/index.ts';
import { type LogSources, readLog } from '../log-lines.ts';
import { withQueue } from '../queue.ts';
import { ownPartOf, ownText } from './own-words.ts';

export interface Section {
  name: string;
  /** What is in it, and what is not. */
  about: string;
  content: unknown;
}

const codeOf = (error: unknown) => ({ error: toErrorInfo(error).code });

function program(version: string): Section {
  const { versions, arch } = process;
  return {
    name: 'program',
    about: 'versions of Sealpost, Node.js and OpenSSL, the kernel, processors and memory',
    content: {
      sealpost: version,
      node: versions.node,
      openssl: versions.openssl,
      platform: platform(),
      release: /^[\d.]+/.exec(release())?.[0] ?? null,
      arch,
      processors: cpus().length,
      memory: { total: totalmem(), free: freemem() },
    },
  };
}

async function settings(file: string): Promise<{ section: Section; config: Config | undefined }> {
  const section = (content: unknown): Section => ({
    name: 'settings',
    about:
      'numbers, switches and choices; of names, hosts, addresses, paths and secrets only that they are set',
    content,
  });
  try {
    const config = await loadConfig(file);
    const { shareable } = await loadShareable();
    return { section: section(shareable(config)), config };
  } catch (error) {
    return { section: section(codeOf(error)), config: undefined };
  }
}

async function problems(file: string): Promise<Section> {
  const { shareableSetting } = await loadShareable();
  const found = await checkConfig(file, {}).catch(codeOf);
  return {
    name: 'problems',
    about: 'what sealpost check finds: the setting and the kind of problem, without its words',
    content: Array.isArray(found)
      ? found.map(({ severity, setting, line, message }) => ({
          severity,
          setting: shareableSetting(setting),
          line,
          message: ownText(message),
        }))
      : found,
  };
}

/** Lines of Redis's INFO that are numbers and settings of the server. */
const infoFields = [
  ...[
    'redis_version',
    'valkey_version',
    'redis_mode',
    'uptime_in_seconds',
    'connected_clients',
    'blocked_clients',
  ],
  ...['used_memory', 'used_memory_peak', 'maxmemory', 'maxmemory_policy', 'mem_fragmentation_ratio'],
  ...[
    'aof_enabled',
    'aof_last_write_status',
    'aof_last_bgrewrite_status',
    'rdb_last_bgsave_status',
    'loading',
  ],
  ...['total_commands_processed', 'instantaneous_ops_per_sec', 'rejected_connections', 'evicted_keys'],
  ...['expired_keys', 'role', 'connected_slaves', 'latest_fork_usec', 'cluster_enabled'],
];

async function redis({ redis }: QueueRoom): Promise<unknown> {
  const lines = (await redis.info()).split(/\r?\n/).map((line) => line.split(':'));
  return Object.fromEntries(
    lines
      .filter(([name = '', value = '']) => infoFields.includes(name) && /^[\w.-]{1,40}$/.test(value))
      .map(([name, value]) => [name, value]),
  );
}

async function work(queue: QueueRoom): Promise<unknown> {
  const [alive, depth, states, clock] = await Promise.all([
    readHeartbeats(queue),
    queue.queues.depth(),
    queue.ledger.count(),
    queue.clock(),
  ]);
  const reasons = await Promise.all(
    errorCodes.map(async (code) => [code, await queue.redis.zcard(`${queue.prefix}:ix:x:${code}`)] as const),
  );
  return {
    roles: alive.map(({ role, at, refusing, troubles }) => ({
      role,
      at: new Date(at).toISOString(),
      refuses: refusing !== null,
      troubles: troubles?.length ?? 0,
    })),
    queues: depth,
    messages: states,
    suspended: Object.fromEntries(reasons.filter(([, count]) => count > 0)),
    clock: { jump: clock.jump?.seconds ?? null, ahead: clock.ahead },
  };
}

/** Suspended messages that are looked at. */
const mostMessages = 50;

/** The course of a message: kinds of events and codes, no facts. */
function courseOf({ direction, state, reason, octets, events }: MessageRecord): object {
  const known = (code: unknown) => errorCodes.find((each) => each === code) ?? null;
  return {
    direction,
    state,
    reason: known(reason),
    octets,
    events: events.map(({ type, at, facts }) => ({
      type,
      at: new Date(at).toISOString(),
      reason: known(facts.reason),
    })),
  };
}

async function suspended({ ledger }: QueueRoom): Promise<unknown> {
  const { messages } = await ledger.list({ state: 'suspended', limit: mostMessages });
  return messages.map(courseOf);
}

async function disk({ dataDir }: Config): Promise<Section> {
  const about = 'room on the file system of the data folder';
  const found = await statfs(dataDir).then(
    ({ bsize, blocks, bavail, files, ffree }) => ({
      octets: bsize * blocks,
      free: bsize * bavail,
      files,
      filesFree: ffree,
    }),
    codeOf,
  );
  return { name: 'disk', about, content: found };
}

/** Lines of the log that are kept: the last ones. */
const mostLines = 5000;

async function log(sources: Omit<LogSources, 'since'>): Promise<Section> {
  const lines: object[] = [];
  for await (const { at, fields } of readLog({ ...sources, since: Date.now() - 86_400_000 })) {
    lines.push(ownPartOf(at, fields));
    if (lines.length > 2 * mostLines) lines.splice(0, mostLines);
  }
  return {
    name: 'log',
    about: `the last ${mostLines} lines of the log: time, role, level, the program's own words and codes; no other field`,
    content: lines.slice(-mostLines),
  };
}

export interface SectionOptions extends Omit<LogSources, 'since'> {
  config: string;
  version: string;
}

/** All sections, in the order in which they are written. Nothing that fails here hides the others. */
export async function sectionsOf({ config: file, version, ...sources }: SectionOptions): Promise<Section[]> {
  const { section, config } = await settings(file);
  const sections = [program(version), section, await problems(file)];
  if (config !== undefined) {
    sections.push(await disk(config));
    const parts: [string, string, (queue: QueueRoom) => Promise<unknown>][] = [
      ['redis', 'versions, memory and durability of Redis, as its INFO has them', redis],
      ['work', 'roles, queues, and how many messages there are in which state and for which reason', work],
      [
        'messages',
        `the newest ${mostMessages} suspended messages: events, times and codes, without ids and facts`,
        suspended,
      ],
    ];
    await withQueue(config, async (queue) => {
      for (const [name, about, read] of parts)
        sections.push({ name, about, content: await read(queue).catch(codeOf) });
    }).catch((error: unknown) => {
      sections.push({ name: 'redis', about: 'why Redis could not be asked', content: codeOf(error) });
    });
  }
  if (sources.log !== undefined || sources.journal !== undefined) sections.push(await log(sources));
  return sections;
}
