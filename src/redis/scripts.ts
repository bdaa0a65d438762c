/**
 * Lua scripts, and how they are run. Redis runs a script as a whole and writes it to the append-only file as one
 * transaction, so a crash leaves a step done or not begun.
 */
import { createHash } from 'node:crypto';
import type { ChainableCommander, Redis } from 'ioredis';
import { guarded, redisError } from './connection.ts';

export interface Script {
  source: string;
  sha: string;
  /** The same without flags, for servers that do not support them (before Redis 7). */
  plain?: Script;
}

export function script(...parts: string[]): Script {
  const source = parts.join('\n');
  return { source, sha: createHash('sha1').update(source).digest('hex') };
}

/** A script that frees memory in the end, so it also runs when Redis has none left. */
export function freeingScript(...parts: string[]): Script {
  return { ...script('#!lua flags=allow-oom', ...parts), plain: script(...parts) };
}

/** Connections to servers that do not know flags of scripts. */
const plainServers = new WeakSet<Redis>();

/** Loads a script on a server; returns the form that it understands. */
export async function loadScript(redis: Redis, wanted: Script): Promise<Script> {
  const { plain } = wanted;
  if (plain && plainServers.has(redis)) return await loadScript(redis, plain);
  try {
    await redis.script('LOAD', wanted.source);
    return wanted;
  } catch (error) {
    if (!plain || !(error instanceof Error && /compiling script/i.test(error.message))) throw error;
  }
  plainServers.add(redis);
  return await loadScript(redis, plain);
}

/** Octets that a step stores: the name of the object, and the sealed octets. */
export type Octets = readonly (readonly [id: string, sealed: Buffer])[];

/**
 * Seconds that unclaimed octets stay: their script did not run, or found no room. They are in the same transaction as
 * the script, so any time is long enough.
 */
const strayLife = 3600;

/**
 * Adds octets and the script that names them to a transaction, because Lua would hash every octet that passes through
 * it.
 */
export function withOctets(
  transaction: ChainableCommander,
  prefix: string,
  { sha }: Script,
  args: (string | number | Buffer)[],
  octets: Octets,
): ChainableCommander {
  for (const [id, sealed] of octets) transaction.set(`${prefix}:o:${id}`, sealed, 'EX', strayLife);
  return transaction.evalsha(sha, 1, `${prefix}:m`, ...args);
}

/** As `run`, with octets that the script keeps: all in one transaction. */
export async function runWithOctets(
  redis: Redis,
  prefix: string,
  wanted: Script,
  args: (string | number | Buffer)[],
  octets: Octets,
  what: string,
): Promise<unknown> {
  if (octets.length === 0) return await run(redis, prefix, wanted, args, what);
  const attempt = async (form: Script) => {
    const replies = await guarded(what, withOctets(redis.multi(), prefix, form, args, octets).exec());
    return replies?.at(-1) ?? [new Error('no reply'), undefined];
  };
  const known = plainServers.has(redis) ? (wanted.plain ?? wanted) : wanted;
  let [error, reply] = await attempt(known);
  // The server was restarted, or is another one. The octets are already there and are simply set again.
  if (error?.message.startsWith('NOSCRIPT'))
    [error, reply] = await attempt(await guarded(what, loadScript(redis, wanted)));
  if (error) throw redisError(error, what);
  return reply;
}

/** Runs a script by its digest, and sends its text if the server does not know it (any more). */
export async function run(
  redis: Redis,
  prefix: string,
  wanted: Script,
  args: (string | number | Buffer)[],
  what: string,
): Promise<unknown> {
  const { source, sha, plain } = plainServers.has(redis) ? (wanted.plain ?? wanted) : wanted;
  const key = `${prefix}:m`;
  try {
    return await redis.evalsha(sha, 1, key, ...args);
  } catch (error) {
    if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw redisError(error, what);
  }
  try {
    return await redis.eval(source, 1, key, ...args);
  } catch (error) {
    if (!plain || !(error instanceof Error && /compiling script/i.test(error.message)))
      throw redisError(error, what);
  }
  plainServers.add(redis);
  return await run(redis, prefix, plain, args, what);
}
