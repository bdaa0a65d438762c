/** The queue room, composed: one connection for calls that must answer in time, and workers' connections on demand. */
import type { Redis } from 'ioredis';
import { type Config, PartnerNames, partnerKey } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import { type Log, roomLog } from '../log.ts';
import {
  checkReplicas,
  connect,
  disconnect,
  ensureDurability,
  ensureReplicas,
  guarded,
  lifetimes,
  loadDurableWrites,
  privateServerUrl,
  ready,
  redisError,
  redisTarget,
} from '../redis/index.ts';
import {
  deriveKey,
  type LargeStore,
  loadSpoolKey,
  openLargeStore,
  openValue,
  type Spool,
  type SpoolKey,
  sealValue,
  TieredSpool,
} from '../spool/index.ts';
import { RedisAudit } from './audit.ts';
import { type ClockFacts, ClockWatch, readClockFacts } from './clock-watch.ts';
import type { Events } from './event-types.ts';
import { RedisEvents } from './events.ts';
import { RedisFlow } from './flow.ts';
import { type InboundGuards, RedisInboundGuards } from './inbound-guards.ts';
import { RedisIntake } from './intake.ts';
import { type Keys, keysOf } from './keys.ts';
import { RedisLedger } from './ledger.ts';
import type { Ledger } from './ledger-types.ts';
import { Pressure } from './pressure.ts';
import { openQueues, prepareQueues } from './queues.ts';
import { RedisReplays } from './replays.ts';
import { refuseRestored } from './restored.ts';
import type { Routes } from './route-types.ts';
import { RedisRoutes } from './routes.ts';
import { type SubjectParts, subjectsOf } from './subjects.ts';
import { type SweepResult, sweep } from './sweep.ts';
import type { Audit, Flow, Intake, Queues, Replays } from './types.ts';

export interface QueueRoom {
  /** Prefix of all keys. */
  prefix: string;
  /** A connection that fails fast. */
  redis: Redis;
  spool: Spool;
  ledger: Ledger;
  intake: Intake;
  flow: Flow;
  guards: InboundGuards;
  /** Messages that wait for certificates and keys. */
  replays: Replays;
  /** What people did. */
  audit: Audit;
  /** What happens to messages, as it happens. */
  events: Events;
  /** Pauses and states of mailboxes, routes to partners and destinations. */
  routes: Routes;
  queues: Queues;
  /** Present names of partners, and the keys that their mail and records have. */
  partnerNames: PartnerNames;
  sweep(): Promise<SweepResult>;
  /** Jumps of clocks, and what they would have delayed. Errors: `redis-unreachable`. */
  clock(): Promise<ClockFacts>;
  /** A key of 32 octets for a separate purpose, derived from the spool key (HKDF, RFC 5869). */
  deriveKey(purpose: string): Buffer;
  /** Another connection to the same store, which the caller closes. `prefix` if its keys have a different one. */
  connect(name: string, prefix?: string): Redis;
  /**
   * Resolves when the required number of replicas have a key; at once if none is required. Errors: `redis-unreachable`.
   */
  ensureReplicated(connection: Redis, key: string): Promise<void>;
  /** Seals a small JSON value. It opens only with the same `context`, which says what it is. */
  seal(context: string, value: unknown): Buffer;
  /** Errors: `spool-corrupt` if it was changed or is for another context. */
  unseal(context: string, sealed: Buffer): unknown;
  /** Closes every connection, workers included. Idempotent. */
  close(): Promise<void>;
}

export interface OpenOptions {
  /** Name of the process in the connection's name. */
  role: string;
  log: Log;
  /** Whether to check the server's durability settings; false for commands that only read. Default: true. */
  checkDurability?: boolean;
  /** Whether to sweep regularly in this process, and watch the clocks. Default: false. */
  sweep?: boolean;
  /** Called when a job has ended, and when messages were accepted. */
  onWork?: () => void;
  /** The time of day, in milliseconds since the epoch. Default: this machine's. */
  now?: () => number;
}

const sweepEvery = lifetimes.sweepLease + 1000;
/** Milliseconds until the first sweep, because leftovers of a crash should not wait for the next one. */
const sweepFirst = 10_000;

