/**
 * Lua scripts, and how they are run. Redis runs a script as a whole and writes it to the append-only file as one
 * transaction, so after a crash a step is either done or not begun.
 */
import { createHash } from 'node:crypto';
import { type ChainableCommander, Command, type Redis } from 'ioredis';
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

/** Loads a script on a server. Returns the form that the server understands. */
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
 * Seconds until unclaimed octets expire, whose script did not run or found no room. They are in the same transaction as
 * the script, so any time is long enough.
 */
const strayLife = 3600;

export type ScriptArguments = (string | number | Buffer)[];

type Reply = [error: Error | null, result?: unknown];

/** Adds octets, and the script that names them, to a transaction. Lua would hash every octet that passes through it. */
export function withOctets(
  transaction: ChainableCommander,
  prefix: string,
  { sha }: Script,
  args: ScriptArguments,
  octets: Octets,
): ChainableCommander {
  for (const [id, sealed] of octets) transaction.set(`${prefix}:o:${id}`, sealed, 'EX', strayLife);
  return transaction.evalsha(sha, 1, `${prefix}:m`, ...args);
}

/** Like `run`, with octets that the script keeps, all in one transaction. */
export async function runWithOctets(
  redis: Redis,
  prefix: string,
  wanted: Script,
  args: ScriptArguments,
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
  // The server was restarted, or is a different one. The octets may already be there, and are simply set again.
  if (error?.message.startsWith('NOSCRIPT'))
    [error, reply] = await attempt(await guarded(what, loadScript(redis, wanted)));
  if (error) throw redisError(error, what);
  return reply;
}

/**
 * Adds a script with its octets to a pipeline. Returns a function that finds its reply among all replies, in Buffers if
 * `binary`.
 */
export function queueScript(
  pipeline: ChainableCommander,
  prefix: string,
  { sha }: Script,
  args: ScriptArguments,
  octets: Octets,
  binary = false,
): (replies: readonly Reply[]) => Reply {
  const call = (command: string, ...rest: ScriptArguments) =>
    binary ? pipeline.callBuffer(command, ...rest) : pipeline.call(command, ...rest);
  if (octets.length > 0) {
    pipeline.call('MULTI');
    for (const [id, sealed] of octets) pipeline.set(`${prefix}:o:${id}`, sealed, 'EX', strayLife);
  }
  call('EVALSHA', sha, 1, `${prefix}:m`, ...args);
  if (octets.length > 0) call('EXEC');
  const at = pipeline.length - 1;
  return (replies) => {
    const reply = replies[at] ?? [new Error('no reply')];
    if (octets.length === 0) return reply;
    const [error, results] = reply;
    const result: unknown = Array.isArray(results) ? results.at(-1) : undefined;
    // the replies of its commands say why the transaction was aborted
    const refused = replies.slice(at - octets.length - 1, at).find(([each]) => each)?.[0];
    if (error || result === undefined) return [refused ?? error ?? new Error('no reply')];
    return result instanceof Error ? [result] : [null, result];
  };
}

/** Like `run`, with octets that the script keeps, and with the reply in Buffers. */
export async function runBinary(
  redis: Redis,
  prefix: string,
  wanted: Script,
  args: ScriptArguments,
  octets: Octets,
  what: string,
): Promise<unknown> {
  const attempt = async (form: Script): Promise<unknown> => {
    if (octets.length === 0) {
      // with automatic pipelining, `callBuffer` loses the name of its command (ioredis 6.0)
      const command = new Command('evalsha', [form.sha, 1, `${prefix}:m`, ...args], { replyEncoding: null });
      return await redis.sendCommand(command);
    }
    const pipeline = redis.pipeline();
    const read = queueScript(pipeline, prefix, form, args, octets, true);
    const [error, reply] = read((await pipeline.exec()) ?? []);
    if (error) throw error;
    return reply;
  };
  try {
    return await attempt(plainServers.has(redis) ? (wanted.plain ?? wanted) : wanted);
  } catch (error) {
    if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw redisError(error, what);
  }
  return await guarded(what, loadScript(redis, wanted).then(attempt));
}

/** Runs a script by its digest, and sends its text if the server does not know it (any more). */
export async function run(
  redis: Redis,
  prefix: string,
  wanted: Script,
  args: ScriptArguments,
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
