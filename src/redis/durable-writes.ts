/**
 * Writes that must outlive the primary. A primary answers before its replicas have the write. So a step that must not
 * be lost with it is followed by WAIT, or by WAITAOF (Redis 7.2, Valkey), which also waits for the replica's disk. Both
 * refer to the connection that wrote, and block it. So these writes have a connection of their own, and those that come
 * while it waits go together the next time, with one WAIT for all of them.
 */
import type { Redis } from 'ioredis';
import { SealpostError } from '../errors.ts';
import { counter } from '../metrics.ts';
import { commandOf, sendTogether } from './commands.ts';
import { guarded, redisError } from './connection.ts';
import {
  loadScript,
  type Octets,
  runBinary,
  runWithOctets,
  type Script,
  type ScriptArguments,
  scriptCommands,
} from './scripts.ts';

const unreplicated = counter(
  'unreplicated_total',
  'Writes that too few replicas acknowledged in time; the sender was told to try again.',
);

/** The reply of a script in Buffers, and whether enough replicas have its effect. */
export interface Ended {
  reply: unknown;
  kept: boolean;
}

/**
 * Runs scripts, with the octets that they keep. Their effect is kept when this resolves. Errors: `redis-unreachable`,
 * `redis-full`.
 */
export interface DurableWrites {
  run(script: Script, args: ScriptArguments, what: string, octets?: Octets): Promise<unknown>;
  /**
   * Runs a script that cannot be tried again, because it removes what it needs (the job). If too few replicas have its
   * effect, that is no error, but is returned beside the reply. `patient` is a connection that waits while Redis is
   * unreachable.
   */
  end(script: Script, args: ScriptArguments, what: string, octets: Octets, patient: Redis): Promise<Ended>;
}

/** For when only the primary is required: its reply follows its fsync. */
export function primaryWrites(redis: Redis, prefix: string): DurableWrites {
  return {
    run: (script, args, what, octets = []) => runWithOctets(redis, prefix, script, args, octets, what),
    async end(script, args, what, octets, patient) {
      // a transaction must not be partly sent again, as a patient connection would do
      const connection = octets.length > 0 ? redis : patient;
      return { reply: await runBinary(connection, prefix, script, args, octets, what), kept: true };
    },
  };
}

interface Write {
  script: Script;
  args: ScriptArguments;
  what: string;
  octets: Octets;
  /** It cannot be tried again: its reply is needed even if too few replicas have its effect. */
  ends: boolean;
  /** The server has already once said that it does not know the script. */
  loaded: boolean;
  resolve(ended: Ended): void;
  reject(error: SealpostError): void;
}

export interface ReplicatedParts {
  /** A connection for nothing else. */
  redis: Redis;
  prefix: string;
  replicas: number;
  /** Milliseconds that the replicas have. */
  timeout: number;
  /** Also wait for the disks of the replicas. */
  disk: boolean;
}

export class ReplicatedWrites implements DurableWrites {
  readonly #parts: ReplicatedParts;
  #waiting: Write[] = [];
  #running = false;

  constructor(parts: ReplicatedParts) {
    this.#parts = parts;
  }

