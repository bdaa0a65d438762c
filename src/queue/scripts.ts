/**
 * The Lua scripts of the ledger and the flow. Each step of a message is one script: Redis runs it as a whole and writes
 * it to the append-only file as one transaction, so a crash leaves it done or not begun.
 *
 * A record is one hash: `r` facts that never change (JSON), `s` state, `a` and `u` when received and updated, `b`
 * mailbox, `p` partner, `x` reason, `e` events (a JSON line each), `k` its octets (`i:ID` in Redis, `f:ID` file, the
 * original first), `n` hand-offs that are left, `d:NAME` set while that destination is one of them, `w:NAME` data of a
 * suspended job (queue, line feed, JSON), `g` how often it was resumed, `c` references of content and result (JSON),
 * `h` until when they are held for somebody who got a URL.
 */
import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import type { Redis } from 'ioredis';
import { SealpostError } from '../errors.ts';
import { redisError } from './connection.ts';

/**
 * BullMQ's own script that adds a job, to run inside of ours: a job is added in the same transaction as the record, and
 * only if the message is new. BullMQ's version is pinned; a test adds a job this way and lets a BullMQ worker run it.
 */
function bullmqAddScript(): string {
  const exported: unknown = createRequire(import.meta.url)('bullmq/dist/cjs/scripts/addStandardJob-9.js');
  if (typeof exported === 'object' && exported !== null && 'addStandardJob' in exported) {
    const script = exported.addStandardJob;
    if (typeof script === 'object' && script !== null && 'content' in script) return String(script.content);
  }
  throw new SealpostError('internal', 'this version of BullMQ keeps its scripts elsewhere');
}

const records = `
local rcall = redis.call
local P = string.sub(KEYS[1], 1, -3)
local function record(id) return P .. ':m:' .. id end
-- Events beyond this many octets are dropped: a message that is retried for weeks stays small.
local function joined(events, ...)
  local e = events or ''
  for _, line in ipairs({ ... }) do
    if #e < 30000 then e = e .. line .. '\\n' end
  end
  return e
end
local function move(id, from, to, received)
  if from == to then return end
  rcall('ZADD', P .. ':ix:s:' .. to, received, id)
  if from then rcall('ZREM', P .. ':ix:s:' .. from, id) end
end
local finished = { delivered = true, sent = true, terminated = true }
-- Lets go of octets (as in field k); returns the files that nobody needs any more.
local function release(id, tokens, files)
  local values = {}
  for kind, object in string.gmatch(tokens or '', '(%a):(%w+)') do
    if kind == 'i' then
      values[#values + 1] = P .. ':o:' .. object
    else
      rcall('SREM', P .. ':f:' .. object, id)
      if rcall('EXISTS', P .. ':f:' .. object) == 0 then files[#files + 1] = object end
    end
  end
  if #values > 0 then rcall('UNLINK', unpack(values)) end
  return files
end
local function keep_octets(id, token, sealed)
  local object = string.sub(token, 3)
  if string.sub(token, 1, 1) == 'i' then
    rcall('SET', P .. ':o:' .. object, sealed)
  else
    rcall('SADD', P .. ':f:' .. object, id)
  end
end
`;

const jobs = () => `
local add_bullmq
do
  -- Our arguments are tables already.
  local cmsgpack = { unpack = function(value) return value end }
  add_bullmq = function(KEYS, ARGV)
${bullmqAddScript()}
  end
end
local function add_job(queue, id, data, now)
  local q = P .. ':' .. queue .. ':'
  add_bullmq(
    { q .. 'wait', q .. 'paused', q .. 'meta', q .. 'id', q .. 'completed', q .. 'delayed', q .. 'active',
      q .. 'events', q .. 'marker' },
    { { q, id, queue, tonumber(now) }, data,
      { attempts = 1000000, removeOnComplete = true, stackTraceLimit = 0, backoff = { type = 'custom' } } })
end
`;

export interface Script {
  source: string;
  sha: string;
}

function script(...parts: string[]): Script {
  const source = parts.join('\n');
  return { source, sha: createHash('sha1').update(source).digest('hex') };
}

/**
 * now, oldest time of receipt that still counts as a duplicate, queue, first state, kind of the second index,
 * then for each message: id, name in the second index, facts, event, event if it is a duplicate, token and
 * value of the octets, job. Returns 1 for each duplicate, 0 for each that was accepted.
 */
