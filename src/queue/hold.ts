/**
 * Messages that had not ended at the time of a backup may have been sent since. So after a restore they wait for a
 * person, suspended as `restored`.
 */
import type { Redis } from 'ioredis';
import { waitingCodes } from '../errors.ts';
import { guarded, run, script } from '../redis/index.ts';
import { keysOf, queueNames } from './keys.ts';
import { eventLine } from './ledger.ts';
import { jobs, jobsOf, lines, records } from './lua.ts';
import { keysLike } from './restored.ts';
import type { MessageState } from './types.ts';

type Parts = { redis: Redis; prefix: string };

/**
 * now, reason, codes of what goes on by itself when a certificate or key comes, then id and event of each message.
 * Returns how many wait.
 */
const hold = script(
  records,
  jobs(),
  jobsOf,
  lines,
  `
local now, reason, waits, held = ARGV[1], ARGV[2], {}, 0
for code in string.gmatch(ARGV[3], '%S+') do waits[code] = true end
for at = 4, #ARGV, 2 do
  local id, event = ARGV[at], ARGV[at + 1]
  local m = record(id)
  local old = rcall('HMGET', m, 's', 'a', 'e', 'o', 'x', 'j', 'g')
  if old[1] and not finished[old[1]] then
    local any = old[1] ~= 'suspended' or (old[5] and waits[old[5]])
    for _, each in ipairs(jobs_of(id, old[1], old[7])) do
      local job = P .. ':' .. each[1] .. ':' .. each[2]
      local data = rcall('HGET', job, 'data')
      if data then
        local work = each[1]
        if work == 'handoff' then work = work .. '.' .. cjson.decode(data).destination end
        rcall('HSET', m, 'w:' .. work, each[1] .. '\\n' .. data)
        any = true
      end
      rcall('UNLINK', job)
    end
    if old[6] then
      rcall('HSET', m, 'w:outbound', 'outbound\\n' .. string.match(old[6], '^%S+\\n(.*)$'))
      rcall('HDEL', m, 'j')
    end
    if any then
      no_reason(id, old[5])
      rcall('ZADD', P .. ':ix:x:' .. reason, old[2], id)
      rcall('HDEL', m, 'q')
      rcall('HSET', m, 's', 'suspended', 'u', now, 'x', reason, 'e', joined(m, old[3], event))
      move(id, old[1], 'suspended', old[2], old[4])
      held = held + 1
    end
  end
end
return held
`,
);

const unfinished: readonly MessageState[] = ['suspended', 'received', 'decoded', 'queued'];
const page = 100;

/**
 * Suspends everything that would continue by itself, and empties the queues. Nothing else works on them meanwhile.
 *
 * @returns how many messages wait for a person because of it. Errors: `redis-unreachable`
 */
export async function holdUnfinished(parts: Parts, now: number): Promise<number> {
  const { redis, prefix } = parts;
  const line = eventLine({ type: 'suspended', at: now, facts: { reason: 'restored' } });
  let held = 0;
  // the suspended ones first, because the others become suspended on the way
  for (const state of unfinished) {
    const key = keysOf(prefix).state(state);
    for (let cursor = '0', first = true; first || cursor !== '0'; first = false) {
      const [next, found] = await guarded('restore', redis.zscan(key, cursor, 'COUNT', page));
      cursor = next;
      const ids = found.filter((_, at) => at % 2 === 0);
      if (ids.length === 0) continue;
      const args = [now, 'restored', waitingCodes.join(' '), ...ids.flatMap((id) => [id, line])];
      held += Number(await run(redis, prefix, hold, args, 'restore'));
    }
  }
  for (const queue of queueNames) await removeKeys(parts, `${queue}:`);
  return held;
}

/** Removes all keys whose names begin like this after the prefix. */
async function removeKeys({ redis, prefix }: Parts, begin: string): Promise<void> {
  for await (const keys of keysLike({ redis, prefix }, begin)) await guarded('restore', redis.unlink(keys));
}
