/**
 * Connections to Redis, of two kinds. Producers fail fast, because a sender waits for the answer. Workers wait for the
 * server to come back. Errors of ioredis contain the arguments of the command (octets, passwords), so they end here and
 * become a `SealpostError` without them.
 */
import { Redis, type RedisOptions } from 'ioredis';
import { SealpostError } from '../errors.ts';
import type { Log } from '../log.ts';
import { letCommandsDieYoung } from './commands.ts';
import { describeTarget, type RedisTarget, redisOptions } from './target.ts';

export type ConnectionKind = 'producer' | 'worker';

/**
 * A connection. It connects at once, and reconnects for ever. A producer's commands fail if the server is unreachable
 * or silent; a worker's commands wait (BullMQ needs `maxRetriesPerRequest: null`).
 */
export function connect(
  target: RedisTarget,
  kind: ConnectionKind,
  log: Log,
  name: string = kind,
  /** 2 for a connection that is told of changed keys: in RESP3, ioredis drops messages that it does not know. */
  protocol: 2 | 3 = 3,
): Redis {
  letCommandsDieYoung();
  const producer = kind === 'producer';
  const options: RedisOptions = {
    ...redisOptions(target),
    connectionName: `sealpost-${name}`,
    protocol,
    connectTimeout: Math.min(target.commandTimeout, 10_000),
    // A half-open socket stays silent, and without this, a worker would wait on it for ever. BullMQ blocks for at most
    // ten seconds.
    socketTimeout: producer ? target.commandTimeout + 1000 : 15_000,
    keepAlive: 10_000,
    retryStrategy: (times) => Math.min(50 * 2 ** Math.min(times, 6), 2000),
    // Commands from one turn of the event loop are sent together. A worker's commands come singly, and a pipeline would
    // copy all scripts of BullMQ each time it is made.
    enableAutoPipelining: producer,
    enableOfflineQueue: !producer,
    autoResendUnfulfilledCommands: !producer,
    maxRetriesPerRequest: producer ? 0 : null,
    ...(producer ? { commandTimeout: target.commandTimeout } : {}),
    reconnectOnError: (error) => (isElsewhere(error) ? (producer ? 1 : 2) : false),
  };
  const redis = new Redis({ ...options, replyMapping: 'legacy' });
  // each "elsewhere" reply adds a listener to the socket, which is about to close
  redis.on('connect', () => redis.stream.setMaxListeners(0));
  let away = false;
  // One line when it is lost and one when it is back, regardless of the attempts in between.
  redis.on('error', (error: unknown) => {
    if (away) return;
    away = true;
    log.warn(
      { err: redisError(error, 'connection'), server: describeTarget(target), name },
      'redis is unreachable',
    );
  });
  redis.on('ready', () => {
    if (away) log.info({ server: describeTarget(target), name }, 'redis is back');
    away = false;
  });
  return redis;
}

/** Resolves when the connection is usable. Errors: `redis-unreachable` if it is not within the command timeout. */
export async function ready(redis: Redis, target: RedisTarget): Promise<void> {
  if (redis.status === 'ready') return;
  let last: unknown;
  const remember = (error: unknown) => {
    last = error;
  };
  redis.on('error', remember);
  const outcome = await new Promise<'ready' | 'end' | 'late'>((resolve) => {
    const timer = setTimeout(() => resolve('late'), target.commandTimeout);
    redis.once('ready', () => {
      clearTimeout(timer);
      resolve('ready');
    });
    redis.once('end', () => {
      clearTimeout(timer);
      resolve('end');
    });
  });
  redis.off('error', remember);
  if (outcome === 'ready') return;
  const { message, hint } = redisError(last ?? new Error('no answer'), describeTarget(target));
  throw new SealpostError('redis-unreachable', message, {
    hint: hint ?? 'is the server running, and are redis.url and redis.password right?',
  });
}