const accept = script(
  records,
  jobs(),
  `
local now, oldest, queue, state, index = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5]
local result = {}
for at = 6, #ARGV, 8 do
  local id, name, m = ARGV[at], ARGV[at + 1], record(ARGV[at])
  local old = rcall('HMGET', m, 's', 'a', 'e')
  if old[1] and (not finished[old[1]] or tonumber(old[2]) >= oldest) then
    rcall('HSET', m, 'e', joined(old[3], ARGV[at + 4]))
    result[#result + 1] = 1
  else
    keep_octets(id, ARGV[at + 5], ARGV[at + 6])
    if old[1] then
      rcall('ZREM', P .. ':ix:s:' .. old[1], id)
      rcall('DEL', m)
    end
    rcall('HSET', m, 'r', ARGV[at + 2], 's', state, 'a', now, 'u', now, index, name,
      'e', joined(old[3], ARGV[at + 3]), 'k', ARGV[at + 5])
    rcall('ZADD', P .. ':ix:all', now, id)
    rcall('ZADD', P .. ':ix:s:' .. state, now, id)
    rcall('ZADD', P .. ':ix:' .. index .. ':' .. name, now, id)
    add_job(queue, id, ARGV[at + 7], now)
    result[#result + 1] = 0
  end
end
return result
`,
);

/**
 * now, id, event, partner or '', token and value of the content, token and value of the result, references of both, then
 * name and job for each destination. Returns 0 when the message has moved on already.
 */
const decoded = script(
  records,
  jobs(),
  `
local now, id, partner = ARGV[1], ARGV[2], ARGV[4]
local m = record(id)
local old = rcall('HMGET', m, 's', 'k', 'a', 'e')
if old[1] ~= 'received' then return 0 end
keep_octets(id, ARGV[5], ARGV[6])
keep_octets(id, ARGV[7], ARGV[8])
local fields = { 's', 'decoded', 'u', now, 'e', joined(old[4], ARGV[3]), 'k', old[2] .. ' ' .. ARGV[5] .. ' ' .. ARGV[7],
  'n', (#ARGV - 9) / 2, 'c', ARGV[9] }
if partner ~= '' then
  fields[#fields + 1] = 'p'
  fields[#fields + 1] = partner
  rcall('ZADD', P .. ':ix:p:' .. partner, old[3], id)
end
for at = 10, #ARGV, 2 do
  fields[#fields + 1] = 'd:' .. ARGV[at]
  fields[#fields + 1] = 1
  add_job('handoff', id .. '.' .. ARGV[at], ARGV[at + 1], now)
end
rcall('HSET', m, unpack(fields))
move(id, 'received', 'decoded', old[3])
return 1
`,
);

/**
 * now, id, destination, event, event if it was the last one, milliseconds that the original is kept, time until which
 * content and result are held (0: not at all). Returns -1 when it was handed off there already, 0, or with the last one
 * 1 and the files to remove.
 */
const handedOff = script(
  records,
  `
local now, id, name, kept, hold = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[6]), tonumber(ARGV[7])
local m = record(id)
local old = rcall('HMGET', m, 'd:' .. name, 'n', 's', 'a', 'e', 'k', 'h')
if not old[1] then return { -1 } end
hold = math.max(hold, tonumber(old[7] or 0))
if hold > 0 then rcall('HSET', m, 'h', string.format('%.0f', hold)) end
local left = tonumber(old[2]) - 1
if left > 0 then
  rcall('HDEL', m, 'd:' .. name, 'w:handoff.' .. name)
  rcall('HSET', m, 'n', left, 'u', now, 'e', joined(old[5], ARGV[4]))
  return { 0 }
end
rcall('HDEL', m, 'd:' .. name, 'w:handoff.' .. name, 'n', 'x')
rcall('HSET', m, 's', 'delivered', 'u', now, 'e', joined(old[5], ARGV[4], ARGV[5]))
move(id, old[3], 'delivered', old[4])
local held = hold - tonumber(now)
if held <= 0 then rcall('HDEL', m, 'c') end
-- Values that are kept for a while end by themselves; files are swept when the time is over.
local gone, at = {}, 0
for kind, object in string.gmatch(old[6], '(%a):(%w+)') do
  at = at + 1
  local life = held
  if at == 1 then life = kept end
  if life <= 0 then
    gone[#gone + 1] = kind .. ':' .. object
  elseif kind == 'i' then
    rcall('PEXPIRE', P .. ':o:' .. object, string.format('%.0f', life))
  end
end
return release(id, table.concat(gone, ' '), { 1 })
`,
);

/** now, id, event. Returns 0 when it has ended already, else 1 and the files to remove. */
const sent = script(
  records,
  `
local now, id = ARGV[1], ARGV[2]
local m = record(id)
local old = rcall('HMGET', m, 's', 'a', 'e', 'k')
if not old[1] or finished[old[1]] then return { 0 } end
rcall('HDEL', m, 'x', 'w:outbound')
rcall('HSET', m, 's', 'sent', 'u', now, 'e', joined(old[3], ARGV[3]))
move(id, old[1], 'sent', old[2])
return release(id, old[4], { 1 })
`,
);

