/** Checks by its settings whether the server could lose acknowledged writes, if it shows its settings. */
import type { Redis } from 'ioredis';
import { SealpostError } from '../errors.ts';
import type { Log } from '../log.ts';
import { redisError } from './connection.ts';

export interface DurabilityFinding {
  setting: 'appendonly' | 'appendfsync' | 'maxmemory-policy';
  /** The server's value; null if it does not report it. */
  value: string | null;
  verdict: 'durable' | 'risky' | 'unknown';
  message: string;
  /** What to set or do. */
  hint: string;
}

const wanted = [
  {
    setting: 'appendonly',
    value: 'yes',
    risk: 'without an append-only file a crash loses what was accepted',
  },
  {
    setting: 'appendfsync',
    value: 'always',
    risk: 'the last second of accepted messages is lost in a crash',
  },
  {
    setting: 'maxmemory-policy',
    value: 'noeviction',
    risk: 'accepted messages are evicted when memory is short',
  },
] as const;

/** INFO shows two of the three, even if CONFIG is forbidden. */
function fromInfo(info: string, setting: string): string | null {
  const value = (name: string) => new RegExp(`^${name}:(\\S+)`, 'm').exec(info)?.[1] ?? null;
  if (setting === 'maxmemory-policy') return value('maxmemory_policy');
  const aof = value('aof_enabled');
  if (setting === 'appendonly' && aof !== null) return aof === '1' ? 'yes' : 'no';
  return null;
}

async function settingOf(redis: Redis, setting: string): Promise<string | null> {
  try {
    const reply = await redis.config('GET', setting);
    if (Array.isArray(reply) && reply.length >= 2) return String(reply[1]);
  } catch (error) {
    // managed servers forbid or rename CONFIG, and say so in a reply; anything else is a failure
    if (!(error instanceof Error && error.name === 'ReplyError')) throw redisError(error, 'durability');
  }
  const info = await redis.info().catch(() => '');
  return fromInfo(info, setting);
}

/** One finding for each setting that matters. Errors: `redis-unreachable` if the server does not answer. */
export async function checkDurability(redis: Redis): Promise<DurabilityFinding[]> {
  const findings: DurabilityFinding[] = [];
  for (const { setting, value: good, risk } of wanted) {
    const value = await settingOf(redis, setting);
    const hint = `write "${setting} ${good}" into redis.conf, or run: CONFIG SET ${setting} ${good}`;
    if (value === null) {
      findings.push({
        setting,
        value,
        verdict: 'unknown',
        message: `the server does not report its ${setting}, so it cannot be verified`,
        hint: `make sure that ${setting} is ${good}, allow CONFIG GET, or write redis.durability: relaxed`,
      });
    } else if (value === good) {
      findings.push({ setting, value, verdict: 'durable', message: `${setting} is ${value}`, hint });
    } else {
      findings.push({ setting, value, verdict: 'risky', message: `${setting} is ${value}: ${risk}`, hint });
    }
  }
  return findings;
}

/** Refuses a server that could lose messages (`redis-not-durable`), or warns if the operator set `relaxed`. */
export async function ensureDurability(
  redis: Redis,
  durability: 'strict' | 'relaxed',
  log: Log,
): Promise<DurabilityFinding[]> {
  const findings = await checkDurability(redis);
  const bad = findings.filter(({ verdict }) => verdict !== 'durable');
  if (bad.length > 0 && durability === 'strict') {
    throw new SealpostError('redis-not-durable', bad.map(({ message }) => message).join('; '), {
      hint: bad.map(({ hint }) => hint).join('; '),
    });
  }
  for (const { setting, value, message } of bad)
    log.warn({ setting, value }, `redis is not durable: ${message}`);
  return findings;
}