/** Closes gracefully, or at once if the server does not answer. Idempotent. */
export async function disconnect(redis: Redis): Promise<void> {
  if (redis.status === 'end') return;
  // errors of the connection no longer matter once it is being closed
  redis.removeAllListeners('error').on('error', () => undefined);
  const ended = new Promise<void>((resolve) => {
    redis.once('end', () => resolve());
    setTimeout(resolve, 1000).unref();
  });
  if (redis.status === 'ready') await redis.quit().catch(() => undefined);
  redis.disconnect();
  // ioredis then waits two seconds for the close of a socket, even of one that is closed, which would keep the process
  if (redis.stream?.closed) redis.stream.emit('close', false);
  // `end` never comes for a connection that was waiting to reconnect
  if (redis.stream && !redis.stream.destroyed) await ended;
}

/**
 * Replies of a server that did not run the command because another one has the keys, or will have them. A new
 * connection asks again which one. A worker's command is sent there; a producer's fails, because its sender is waiting.
 * ASK is not followed: while a slot moves, half of what a script reads would be on the other node (docs/operations.md).
 */
function isElsewhere(error: Error): boolean {
  return /^(READONLY|MOVED|ASK|CLUSTERDOWN|MASTERDOWN|TRYAGAIN|UNBLOCKED)\b/.test(error.message);
}

const fullReplies = /^(OOM|MISCONF)\b|no space left|ENOSPC/i;
const awayReplies =
  /^(LOADING|READONLY|NOREPLICAS|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|MOVED|ASK|BUSY|UNBLOCKED)\b/;
const refusedReplies = /^(NOAUTH|WRONGPASS|NOPERM)\b/;

/**
 * What an error of ioredis means, without its arguments: `redis-full` (no memory or disk), `redis-unreachable`
 * (unreachable, silent, loading, not allowed), otherwise `internal`. `what` names the work.
 */
export function redisError(error: unknown, what: string): SealpostError {
  if (error instanceof SealpostError) return error;
  const refused = refusalInTransaction(error);
  if (refused) return redisError(refused, what);
  const text = error instanceof Error ? error.message : '';
  const reply = /^[A-Z]{3,}\b/.exec(text)?.[0];
  if (fullReplies.test(text)) {
    return new SealpostError('redis-full', `${what}: redis has no memory or disk left (${reply ?? 'full'})`, {
      hint: 'free memory or disk, or raise maxmemory',
    });
  }
  if (refusedReplies.test(text)) {
    return new SealpostError('redis-unreachable', `${what}: redis refuses the login or command (${reply})`, {
      hint: 'check redis.password and the user of redis.url',
    });
  }
  if (awayReplies.test(text)) {
    return new SealpostError('redis-unreachable', `${what}: redis cannot answer now (${reply})`);
  }
  const replyError = error instanceof Error && error.name === 'ReplyError';
  if (!replyError) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : undefined;
    const reason = /timed out/i.test(text) ? 'no answer in time' : (code ?? 'no connection');
    return new SealpostError('redis-unreachable', `${what}: redis does not answer (${reason})`);
  }
  return new SealpostError('internal', `${what}: redis answered ${reply ?? 'an error'}`);
}

/**
 * Why a transaction was aborted before it began: one of its commands was refused, for example for lack of memory, or
 * EXEC itself, when memory ran short after its commands had been queued.
 */
function refusalInTransaction(error: unknown): Error | undefined {
  if (!(error instanceof Error && error.message.startsWith('EXECABORT'))) return;
  const ofExec = 'EXECABORT Transaction discarded because of: ';
  if (error.message.startsWith(ofExec)) {
    const refusal = new Error(error.message.slice(ofExec.length));
    refusal.name = error.name;
    return refusal;
  }
  if (!('previousErrors' in error) || !Array.isArray(error.previousErrors)) return;
  return error.previousErrors.find((each) => each instanceof Error);
}

/** Awaits a command, and lets no error of ioredis through. */
export async function guarded<T>(what: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw redisError(error, what);
  }
}

/**
 * Milliseconds since the epoch, by the one clock that all machines have: theirs may differ by hours. Errors:
 * `redis-unreachable`.
 */
export async function redisTime(redis: Pick<Redis, 'time'>, what: string): Promise<number> {
  const [seconds, micros] = await guarded(what, redis.time());
  return Number(seconds) * 1000 + Math.floor(Number(micros) / 1000);
}