/** now, id, event, reason, name of the work, queue, job. Returns 0 when it has ended already. */
const suspend = script(
  records,
  `
local now, id = ARGV[1], ARGV[2]
local m = record(id)
local old = rcall('HMGET', m, 's', 'a', 'e')
if not old[1] or finished[old[1]] then return 0 end
rcall('HSET', m, 's', 'suspended', 'u', now, 'e', joined(old[3], ARGV[3]), 'x', ARGV[4],
  'w:' .. ARGV[5], ARGV[6] .. '\\n' .. ARGV[7])
move(id, old[1], 'suspended', old[2])
return 1
`,
);

/** now, id, event. Returns -1 when unknown, 0 when not suspended, else 1. */
const resume = script(
  records,
  jobs(),
  `
local now, id = ARGV[1], ARGV[2]
local m = record(id)
local fields = rcall('HGETALL', m)
if #fields == 0 then return -1 end
local old = rcall('HMGET', m, 's', 'a', 'e')
if old[1] ~= 'suspended' then return 0 end
local states = { inbound = 'received', handoff = 'decoded', outbound = 'queued' }
-- The job that suspended it may not be gone yet: with the same id this one would be ignored.
local turn = rcall('HINCRBY', m, 'g', 1)
local state
for at = 1, #fields, 2 do
  local work = string.match(fields[at], '^w:(.+)$')
  if work then
    local queue, data = string.match(fields[at + 1], '^(%w+)\\n(.*)$')
    state = states[queue]
    add_job(queue, id .. '.' .. work .. '.' .. turn, data, now)
    rcall('HDEL', m, fields[at])
  end
end
state = state or 'suspended'
rcall('HDEL', m, 'x')
rcall('HSET', m, 's', state, 'u', now, 'e', joined(old[3], ARGV[3]))
move(id, 'suspended', state, old[2])
return 1
`,
);

/** now, id, event, reason. Returns -1 when unknown, 0 when it has ended already, else 1 and the files to remove. */
const terminate = script(
  records,
  `
local now, id = ARGV[1], ARGV[2]
local m = record(id)
local old = rcall('HMGET', m, 's', 'a', 'e', 'k')
if not old[1] then return { -1 } end
if finished[old[1]] then return { 0 } end
for _, field in ipairs(rcall('HKEYS', m)) do
  if string.match(field, '^[dw]:') then rcall('HDEL', m, field) end
end
rcall('HDEL', m, 'n', 'x')
rcall('HSET', m, 's', 'terminated', 'u', now, 'e', joined(old[3], ARGV[3]))
move(id, old[1], 'terminated', old[2])
return release(id, old[4], { 1 })
`,
);

/** now, id, event. Returns 0 when unknown. */
const note = script(
  records,
  `
local m = record(ARGV[2])
local old = rcall('HMGET', m, 's', 'e')
if not old[1] then return 0 end
rcall('HSET', m, 'u', ARGV[1], 'e', joined(old[2], ARGV[3]))
return 1
`,
);

/**
 * state, oldest update to keep, how many to pass over, how many to look at. Forgets records of that state.
 * Returns how many it saw, how many it forgot, and files to remove.
 */
const forget = script(
  records,
  `
local state, oldest, skip, limit = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
local ids = rcall('ZRANGEBYSCORE', P .. ':ix:s:' .. state, '-inf', oldest, 'LIMIT', skip, limit)
local gone, files = 0, {}
for _, id in ipairs(ids) do
  local m = record(id)
  local fields = rcall('HMGET', m, 'u', 'b', 'p', 'k')
  if tonumber(fields[1] or 0) < oldest then
    release(id, fields[4], files)
    rcall('ZREM', P .. ':ix:s:' .. state, id)
    rcall('ZREM', P .. ':ix:all', id)
    if fields[2] then rcall('ZREM', P .. ':ix:b:' .. fields[2], id) end
    if fields[3] then rcall('ZREM', P .. ':ix:p:' .. fields[3], id) end
    rcall('UNLINK', m)
    gone = gone + 1
  end
end
return { #ids, gone, unpack(files) }
`,
);

export const scripts = { accept, decoded, handedOff, sent, suspend, resume, terminate, note, forget };

/** Runs a script by its digest, and sends its text when the server does not know it (again). */
export async function run(
  redis: Redis,
  prefix: string,
  { source, sha }: Script,
  args: (string | number | Buffer)[],
  what: string,
): Promise<unknown> {
  const key = `${prefix}:m`;
  try {
    return await redis.evalsha(sha, 1, key, ...args);
  } catch (error) {
    if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw redisError(error, what);
  }
  try {
    return await redis.eval(source, 1, key, ...args);
  } catch (error) {
    throw redisError(error, what);
  }
}
