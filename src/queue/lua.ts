/**
 * What all Lua scripts of this room share.
 *
 * A record is one hash: `r` facts that never change (JSON), `s` state, `a` and `u` when received and updated, `b`
 * mailbox, `p` partner, `y` how the partner of an inbound message was resolved, `x` reason, `e` events (a JSON line
 * each), `k` its octets (`i:ID` in Redis, `f:ID` file, the original first), `o` how many octets these are while it is
 * in progress or suspended, `n` remaining hand-offs, `d:NAME` set while that destination is one of them, `w:NAME` data
 * of a suspended job (queue, line feed, JSON), `g` how often it was resumed, `v` how often it was decoded again after a
 * hand-off, `c` references of content and result (JSON), `h` until when they are held for a signed URL, `f` fingerprint
 * of the request that an idempotency key came with, `t` sealed subject (`subjects.ts`), `q` and `z` about replay
 * (`acts.ts`).
 *
 * Indices: `ix:all`, `ix:s:STATE`, `ix:b:MAILBOX`, `ix:p:PARTNER`, `ix:x:REASON` (suspended ones only) are sorted sets
 * of ids by the time of receipt. `ix:i:XXXX` (Message-ID, SHA-1) and `ix:h:XXXX` (octets, SHA-256) are 65,536 small
 * sorted sets each, by the first four digits of the digest, of eight more digits and the id: Redis packs small ones,
 * which need a third of the memory. `ix:n:XXXX` are alike, of the ids themselves, and `ix:a:XXXX` of the addresses of
 * the envelope (SHA-1), by time (`old-indices.ts` adds both to records of before). `load` holds the octets by state.
 * `d:ID` replaces a removed record that still counts for duplicate detection; its value is the fingerprint. `audit` is
 * the stream of what people did.
 *
 * `dup:DIGEST` is the message that has what a partner may not send twice, `explained:PARTNER` a sorted set of the
 * messages that were explained to a partner, by time (`inbound-guards.ts`).
 *
 * `events` is the stream of what happens to messages (`i` id, `e` event), while somebody follows it (`events.ts`).
 *
 * A job has two fields that BullMQ does not know: `rt` its route and `sq` its place in the order of arrival. Jobs that
 * have to wait for their route are kept apart (`parking.ts`): `parked:QUEUE` is a sorted set of all of them by `sq`,
 * `parked:QUEUE:ROUTE` of those of one route, `routes:QUEUE` the set of the routes that have any. `ends` is a sorted
 * set of outbound messages that expire, by when: they may wait where nobody looks at them.
 */
import { createRequire } from 'node:module';
import { SealpostError } from '../errors.ts';
import { lifetimes } from '../redis/index.ts';
import { usualPriority } from './priority.ts';

/**
 * One of BullMQ's own scripts, to run inside ours: a job is added in the same transaction as the record, and only if
 * the message is new; and it ends in the same transaction as the step that it was for. BullMQ's version is pinned;
 * tests let a BullMQ worker run what was added and ended this way.
 *
 * Its events go through `tell`, which the surrounding script defines: nobody reads those of our own queues, and they
 * were an eighth of what a message cost Redis.
 */