/**
 * Opens the room: `redis.url`, or the private server of the data folder (which must be running). Errors:
 * `redis-unreachable`, `redis-not-durable`, `spool-corrupt` (the key is not the one that sealed the existing data),
 * `config-invalid`, `file-access`, `file-mode`.
 */
export async function openQueue(config: Config, options: OpenOptions): Promise<QueueRoom> {
  const { onWork, now = Date.now } = options;
  const log = roomLog(options.log, 'queue');
  const wire = roomLog(options.log, 'redis');
  const { ensureReplicated, ensureWaitAof, primaryWrites, ReplicatedWrites } = await loadDurableWrites();
  const key = await loadSpoolKey(config.spool, config.dataDir);
  const url = config.redis.url ?? (await privateServerUrl(config.dataDir));
  const target = redisTarget(config.redis, url);
  const keys = keysOf(config.redis.prefix);
  const { durability } = config.redis;
  const replicas = config.redis.replicas ?? (target.url === undefined ? 1 : 0);
  const redis = connect(target, 'producer', wire, options.role);
  const writer = replicas > 0 ? connect(target, 'producer', wire, `${options.role}-kept`) : undefined;
  try {
    await ready(redis, target);
    if (writer) await ready(writer, target);
    if (writer && config.redis.acknowledge === 'disk') await ensureWaitAof(writer);
    if (options.checkDurability ?? true) {
      await ensureDurability(redis, durability, wire);
      if (replicas > 0 || target.url === undefined)
        await ensureReplicas(await checkReplicas(redis, target, wire), { durability, replicas }, wire);
    }
    await checkKey(redis, keys, key);
    if (options.sweep) await refuseRestored({ redis, prefix: keys.prefix });
    await prepareQueues(redis, keys);
  } catch (error) {
    if (writer) await disconnect(writer);
    await disconnect(redis);
    throw error;
  }

  const store = await openLargeStore(config, key, roomLog(options.log, 'spool'));
  const spool = new TieredSpool({ redis, keys, key, store, inlineLimit: config.spool.inlineLimit });
  const partnerNames = new PartnerNames(config.partners);
  const sealing: SubjectParts = {
    seal: (context, value) => sealValue(key, context, value),
    unseal: (context, sealed) => openValue(key, context, sealed),
  };
  const subjects = subjectsOf(sealing);
  const ledger = new RedisLedger(redis, keys, partnerNames, async () => subjects);
  const { retention, retry } = config;
  const repeating = new Set(
    config.mailboxes.filter(({ duplicates }) => duplicates === 'deliver').map(({ name }) => name),
  );
  const identity = new Map(config.mailboxes.map(({ name, duplicatesBy }) => [name, duplicatesBy]));
  const { queue: limits, redisMemory, diskFree } = config.limits;
  const watched = config.spool.directory ?? config.dataDir;
  const trouble = () => store.trouble();
  const pressure = new Pressure({ redis, keys, log, folder: watched, redisMemory, diskFree, store: trouble });
  await pressure.start();
  const { duplicates } = retention;
  // another batch may be in progress, and both together must fit into the time that a sender waits
  const timeout = Math.round(target.commandTimeout / 2);
  const waiting = { replicas, timeout, disk: config.redis.acknowledge === 'disk' };
  const writes = writer
    ? new ReplicatedWrites({ redis: writer, prefix: keys.prefix, ...waiting })
    : primaryWrites(redis, keys.prefix);
  const inOrder = (...orders: string[]) =>
    new Set(config.partners.filter(({ order }) => orders.includes(order)).map(partnerKey));
  const intake = new RedisIntake({
    names: partnerNames,
    ordered: inOrder('stop', 'skip'),
    now,
    writes,
    spool,
    subjects,
    duplicates,
    repeating,
    identity,
    limits,
    pressure,
    deriveKey: (purpose) => deriveKey(key, purpose),
    onWork,
  });
  const audit = new RedisAudit(redis, keys);
  const reports = ({ onSuspend }: { onSuspend?: unknown }) => onSuspend !== undefined;
  const reported = {
    inbound: new Set(config.mailboxes.filter(reports).map(({ name }) => name)),
    outbound: new Set(config.partners.filter(reports).map(partnerKey)),
  };
  const flow = new RedisFlow({
    now,
    redis,
    keys,
    writes,
    spool,
    subjects,
    keepOriginal: retention.original,
    reported,
    stops: inOrder('stop'),
  });
  const onFailure = (err: unknown) => log.debug({ err }, 'what is paused could not be looked at');
  const routes = new RedisRoutes({ redis, keys, names: partnerNames, now, onFailure });
  const queues = openQueues({
    ...{ now, redis, target, keys, writes, flow, ledger, routes, log, retry, onWork },
    names: partnerNames,
  });
  const sweepNow = () =>
    sweep(
      {
        redis,
        keys,
        store,
        log,
        sweepAfter: config.spool.sweepAfter,
        keepRecords: retention.ledger,
        maxRecords: retention.records,
        duplicates,
        keepAudit: retention.audit,
        keepOriginal: retention.original,
      },
      now(),
    );
  const clock = new ClockWatch({ now, redis, keys, log });
  if (options.sweep) await clock.start();
  const stopSweeps = options.sweep ? sweepSometimes(redis, keys, store, sweepNow, log) : undefined;

  let closing: Promise<void> | undefined;
  const close = async () => {
    stopSweeps?.();
    clock.stop();
    pressure.stop();
    routes.stop();
    await queues.close();
    if (writer) await disconnect(writer);
    store.close();
    await disconnect(redis);
  };
  return {
    prefix: keys.prefix,
    redis,
    spool,
    ledger,
    intake,
    flow,
    guards: new RedisInboundGuards(writes, now),
    replays: new RedisReplays(redis, keys, flow),
    audit,
    events: new RedisEvents(redis, keys, partnerNames),
    routes,
    partnerNames,
    queues,
    sweep: sweepNow,
    clock: () => readClockFacts(redis, keys, now()),
    deriveKey: (purpose) => deriveKey(key, purpose),
    connect: (name, prefix) => connect(redisTarget(config.redis, url, prefix), 'producer', wire, name),
    ensureReplicated: async (connection, key) => {
      if (replicas > 0) await ensureReplicated(connection, key, waiting);
    },
    ...sealing,
    close: () => {
      closing ??= close();
      return closing;
    },
  };
}

