/**
 * `sealpost check` on demand. Whoever asks (console, API) has no keys and sees the files of no other machine. So the
 * wish stands in Redis, sealed; the processes of each supervisor see it with their next sign of life, and tell it. Each
 * supervisor has its own part checked by a process of its own, which ends, and one of its roles puts the answer into
 * Redis.
 */
import { randomUUID } from 'node:crypto';
import type { QueueRoom } from '../queue/index.ts';
import { guarded, lifetimes, redisTime, sealedValues } from '../redis/index.ts';
import { type CheckAnswer, type CheckAsked, isAnswer } from './check-types.ts';

type Parts = Pick<QueueRoom, 'redis' | 'prefix' | 'seal' | 'unseal'>;

/** Milliseconds: who asks sooner gets the check that was asked for. */
const pause = 10_000;
/** Milliseconds: a wish that nobody saw for so long is over. */
const fresh = 60_000;
/** Answers that are read. */
const mostAnswers = 100;

const askedOf = (parts: Parts) => sealedValues(parts, 'check');
const keyOf = ({ prefix }: Pick<Parts, 'prefix'>, id: string) => `${prefix}:check:answers:${id}`;
const contextOf = (id: string) => `check-answer:${id}`;

const timeOf = ({ redis }: Parts) => redisTime(redis, 'check');

/**
 * Has everything checked; what was asked for just before counts.
 *
 * @param clock of all machines
 */
export async function askCheck(parts: Parts, by: string, clock = timeOf): Promise<CheckAsked> {
  const now = await clock(parts);
  const last = await lastAsked(parts);
  // one from the future: the clock was set back
  if (last !== undefined && Math.abs(now - last.at) < pause) return last;
  const asked: CheckAsked = { id: randomUUID().replaceAll('-', ''), at: now, by };
  await askedOf(parts).put('asked', asked, lifetimes.check);
  return asked;
}

/** What was asked for last; undefined if that is long ago. */
export async function lastAsked(parts: Parts): Promise<CheckAsked | undefined> {
  const value = await askedOf(parts).get('asked');
  return isAsked(value) ? value : undefined;
}

function isAsked(value: unknown): value is CheckAsked {
  return typeof value === 'object' && value !== null && 'id' in value && 'at' in value && 'by' in value;
}

export async function putAnswer(parts: Parts, id: string, answer: CheckAnswer): Promise<void> {
  const key = keyOf(parts, id);
  const sealed = parts.seal(contextOf(id), answer);
  const work = parts.redis
    .multi()
    .rpush(key, sealed)
    .ltrim(key, -mostAnswers, -1)
    .pexpire(key, lifetimes.check);
  await guarded('check', work.exec());
}

/** The answers so far, in the order in which they came. */
export async function readAnswers(parts: Parts, id: string): Promise<CheckAnswer[]> {
  const sealed = await guarded('check', parts.redis.lrangeBuffer(keyOf(parts, id), 0, -1));
  return sealed.flatMap((each) => {
    try {
      const value = parts.unseal(contextOf(id), each);
      return isAnswer(value) ? [value] : [];
    } catch {
      // not ours
      return [];
    }
  });
}

/**
 * Finds wishes for a process: each once, while it is fresh.
 *
 * @param clock of all machines
 */
export function checkWatch(parts: Parts, tell: (id: string) => void, clock = timeOf): () => Promise<void> {
  let seen = '';
  return async () => {
    const asked = await lastAsked(parts);
    if (asked === undefined || asked.id === seen) return;
    seen = asked.id;
    if (Math.abs((await clock(parts)) - asked.at) <= fresh) tell(asked.id);
  };
}
