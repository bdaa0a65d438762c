/**
 * What all Lua scripts of this room share.
 *
 * A record is one hash: `r` facts that never change (JSON), `s` state, `a` and `u` when received and updated, `b`
 * mailbox, `p` partner, `x` reason, `e` events (a JSON line each), `k` its octets (`i:ID` in Redis, `f:ID` file, the
 * original first), `o` how many octets these are while it is in progress or suspended, `n` remaining hand-offs,
 * `d:NAME` set while that destination is one of them, `w:NAME` data of a suspended job (queue, line feed, JSON), `g`
 * how often it was resumed, `v` how often it was decoded again after a hand-off, `c` references of content and result
 * (JSON), `h` until when they are held for a signed URL, `f` fingerprint of the request that an idempotency key came with.
 *
 * Indices: `ix:all`, `ix:s:STATE`, `ix:b:MAILBOX`, `ix:p:PARTNER`, `ix:x:REASON` (suspended ones only) are sorted sets
 * of ids by the time of receipt. `ix:i:XXXX` (Message-ID, SHA-1) and `ix:h:XXXX` (octets, SHA-256) are 65,536 small
 * sorted sets each, by the first four digits of the digest, of eight more digits and the id: Redis packs small ones,
 * which need a third of the memory. `load` holds the octets by state. `d:ID` replaces a removed record that still
 * counts for duplicate detection; its value is the fingerprint. `audit` is the stream of what people did.
 *
 * A job has two fields that BullMQ does not know: `rt` its route and `sq` its place in the order of arrival. Jobs that
 * have to wait for their route are kept apart (`parking.ts`): `parked:QUEUE` is a sorted set of all of them by `sq`,
 * `parked:QUEUE:ROUTE` of those of one route, `routes:QUEUE` the set of the routes that have any.
 */
import { createRequire } from 'node:module';
import { SealpostError } from '../errors.ts';

/**
 * BullMQ's own script that adds a job, to run inside ours: a job is added in the same transaction as the record, and
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

export const records = `
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
local held = { received = true, decoded = true, queued = true, suspended = true }
-- From one state to another; before and after are the octets that it holds in them.
local function move(id, from, to, received, before, after)
  before, after = tonumber(before or 0), tonumber(after or before or 0)
  if held[from] and before > 0 then rcall('HINCRBY', P .. ':load', from, -before) end
  if held[to] and after > 0 then rcall('HINCRBY', P .. ':load', to, after) end
  if from == to then return end
  rcall('ZADD', P .. ':ix:s:' .. to, received, id)
  if from then rcall('ZREM', P .. ':ix:s:' .. from, id) end
end
local function no_reason(id, reason)
  if reason then rcall('ZREM', P .. ':ix:x:' .. reason, id) end
end
local function digest_index(kind, digest, id)
  return P .. ':ix:' .. kind .. ':' .. string.sub(digest, 1, 4), string.sub(digest, 5, 12) .. id
end
local function audit(line)
  if line ~= '' then rcall('XADD', P .. ':audit', '*', 'j', line) end
end
local finished = { delivered = true, sent = true, terminated = true }
-- Whether a record (its field k) still has these octets. Otherwise whoever worked on them was overtaken: a person ended the
-- message, and it has come again under its id, or was decoded again.
local function holds(kept, token)
  return string.find(' ' .. (kept or '') .. ' ', ' ' .. token .. ' ', 1, true) ~= nil
end
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
-- Values came just before, in the same transaction (withOctets), and would end by themselves.
local function keep_octets(id, token)
  local object = string.sub(token, 3)
  if string.sub(token, 1, 1) == 'f' then
    rcall('SADD', P .. ':f:' .. object, id)
  elseif rcall('PERSIST', P .. ':o:' .. object) == 0 then
    error('the octets ' .. object .. ' did not come with the step')
  end
end
local function drop_octets(token)
  if string.sub(token, 1, 1) == 'i' then rcall('UNLINK', P .. ':o:' .. string.sub(token, 3)) end
end
-- Takes a record out of every index.
local function unindex(id, state, fields)
  rcall('ZREM', P .. ':ix:s:' .. state, id)
  rcall('ZREM', P .. ':ix:all', id)
  if fields.b then rcall('ZREM', P .. ':ix:b:' .. fields.b, id) end
  if fields.p then rcall('ZREM', P .. ':ix:p:' .. fields.p, id) end
  local facts = cjson.decode(fields.r)
  if type(facts.messageId) == 'string' then rcall('ZREM', digest_index('i', redis.sha1hex(facts.messageId), id)) end
  rcall('ZREM', digest_index('h', facts.sha256, id))
end
`;

export const jobs = () => `
local add_bullmq
do
  -- Our arguments are tables already.
  local cmsgpack = { unpack = function(value) return value end }
  add_bullmq = function(KEYS, ARGV)
${bullmqAddScript()}
  end
end
local function park(queue, route, id, order)
  rcall('ZADD', P .. ':parked:' .. queue, order, id)
  rcall('ZADD', P .. ':parked:' .. queue .. ':' .. route, order, id)
  rcall('SADD', P .. ':routes:' .. queue, route)
end
-- q is what all keys of the queue begin with.
local function add_to(q, name, data, id, options, now)
  add_bullmq(
    { q .. 'wait', q .. 'paused', q .. 'meta', q .. 'id', q .. 'completed', q .. 'delayed', q .. 'active',
      q .. 'events', q .. 'marker' },
    { { q, id, name, tonumber(now) }, data, options })
end
-- Behind the jobs of the same route that are parked, if there are any; a job without a route is sorted by its worker.
local function add_job(queue, id, data, now, route)
  local q = P .. ':' .. queue .. ':'
  add_to(q, queue, data, id,
    { attempts = 1000000, removeOnComplete = true, stackTraceLimit = 0, backoff = { type = 'custom' } }, now)
  -- One with this id may have been there.
  if not route or rcall('LINDEX', q .. 'wait', 0) ~= id then return end
  local order = rcall('GET', q .. 'id')
  rcall('HSET', q .. id, 'rt', route, 'sq', order)
  if rcall('EXISTS', P .. ':parked:' .. queue .. ':' .. route) == 1 then
    rcall('LPOP', q .. 'wait')
    park(queue, route, id, order)
  end
end
`;