  async run(script: Script, args: ScriptArguments, what: string, octets: Octets = []): Promise<unknown> {
    return (await this.#add({ script, args, what, octets, ends: false })).reply;
  }

  async end(script: Script, args: ScriptArguments, what: string, octets: Octets): Promise<Ended> {
    return await this.#add({ script, args, what, octets, ends: true });
  }

  #add(write: Omit<Write, 'loaded' | 'resolve' | 'reject'>): Promise<Ended> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ ...write, loaded: false, resolve, reject });
      // together with everything else from this turn of the event loop
      if (!this.#running) {
        this.#running = true;
        setImmediate(() => void this.#work());
      }
    });
  }

  async #work(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      try {
        await this.#together(batch);
      } catch (error) {
        for (const { what, reject } of batch) reject(redisError(error, what));
      }
    }
    this.#running = false;
  }

  /** All at once and on one connection: after a reconnection, WAIT would ask a server that has none of the writes. */
  async #together(batch: Write[]): Promise<void> {
    const { redis, prefix, replicas, timeout, disk } = this.#parts;
    const parts = batch.map(({ script, args, octets, ends }) =>
      scriptCommands(prefix, script, args, octets, ends),
    );
    const wait = disk ? commandOf('waitaof', [1, replicas, timeout]) : commandOf('wait', [replicas, timeout]);
    const replies = await sendTogether(redis, [...parts.flatMap(({ commands }) => commands), wait]);
    const [failed, reply] = replies.at(-1) ?? [new Error('no reply')];
    const acknowledged = acknowledgedBy(reply);
    let at = 0;
    for (const [index, write] of batch.entries()) {
      const { commands = [], read } = parts[index] ?? {};
      const [error, result] = read?.(replies.slice(at, at + commands.length)) ?? [new Error('no reply')];
      at += commands.length;
      const kept = !failed && acknowledged >= replicas;
      if (!error && !failed && !kept) unreplicated.inc();
      if (error) await this.#failed(write, error);
      else if (kept || write.ends) write.resolve({ reply: result, kept });
      else if (failed) write.reject(redisError(failed, write.what));
      else write.reject(tooFew(write.what, acknowledged, replicas));
    }
  }

  async #failed(write: Write, error: Error): Promise<void> {
    const { script, what, loaded, reject } = write;
    if (!error.message.startsWith('NOSCRIPT') || loaded) return reject(redisError(error, what));
    try {
      const known = await guarded(what, loadScript(this.#parts.redis, script));
      this.#waiting.push({ ...write, script: known, loaded: true });
    } catch (cause) {
      reject(redisError(cause, what));
    }
  }
}

/** Replicas in the reply of WAIT (a number) or WAITAOF (that of the primary's own disk, then the replicas'). */
export function acknowledgedBy(reply: unknown): number {
  return Number(Array.isArray(reply) ? reply[1] : reply);
}

/**
 * Makes sure that the replicas have a key that another library wrote. EXISTS and WAIT are sent to one server, whichever
 * that is by now. Errors: `redis-unreachable` if the key does not exist or too few replicas acknowledge it.
 */
export async function ensureReplicated(
  redis: Redis,
  key: string,
  { replicas, timeout, disk }: Omit<ReplicatedParts, 'redis' | 'prefix'>,
): Promise<void> {
  const pipeline = redis.pipeline().exists(key);
  if (disk) pipeline.call('WAITAOF', 1, replicas, timeout);
  else pipeline.wait(replicas, timeout);
  const [there, waited] = (await guarded('replicas', pipeline.exec())) ?? [];
  const error = there?.[0] ?? waited?.[0];
  if (error) throw redisError(error, 'replicas');
  if (there?.[1] !== 1)
    throw new SealpostError('redis-unreachable', 'redis has lost what was written just now');
  const acknowledged = acknowledgedBy(waited?.[1]);
  if (!(acknowledged >= replicas)) throw tooFew('replicas', acknowledged, replicas);
}

/** Refuses a server without WAITAOF: `redis-not-durable`. */
export async function ensureWaitAof(redis: Redis): Promise<void> {
  const reply: unknown = await guarded('durability', redis.command('INFO', 'WAITAOF'));
  if (Array.isArray(reply) && Array.isArray(reply[0])) return;
  throw new SealpostError('redis-not-durable', 'redis.acknowledge is disk, and the server has no WAITAOF', {
    hint: 'it needs Redis 7.2 or Valkey; or set redis.acknowledge: memory',
  });
}

function tooFew(what: string, acknowledged: number, replicas: number): SealpostError {
  return new SealpostError(
    'redis-unreachable',
    `${what}: ${acknowledged} replicas of Redis acknowledged in time, of ${replicas} that must (redis.replicas)`,
    { hint: 'start the replicas that are missing; sealpost logs how many the primary has' },
  );
}