/** Detects a wrong spool key at the start instead of at the first message. */
async function checkKey(redis: Redis, keys: Keys, key: SpoolKey): Promise<void> {
  await guarded('spool key', redis.setnx(keys.keyCheck, sealValue(key, 'keycheck', 'sealpost')));
  const sealed = await guarded('spool key', redis.getBuffer(keys.keyCheck));
  try {
    if (sealed) openValue(key, 'keycheck', sealed);
  } catch (cause) {
    throw new SealpostError(
      'spool-corrupt',
      'the spool key is not the one that sealed the messages in redis',
      {
        hint: 'set spool.key to the old key, or restore spool.key in the data folder',
        cause,
      },
    );
  }
}

/**
 * Only one process sweeps at a time. The lease expires by itself, but a process on the same machine can tell earlier
 * that its owner is dead.
 */
function sweepSometimes(
  redis: Redis,
  keys: Keys,
  store: LargeStore,
  work: () => Promise<SweepResult>,
  log: Log,
): () => void {
  const lease = `${keys.prefix}:lease:sweep`;
  const bury = async () => {
    try {
      const drafts = await store.removeDead();
      if (drafts > 0) log.info({ drafts }, 'removed what dead processes were writing');
    } catch (err) {
      log.warn({ err }, 'could not remove drafts of dead processes');
    }
  };
  void bury();
  const attempt = async () => {
    await bury();
    try {
      if (await redis.set(lease, String(process.pid), 'PX', lifetimes.sweepLease, 'NX')) await work();
    } catch (error) {
      log.warn({ err: redisError(error, 'sweep') }, 'could not sweep');
    }
  };
  let timer: NodeJS.Timeout | undefined;
  const first = setTimeout(() => {
    timer = setInterval(() => void attempt(), sweepEvery).unref();
    void attempt();
  }, sweepFirst).unref();
  return () => {
    clearTimeout(first);
    clearInterval(timer);
  };
}