function bullmqScript(file: string, name: string): string {
  const exported: unknown = createRequire(import.meta.url)(`bullmq/dist/cjs/scripts/${file}.js`);
  const entries = typeof exported === 'object' && exported !== null ? Object.entries(exported) : [];
  const found: unknown = entries.find(([key]) => key === name)?.[1];
  if (typeof found === 'object' && found !== null && 'content' in found)
    return String(found.content).replaceAll(/\brcall\("(?=XADD"|XTRIM")/g, 'tell("');
  throw new SealpostError('internal', 'this version of BullMQ keeps its scripts elsewhere');
}

/** Milliseconds of one span of the tally. */
export const tallySpan = 600_000;

/** Days that counters of how messages were protected are kept. */
export const usedDays = 92;

export const records = `
local rcall = redis.call
local P = string.sub(KEYS[1], 1, -3)
local function record(id) return P .. ':m:' .. id end
-- Events beyond this many octets are dropped: a message that is retried for weeks stays small. Whoever follows the stream
-- of events sees them all; without a follower there is no stream.
local followed
local function joined(m, events, ...)
  local e = events or ''
  if followed == nil then followed = rcall('EXISTS', P .. ':events') == 1 end
  for _, line in ipairs({ ... }) do
    if #e < 30000 then e = e .. line .. '\\n' end
    if followed then for each in string.gmatch(line, '[^\\n]+') do
      rcall('XADD', P .. ':events', 'NOMKSTREAM', 'MAXLEN', '~', 50000, '*', 'i', string.sub(m, #P + 4), 'e', each)
    end end
  end
  return e
end
-- What many messages of one run write into the same hash or sorted set. After \`collect\`, it is written by \`flush\` with
-- one command for each of these; what is said last of a member counts. Whoever collects must flush, also after an error.
local collected
local function collect() collected = { hashes = {}, lives = {}, sets = {} } end
local function increase(key, field, by, life)
  if not collected then
    if rcall('HINCRBY', key, field, by) == by and life then rcall('PEXPIRE', key, life) end
    return
  end
  local hash = collected.hashes[key]
  if not hash then
    hash = {}
    collected.hashes[key], collected.lives[key] = hash, life
  end
  hash[field] = (hash[field] or 0) + by
end
-- Without a score, the member is removed.
local function place(key, id, score)
  if collected then
    local set = collected.sets[key]
    if not set then
      set = {}
      collected.sets[key] = set
    end
    set[id] = score or false
  elseif score then
    rcall('ZADD', key, score, id)
  else
    rcall('ZREM', key, id)
  end
end
local function flush()
  local each = collected
  collected = nil
  for key, hash in pairs(each.hashes) do
    for field, by in pairs(hash) do increase(key, field, by, each.lives[key]) end
  end
  for key, set in pairs(each.sets) do
    local added, removed = {}, {}
    for id, score in pairs(set) do
      if score then
        added[#added + 1] = score
        added[#added + 1] = id
      else
        removed[#removed + 1] = id
      end
      -- Lua passes some thousands of arguments at most.
      if #added >= 1000 then
        rcall('ZADD', key, unpack(added))
        added = {}
      end
      if #removed >= 1000 then
        rcall('ZREM', key, unpack(removed))
        removed = {}
      end
    end
    if #added > 0 then rcall('ZADD', key, unpack(added)) end
    if #removed > 0 then rcall('ZREM', key, unpack(removed)) end
  end
end
local clock
-- Counts what happens, by spans of ten minutes: \`tally:N\` is a hash. What came counts by its state, what was handed off or
-- sent by how long it took, in half powers of two of milliseconds, and what was suspended by its direction.
local function count_move(from, to, received)
  local field = to
  if to == 'received' or to == 'queued' then
    if from then return end
  elseif to ~= 'delivered' and to ~= 'sent' and to ~= 'suspended' then
    return
  end
  if not clock then
    local time = rcall('TIME')
    clock = time[1] * 1000 + math.floor(time[2] / 1000)
  end
  if to == 'suspended' then
    field = from == 'queued' and 'suspended:outbound' or 'suspended:inbound'
  elseif to == 'delivered' or to == 'sent' then
    field = to .. ':' .. math.ceil(2 * math.log(math.max(1, clock - received)) / math.log(2))
  end
  increase(P .. ':tally:' .. math.floor(clock / ${tallySpan}), field, 1, ${lifetimes.tally})
end
local held = { received = true, decoded = true, queued = true, suspended = true }
-- From one state to another; before and after are the octets that it holds in them.
local function move(id, from, to, received, before, after)
  before, after = tonumber(before or 0), tonumber(after or before or 0)
  if held[from] and before > 0 then increase(P .. ':load', from, -before) end
  if held[to] and after > 0 then increase(P .. ':load', to, after) end
  if from == to then return end
  count_move(from, to, received)
  place(P .. ':ix:s:' .. to, id, received)
  if from then place(P .. ':ix:s:' .. from, id) end
end
local function no_reason(id, reason)
  if reason then rcall('ZREM', P .. ':ix:x:' .. reason, id) end
end
local function digest_index(kind, digest, id)
  return P .. ':ix:' .. kind .. ':' .. string.sub(digest, 1, 4), string.sub(digest, 5, 12) .. id
end
local function id_index(id) return P .. ':ix:n:' .. string.sub(id, 2, 5) end
-- The set of an address, in small letters, and the member of a message there.
local function address_index(address, id) return digest_index('a', redis.sha1hex(string.lower(address)), id) end
-- Calls with these for each address of the facts of a record.
local function each_address(facts, id, call)
  local envelope = facts.envelope or {}
  for _, address in ipairs({ envelope.from or '', unpack(envelope.to or {}) }) do
    if address ~= '' then call(address_index(address, id)) end
  end
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
  -- Whoever looks at a suspended message sees its verdict, and nobody else afterwards.
  local values = { P .. ':verdict:' .. id }
  for kind, object in string.gmatch(tokens or '', '(%a):(%w+)') do
    if kind == 'i' then
      values[#values + 1] = P .. ':o:' .. object
    else
      rcall('SREM', P .. ':f:' .. object, id)
      if rcall('EXISTS', P .. ':f:' .. object) == 0 then files[#files + 1] = object end
    end
  end
  rcall('UNLINK', unpack(values))
  return files
end
-- Values came just before, in the same transaction (scriptCommands), and would end by themselves.
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
-- Who sent an inbound message, and how that is known ('' for nobody, '-' leaves what is there); behind a line feed in
-- \`by\`, its sealed subject if that is kept. A message that is decoded again may be another partner's by now.
local function attribute(m, id, received, before, partner, by)
  if partner == '-' then return end
  local subject
  by, subject = string.match(by, '^(%a*)\\n?(.*)$')
  if subject ~= '' then rcall('HSET', m, 't', subject) else rcall('HDEL', m, 't') end
  if before and before ~= partner then rcall('ZREM', P .. ':ix:p:' .. before, id) end
  if partner ~= '' then rcall('ZADD', P .. ':ix:p:' .. partner, received, id)
  elseif before then rcall('HDEL', m, 'p') end
  if partner ~= '' and by ~= '' then rcall('HSET', m, 'p', partner, 'y', by)
  elseif by ~= '' then rcall('HSET', m, 'y', by)
  else rcall('HDEL', m, 'y') end
end
-- Counts how a message was protected (the fact \`used\` of its event), once for each message, by partner and day:
-- \`used:PARTNER:DAY\` is a hash of 64 codes, 16 of them for mail that only claims to be from the partner (\`c\`), which
-- anybody can write; further ones count as \`*\`. What had another \`owner\` before was not counted for this partner.
local function count_used(partner, event, before, owner, now)
  local code = string.match(event, '"used":"([^"\\\\]+)"')
  if not code or not partner or partner == '' or partner == '-' then return end
  if owner == partner and before and string.find(before, '"used":"' .. code .. '"', 1, true) then return end
  local key = P .. ':used:' .. partner .. ':' .. math.floor(now / 86400000)
  if rcall('HINCRBY', key, code, 1) > 1 then return end
  local room, claimed = 64 + rcall('HEXISTS', key, '*') - rcall('HLEN', key), 16
  if string.sub(code, 1, 1) == 'c' then
    for _, each in ipairs(rcall('HKEYS', key)) do
      if string.sub(each, 1, 1) == 'c' then claimed = claimed - 1 end
    end
  end
  if room < 0 or claimed < 0 then
    rcall('HDEL', key, code)
    rcall('HINCRBY', key, '*', 1)
  end
  rcall('EXPIRE', key, ${usedDays * 86_400})
end
-- Takes a record out of every index.
local function unindex(id, state, fields)
  rcall('ZREM', P .. ':ix:s:' .. state, id)
  rcall('ZREM', P .. ':ix:all', id)
  rcall('ZREM', id_index(id), id)
  if fields.b then rcall('ZREM', P .. ':ix:b:' .. fields.b, id) end
  if fields.p then rcall('ZREM', P .. ':ix:p:' .. fields.p, id) end
  local facts = cjson.decode(fields.r)
  if type(facts.messageId) == 'string' then rcall('ZREM', digest_index('i', redis.sha1hex(facts.messageId), id)) end
  rcall('ZREM', digest_index('h', facts.sha256, id))
  each_address(facts, id, function(bucket, member) rcall('ZREM', bucket, member) end)
end
`;

/** The jobs of a message that has not ended, by state and field `g` of its record: queue and id of each. */
export const jobsOf = `
local function jobs_of(id, state, turns)
  local found, last = {}, math.min(tonumber(turns or 0), 99)
  local function try(queue, job)
    if rcall('EXISTS', P .. ':' .. queue .. ':' .. job) == 1 then found[#found + 1] = { queue, job } end
  end
  local function all(queue, ...)
    for _, name in ipairs({ ... }) do
      for turn = 1, last do try(queue, id .. '.' .. name .. '.' .. turn) end
    end
  end
  if state == 'queued' then
    try('outbound', id)
    all('outbound', 'life', 'outbound')
  elseif state == 'received' then
    try('inbound', id)
    all('inbound', 'life', 'again', 'inbound')
  else
    for _, field in ipairs(rcall('HKEYS', record(id))) do
      local name = string.match(field, '^d:(.+)$')
      if name then
        try('handoff', id .. '.' .. name)
        all('handoff', name, 'handoff.' .. name)
      end
    end
  end
  return found
end
`;

/** Places in the order of arrival between two priorities: more than there ever are jobs. */
const priorityStep = 2 ** 40;

export const jobs = () => `
local add_bullmq
local usual = { attempts = 1000000, removeOnComplete = true, stackTraceLimit = 0, backoff = { type = 'custom' } }
-- Whether BullMQ's events are written: only those of queues that other programs read.
local loud = false
do
  local function tell(...)
    if loud then return redis.call(...) end
  end
  -- Once for all jobs of a run.
  local encode, known = cjson.encode
  local cjson = {
    encode = function(value)
      if value ~= usual then return encode(value) end
      known = known or encode(value)
      return known
    end,
  }
  -- Our arguments are tables already.
  local cmsgpack = { unpack = function(value) return value end }
  add_bullmq = function(KEYS, ARGV)
${bullmqScript('addStandardJob-9', 'addStandardJob')}
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
local function add_job(queue, id, data, now, route, priority)
  local q = P .. ':' .. queue .. ':'
  add_to(q, queue, data, id, usual, now)
  -- One with this id may have been there.
  if rcall('LINDEX', q .. 'wait', 0) ~= id then return end
  local order = rcall('GET', q .. 'id')
  if priority then order = string.format('%.0f', order + priority * ${priorityStep}) end
  -- Also without a route: many that are put back to work together keep their order when they are parked.
  if not route then
    rcall('HSET', q .. id, 'sq', order)
    return
  end
  rcall('HSET', q .. id, 'sq', order, 'rt', route)
  if rcall('EXISTS', P .. ':parked:' .. queue .. ':' .. route) == 1 then
    rcall('LPOP', q .. 'wait')
    park(queue, route, id, order)
  end
end
-- What a client asked for, by the job of its message.
local function delivery_of(data)
  return cjson.decode(data).delivery or {}
end
-- When it expires, if it does.
local function note_end(id, data)
  local at = string.find(data, '"notAfter":', 1, true) and delivery_of(data).notAfter
  if at then rcall('ZADD', P .. ':ends', string.format('%.0f', at), id) end
end
`;

/**
 * Mail of a client for a partner in strict order: `line:PARTNER/CLIENT` is a sorted set of the messages that have not
 * ended, by their place. Only the first has a job, or is suspended; field `j` of the record of another is its job (id,
 * line feed, data), and field `l` the name of its line. `lines` is the set of these names. Clients do not wait for each
 * other. Goes with `jobs`.
 */
export const lines = `
local function partner_of(line)
  return string.match(line, '^[^/]*')
end
-- Puts the first of a line on the queue, unless it is there.
local function advance(line, now)
  local key = P .. ':line:' .. line
  while true do
    local first = rcall('ZRANGE', key, 0, 0)[1]
    if not first then
      rcall('SREM', P .. ':lines', line)
      return
    end
    local old = rcall('HMGET', record(first), 's', 'j')
    if old[1] and not finished[old[1]] then
      if old[2] and old[1] == 'queued' then
        local id, data = string.match(old[2], '^(%S+)\\n(.*)$')
        rcall('HDEL', record(first), 'j')
        add_job('outbound', id, data, now, partner_of(line), ${usualPriority})
      end
      return
    end
    rcall('ZREM', key, first)
  end
end
local function enter_line(line, id, job, data, now)
  rcall('ZADD', P .. ':line:' .. line, rcall('INCR', P .. ':places'), id)
  rcall('SADD', P .. ':lines', line)
  rcall('HSET', record(id), 'j', job .. '\\n' .. data, 'l', line)
  advance(line, now)
end
local function leave_line(id, now)
  local line = rcall('HGET', record(id), 'l')
  if line and rcall('ZREM', P .. ':line:' .. line, id) == 1 then advance(line, now) end
end
`;

/** Of the step of one job, in the reply for several. */
export const stepFailed = -100;

/**
 * Steps together with the end of their jobs, and the next ones. Arguments: queue, milliseconds of a lock, now, the most
 * octets that may come with a job, the first and the last of those of its message that its work needs; then for each
 * job: its id, token of its lock, 1 if the next job is wanted (2: none of those that wait for the place of this one),
 * number of arguments of the step, and these. Returns a list for each job: a negative number as BullMQ does, if the job
 * is not ours any more (nothing is written then), or ${stepFailed} and why, if the step failed; the others go on. Else
 * 0, what the step returned, and of the next job, if one was wanted: its fields (or 0), id, and two delays, as BullMQ
 * says them; 1 if it waited for a place of the same route; state and tokens of its message, token and value of each.
 *
 * What BullMQ would refuse is asked before, and its script runs last: Redis undoes nothing if a script fails halfway,
 * and a step that failed behind it (a destination's key of a wrong type) would leave a message without its job.
 */
export const ending = (step: string) => `
local end_bullmq
do
  local function tell() end
  local cmsgpack = { unpack = function(value) return value end }
  end_bullmq = function(KEYS, ARGV)
${bullmqScript('moveToFinished-14', 'moveToFinished')}
  end
end
local function step(ARGV)
${step}
end
local queue, lock, at_now, most = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local first, last = tonumber(ARGV[5]), tonumber(ARGV[6])
local q = P .. ':' .. queue .. ':'
local function end_one(job, token, wanted, own)
  if rcall('EXISTS', q .. job) == 0 then return { -1 } end
  local holder = rcall('GET', q .. job .. ':lock')
  if not holder then return { -2 } end
  if holder ~= token then return { -6 } end
  if not rcall('LPOS', q .. 'active', job) then return { -3 } end
  local outcome = step(own)
  -- A job that waits for the place which becomes free is the next one: it need not be called back.
  local called = 0
  local route = wanted == '1' and rcall('HGET', q .. job, 'rt')
  if route then
    local key = P .. ':parked:' .. queue .. ':' .. route
    local id = rcall('ZPOPMIN', key)[1]
    if id then
      rcall('ZREM', P .. ':parked:' .. queue, id)
      if rcall('EXISTS', key) == 0 then rcall('SREM', P .. ':routes:' .. queue, route) end
      if rcall('EXISTS', q .. id) == 1 then
        rcall('HSET', q .. id, 'rl', at_now)
        rcall('RPUSH', q .. 'wait', id)
        called = 1
      end
    end
  end
  local ended = end_bullmq(
    { q .. 'wait', q .. 'active', q .. 'prioritized', q .. 'events', q .. 'stalled', q .. 'limiter', q .. 'delayed',
      q .. 'paused', q .. 'meta', q .. 'pc', q .. 'completed', q .. job, q .. 'metrics:completed', q .. 'marker' },
    { job, at_now, 'returnvalue', 'null', 'completed', wanted == '0' and '0' or '1', q,
      { token = token, lockDuration = lock, keepJobs = { count = 0 }, maxMetricsSize = '' } })
  if type(ended) ~= 'table' then return { ended, outcome } end
  local reply = { 0, outcome, ended[1], ended[2], ended[3], ended[4], called }
  if type(ended[1]) ~= 'table' then return reply end
  local message = rcall('HMGET', record(string.match(ended[2], '^[^.]+')), 's', 'k')
  reply[8], reply[9] = message[1], message[2]
  local at = 0
  for kind, object in string.gmatch(message[2] or '', '(%a):(%w+)') do
    at = at + 1
    local key = P .. ':o:' .. object
    if kind == 'i' and at >= first and at <= last and rcall('STRLEN', key) <= most then
      reply[#reply + 1] = object
      reply[#reply + 1] = rcall('GET', key)
    end
  end
  return reply
end
collect()
local replies, at = {}, 7
while at <= #ARGV do
  local own = {}
  for each = 1, tonumber(ARGV[at + 3]) do own[each] = ARGV[at + 3 + each] end
  local went, reply = pcall(end_one, ARGV[at], ARGV[at + 1], ARGV[at + 2], own)
  if not went then reply = { ${stepFailed}, type(reply) == 'table' and reply.err or tostring(reply) } end
  replies[#replies + 1] = reply
  at = at + 4 + #own
end
flush()
return replies
`;
