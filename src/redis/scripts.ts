/**
 * Lua scripts, and how they are run. Redis runs a script as a whole and writes it to the append-only file as one
 * transaction, so after a crash a step is either done or not begun.
 */
import { createHash } from 'node:crypto';
import type { Command, Redis } from 'ioredis';
import { commandOf, type Reply, sendTogether } from './commands.ts';
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

/**
 * The commands that run a script with the octets that it keeps, in one transaction. The octets come beside the script,
 * because Lua would hash every octet that passes through it. `read` finds the script's reply, in Buffers if `binary`,
 * among those of these commands.
 */
export function scriptCommands(
  prefix: string,
  { sha }: Script,
  args: ScriptArguments,
  octets: Octets,
  binary = false,
): { commands: Command[]; read: (replies: readonly Reply[]) => Reply } {
  const call = commandOf('evalsha', [sha, 1, `${prefix}:m`, ...args], binary);
  if (octets.length === 0) return { commands: [call], read: ([reply]) => reply ?? [new Error('no reply')] };
  const kept = octets.map(([id, sealed]) => commandOf('set', [`${prefix}:o:${id}`, sealed, 'EX', strayLife]));
  const inside = [...kept, call];
  for (const command of inside) command.inTransaction = true;
  return { commands: [commandOf('multi'), ...inside, commandOf('exec', [], binary)], read: readTransaction };
}

function readTransaction(replies: readonly Reply[]): Reply {
  const [error, results] = replies.at(-1) ?? [new Error('no reply')];
  const result: unknown = Array.isArray(results) ? results.at(-1) : undefined;
  if (error || result === undefined) {
    // the replies of its commands say why the transaction was aborted.
    const refused = replies.slice(0, -1).find(([each]) => each)?.[0];
    return [refused ?? error ?? new Error('no reply')];
  }
  return result instanceof Error ? [result] : [null, result];
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
    const { commands, read } = scriptCommands(prefix, form, args, octets);
    return read(await sendTogether(redis, commands));
  };
  const known = plainServers.has(redis) ? (wanted.plain ?? wanted) : wanted;
  let [error, reply] = await attempt(known);
  // The server was restarted, or is a different one. The octets may already be there, and are simply set again.
  if (error?.message.startsWith('NOSCRIPT'))
    [error, reply] = await attempt(await guarded(what, loadScript(redis, wanted)));
  if (error) throw redisError(error, what);
  return reply;
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
    const { commands, read } = scriptCommands(prefix, form, args, octets, true);
    const [error, reply] = read(await sendTogether(redis, commands));
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
