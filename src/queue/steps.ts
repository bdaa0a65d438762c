/** The steps of a message, one script each; `lua.ts` says what a record is made of. */
import { freeingScript, type Script, script } from '../redis/index.ts';
import { ending, jobs, jobsOf, lines, records } from './lua.ts';
import { nudgeLasts } from './retry.ts';

/** A step that ends a job: by itself, and in one script with the end of the job and the next one (`ending`). */
export interface Step {
  alone: Script;
  ending: Script;
}

function step(make: typeof script, body: string): Step {
  return { alone: make(records, jobs(), lines, body), ending: make(records, jobs(), lines, ending(body)) };
}

/**
 * Milliseconds that a message is known as a duplicate, queue, first state, kind of the second index, twice: state, most
 * messages and most octets in it (the second state may be ''), then for each arrival: now and its number of messages,
 * and for each of these: id, name in the second index, facts, event, event if it is a duplicate, token of the octets,
 * job, Message-ID or '', SHA-256, octets, fingerprint of the request or '', priority or '', '1' if the partner's mail leaves in strict order. Returns for each arrival 1 for each duplicate
 * and 0 for each that was accepted; or -2 if one has the id of another request, and nothing is stored then; or -1, state, and 'depth' or 'octets' if there is no room; nothing is stored then. An arrival that an
 * interrupted run accepted under the same token is not a duplicate.
 */
const accept = script(
  records,
  jobs(),
  lines,
  `
local known, queue, state, index = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4]
local function no_room()
  for at = 5, 8, 3 do
    local limited = ARGV[at]
    if limited ~= '' then
      if rcall('ZCARD', P .. ':ix:s:' .. limited) >= tonumber(ARGV[at + 1]) then return { -1, limited, 'depth' } end
      if tonumber(rcall('HGET', P .. ':load', limited) or 0) >= tonumber(ARGV[at + 2]) then
        return { -1, limited, 'octets' }
      end
    end
  end
end
-- One message of an arrival: 1 for a duplicate, else 0.
local function accept(at, now)
  local id, name, m, token, print = ARGV[at], ARGV[at + 1], record(ARGV[at]), ARGV[at + 5], ARGV[at + 10]
  local old = rcall('HMGET', m, 's', 'a', 'e', 'b', 'p', 'r', 'g', 'v', 'k')
  if old[9] and string.sub(old[9] .. ' ', 1, #token + 1) == token .. ' ' then
    -- The value has come once more, and would end by itself.
    if not finished[old[1]] then keep_octets(id, token) end
    return 0
  end
  -- What a person has ended is no duplicate: it comes to life again under its id, after the events of its first life.
  local ended = old[1] == 'terminated'
  if old[1] and not ended and (not finished[old[1]] or tonumber(old[2]) >= tonumber(now) - known) then
    rcall('HSET', m, 'e', joined(m, old[3], ARGV[at + 4]))
    drop_octets(token)
    return 1
  end
  if not old[1] and rcall('EXISTS', P .. ':d:' .. id) == 1 then
    drop_octets(token)
    return 1
  end
  keep_octets(id, token)
  if old[1] then
    unindex(id, old[1], { b = old[4], p = old[5], r = old[6] })
    rcall('DEL', m)
  end
  local work, job = id, ARGV[at + 6]
  if ended then
    -- Jobs of the first life may not be gone yet: with the same id this one would be ignored.
    local turn = tonumber(old[7] or 0) + 1
    work = id .. '.life.' .. turn
    rcall('HSET', m, 'g', turn)
    if queue == 'inbound' then
      -- A destination may have it from the first life, and must not take this one for a repetition.
      local again = tonumber(old[8] or 0) + 1
      rcall('HSET', m, 'v', again)
      job = string.sub(job, 1, -2) .. ',"again":' .. again .. '}'
    end
  end
  rcall('HSET', m, 'r', ARGV[at + 2], 's', state, 'a', now, 'u', now, index, name,
    'e', joined(m, old[3], ARGV[at + 3]), 'k', token, 'o', ARGV[at + 9])
  if print ~= '' then rcall('HSET', m, 'f', print) end
  rcall('ZADD', P .. ':ix:all', now, id)
  rcall('ZADD', P .. ':ix:' .. index .. ':' .. name, now, id)
  move(id, nil, state, now, 0, ARGV[at + 9])
  if ARGV[at + 7] ~= '' then
    local bucket, member = digest_index('i', redis.sha1hex(ARGV[at + 7]), id)
    rcall('ZADD', bucket, 0, member)
  end
  local bucket, member = digest_index('h', ARGV[at + 8], id)
  rcall('ZADD', bucket, 0, member)
  -- Also if the setting is gone: who comes later waits behind those that are in line.
  if queue == 'outbound' and (ARGV[at + 12] == '1' or rcall('EXISTS', P .. ':line:' .. name) == 1) then
    enter_line(name, id, work, job, now)
  else
    add_job(queue, work, job, now, name, tonumber(ARGV[at + 11]))
  end
  return 0
end
-- True if a message is known from another request. What was ended or forgotten conflicts with nothing.
local function conflicts(at, now)
  local print = ARGV[at + 10]
  if print == '' then return false end
  local old = rcall('HMGET', record(ARGV[at]), 's', 'a', 'f')
  if not old[1] then
    local forgotten = rcall('GET', P .. ':d:' .. ARGV[at])
    return forgotten and forgotten ~= print
  end
  if old[1] == 'terminated' then return false end
  if finished[old[1]] and tonumber(old[2]) < tonumber(now) - known then return false end
  return old[3] ~= print
end
local each_size = 13
local results, at = {}, 11
while at <= #ARGV do
  local now, last = ARGV[at], at + 2 + each_size * (tonumber(ARGV[at + 1]) - 1)
  local result
  for each = at + 2, last, each_size do
    if conflicts(each, now) then result = { -2 } end
  end
  result = result or no_room()
  if result then
    for each = at + 2, last, each_size do drop_octets(ARGV[each + 5]) end
  else
    result = {}
    for each = at + 2, last, each_size do result[#result + 1] = accept(each, now) end
  end
  results[#results + 1] = result
  at = last + each_size
end
return results
`,
);

/**
 * now, id, event, partner or '', token of the content, token of the result, references of both, octets of all, token of
 * the octets that were decoded, number of pieces, token of each, then name, job and route for each destination. Returns 0
 * when the message has moved on already, or has other octets by now.
 */
const decoded = step(
  script,
  `
local now, id, partner = ARGV[1], ARGV[2], ARGV[4]
local m = record(id)
local old = rcall('HMGET', m, 's', 'k', 'a', 'e', 'o', 'g')
local tokens = { ARGV[5], ARGV[6] }
local first = 11 + tonumber(ARGV[10])
for at = 11, first - 1 do tokens[#tokens + 1] = ARGV[at] end
if old[1] ~= 'received' or not holds(old[2], ARGV[9]) then
  for _, token in ipairs(tokens) do drop_octets(token) end
  return 0
end
for _, token in ipairs(tokens) do keep_octets(id, token) end
local kept = old[2] .. ' ' .. table.concat(tokens, ' ')
local octets = tonumber(old[5] or 0) + tonumber(ARGV[8])
local fields = { 's', 'decoded', 'u', now, 'e', joined(m, old[4], ARGV[3]), 'k', kept,
  'n', (#ARGV - first + 1) / 3, 'c', ARGV[7], 'o', octets }
if partner ~= '' then
  fields[#fields + 1] = 'p'
  fields[#fields + 1] = partner
  rcall('ZADD', P .. ':ix:p:' .. partner, old[3], id)
end
-- Jobs of an earlier turn may not be gone yet: with the same id these would be ignored.
local turn = ''
if old[6] then turn = '.' .. old[6] end
for at = first, #ARGV, 3 do
  fields[#fields + 1] = 'd:' .. ARGV[at]
  fields[#fields + 1] = 1
  add_job('handoff', id .. '.' .. ARGV[at] .. turn, ARGV[at + 1], now, ARGV[at + 2])
end
rcall('HSET', m, unpack(fields))
move(id, 'received', 'decoded', old[3], old[5], octets)
return 1
`,
);

/**
 * What had left when a person ended its message cannot be called back, so the record says that it arrived. It changes
 * nothing else, least of all in the message that came under the same id since then.
 */
const late = `
local function late(m, state, events, kept, token, event)
  if not state or (state ~= 'terminated' and holds(kept, token)) then return false end
  rcall('HSET', m, 'e', joined(m, events, event))
  return true
end
`;

/**
 * now, id, destination, event, event if it was the last one, milliseconds that the original is kept, time until which
 * content and result are held (0: not at all), token of the content, event if it comes too late. Returns -1 when it was
 * handed off there already, or was ended in the meantime, 0, or with the last one 1 and the files to remove.
 */
const handedOff = step(
  freeingScript,
  `${late}
local now, id, name, kept, hold = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[6]), tonumber(ARGV[7])
local m = record(id)
local old = rcall('HMGET', m, 'd:' .. name, 'n', 's', 'a', 'e', 'k', 'h', 'o', 'x')
if late(m, old[3], old[5], old[6], ARGV[8], ARGV[9]) or not old[1] then return { -1 } end
hold = math.max(hold, tonumber(old[7] or 0))
if hold > 0 then rcall('HSET', m, 'h', string.format('%.0f', hold)) end
local left = tonumber(old[2]) - 1
if left > 0 then
  rcall('HDEL', m, 'd:' .. name, 'w:handoff.' .. name)
  rcall('HSET', m, 'n', left, 'u', now, 'e', joined(m, old[5], ARGV[4]))
  return { 0 }
end
rcall('HDEL', m, 'd:' .. name, 'w:handoff.' .. name, 'n', 'x', 'o')
no_reason(id, old[9])
rcall('HSET', m, 's', 'delivered', 'u', now, 'e', joined(m, old[5], ARGV[4], ARGV[5]))
move(id, old[3], 'delivered', old[4], old[8], 0)
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

/**
 * now, id, partner or '', events, milliseconds that the original is kept, token of the octets, then, where the destination
 * is a queue here: its keys' prefix, name and data of the job, its id, options as JSON. Received and handed off in one
 * step, for a message with one destination. Returns 0 when the message has moved on already, or has other octets by now,
 * else 1 and the files to remove.
 */
const handedOffAtOnce = step(
  script,
  `
local now, id, partner, kept = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[5])
local m = record(id)
local old = rcall('HMGET', m, 's', 'k', 'a', 'e', 'o')
if old[1] ~= 'received' or not holds(old[2], ARGV[6]) then return { 0 } end
if ARGV[7] then add_to(ARGV[7], ARGV[8], ARGV[9], ARGV[10], cjson.decode(ARGV[11]), now) end
if partner ~= '' then
  rcall('HSET', m, 'p', partner)
  rcall('ZADD', P .. ':ix:p:' .. partner, old[3], id)
end
rcall('HDEL', m, 'o')
rcall('HSET', m, 's', 'delivered', 'u', now, 'e', joined(m, old[4], ARGV[4]))
move(id, 'received', 'delivered', old[3], old[5], 0)
if kept <= 0 then return release(id, old[2], { 1 }) end
local kind, object = string.match(old[2], '^(%a):(%w+)')
if kind == 'i' then rcall('PEXPIRE', P .. ':o:' .. object, string.format('%.0f', kept)) end
return { 1 }
`,
);

/**
 * now, id, event, token of the octets, event if it comes too late. Returns 0 when it has already ended, else 1 and the
 * files to remove.
 */
const sent = step(
  freeingScript,
  `${late}
local now, id = ARGV[1], ARGV[2]
local m = record(id)
local old = rcall('HMGET', m, 's', 'a', 'e', 'k', 'o', 'x', 'p')
if late(m, old[1], old[3], old[4], ARGV[4], ARGV[5]) or not old[1] or finished[old[1]] then return { 0 } end
rcall('HDEL', m, 'x', 'w:outbound', 'o')
no_reason(id, old[6])
rcall('HSET', m, 's', 'sent', 'u', now, 'e', joined(m, old[3], ARGV[3]))
move(id, old[1], 'sent', old[2], old[5], 0)
leave_line(old[7], id, now)
return release(id, old[4], { 1 })
`,
);

/**
 * now, id, event, reason, name of the work, queue, job, job of the report without its turn or '', its route, token of the
 * octets, '1' if those behind it in line go on. Returns 0 when it has already ended, or has other octets by now.
 */
const suspend = step(
  freeingScript,
  `
local now, id = ARGV[1], ARGV[2]
local m = record(id)
local old = rcall('HMGET', m, 's', 'a', 'e', 'o', 'x', 'w:' .. ARGV[5], 'g', 'k', 'p')
if not old[1] or finished[old[1]] or not holds(old[8], ARGV[10]) then return 0 end
-- Once for each time that the work is suspended, and not again for a job that lost its lock.
if ARGV[8] ~= '' and not old[6] then
  local turn = old[7] or '0'
  local data = string.sub(ARGV[8], 1, -2) .. ',"turn":' .. turn .. '}'
  add_job('failures', id .. '.' .. ARGV[5] .. '.' .. turn, data, now, ARGV[9])
end
if old[5] ~= ARGV[4] then no_reason(id, old[5]) end
rcall('ZADD', P .. ':ix:x:' .. ARGV[4], old[2], id)
rcall('HSET', m, 's', 'suspended', 'u', now, 'e', joined(m, old[3], ARGV[3]), 'x', ARGV[4],
  'w:' .. ARGV[5], ARGV[6] .. '\\n' .. ARGV[7])
move(id, old[1], 'suspended', old[2], old[4])
if ARGV[11] == '1' then leave_line(old[9], id, now) end
return 1
`,
);

/** now, id, event, line of the audit trail. Returns -1 when unknown, 0 when not suspended, else 1. */
const resume = script(
  records,
  jobs(),
  `
local now, id = ARGV[1], ARGV[2]
local m = record(id)
local fields = rcall('HGETALL', m)
if #fields == 0 then return -1 end
local old = rcall('HMGET', m, 's', 'a', 'e', 'o', 'x')
if old[1] ~= 'suspended' then return 0 end
audit(ARGV[4])
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
no_reason(id, old[5])
rcall('HSET', m, 's', state, 'u', now, 'e', joined(m, old[3], ARGV[3]))
move(id, 'suspended', state, old[2], old[4])
return 1
`,
);

/** now, id, event, line of the audit trail. Returns -1 when unknown, 0 when it has already ended, else 1 and the files to remove. */
const terminate = freeingScript(
  records,
  jobs(),
  lines,
  `
local now, id = ARGV[1], ARGV[2]
local m = record(id)
local old = rcall('HMGET', m, 's', 'a', 'e', 'k', 'o', 'x', 'p')
if not old[1] then return { -1 } end
if finished[old[1]] then return { 0 } end
audit(ARGV[4])
for _, field in ipairs(rcall('HKEYS', m)) do
  if string.match(field, '^[dw]:') then rcall('HDEL', m, field) end
end
rcall('HDEL', m, 'n', 'x', 'o', 'c', 'h', 'j')
no_reason(id, old[6])
rcall('HSET', m, 's', 'terminated', 'u', now, 'e', joined(m, old[3], ARGV[3]))
move(id, old[1], 'terminated', old[2], old[5], 0)
leave_line(old[7], id, now)
return release(id, old[4], { 1 })
`,
);

/**
 * now, id, event, line of the audit trail, token of the original, its octets, job, how often it was decoded again before.
 * Puts a message that is suspended, or delivered while its original is kept, back to its beginning. Returns -1 when
 * unknown, -2 when the original is gone, -3 while another hand-off of it is under way, -4 when it has moved on meanwhile, 0
 * when it is neither, else 1 and the files to remove.
 */
const redecode = script(
  records,
  jobs(),
  `
local now, id, token = ARGV[1], ARGV[2], ARGV[5]
local m = record(id)
local old = rcall('HMGET', m, 's', 'a', 'e', 'k', 'o', 'x', 'v', 'h')
if not old[1] then return { -1 } end
if old[1] ~= 'suspended' and old[1] ~= 'delivered' then return { 0 } end
if (old[7] or '0') ~= ARGV[8] then return { -4 } end
if string.match(old[4] or '', '^%S+') ~= token then return { -2 } end
local object = string.sub(token, 3)
if string.sub(token, 1, 1) == 'i' then
  if rcall('EXISTS', P .. ':o:' .. object) == 0 then return { -2 } end
elseif rcall('SISMEMBER', P .. ':f:' .. object, id) == 0 then
  return { -2 }
end
local names = rcall('HKEYS', m)
local has = {}
for _, name in ipairs(names) do has[name] = true end
for _, name in ipairs(names) do
  local destination = string.match(name, '^d:(.+)$')
  if destination and not has['w:handoff.' .. destination] then return { -3 } end
end
audit(ARGV[4])
-- What was never decoded was never handed off: no destination has to tell it from an earlier delivery.
if not has['w:inbound'] then rcall('HINCRBY', m, 'v', 1) end
for _, name in ipairs(names) do
  if string.match(name, '^[dw]:') then rcall('HDEL', m, name) end
end
if string.sub(token, 1, 1) == 'i' then rcall('PERSIST', P .. ':o:' .. object) end
rcall('HDEL', m, 'n', 'x', 'c', 'h')
no_reason(id, old[6])
rcall('HSET', m, 's', 'received', 'u', now, 'e', joined(m, old[3], ARGV[3]), 'k', token, 'o', ARGV[6])
local turn = rcall('HINCRBY', m, 'g', 1)
move(id, old[1], 'received', old[2], old[5], ARGV[6])
add_job('inbound', id .. '.again.' .. turn, ARGV[7], now)
return release(id, string.sub(old[4], #token + 1), { 1 })
`,
);

/**
 * now, id, event, line of the audit trail, nudge. What waits of a message is due now, and is the first of its route, which
 * is tried at once. Returns -1 when unknown, 0 when nothing of it waits, else 1.
 */
const retry = freeingScript(
  records,
  jobsOf,
  `
local now, id = tonumber(ARGV[1]), ARGV[2]
local m = record(id)
local old = rcall('HMGET', m, 's', 'e', 'g', 'p')
if not old[1] then return -1 end
if finished[old[1]] then return 0 end
local any = false
for _, each in ipairs(jobs_of(id, old[1], old[3])) do
  local queue, job = each[1], each[2]
  local q, parked = P .. ':' .. queue .. ':', P .. ':parked:' .. queue
  local route = rcall('HGET', q .. job, 'rt') or (queue == 'outbound' and old[4])
  if rcall('ZSCORE', q .. 'delayed', job) then
    any = true
    rcall('ZADD', q .. 'delayed', 'XX', string.format('%.0f', now * 4096), job)
    rcall('ZADD', q .. 'marker', 0, '0')
  elseif rcall('ZSCORE', parked, job) and route then
    any = true
    local first = rcall('ZRANGE', parked .. ':' .. route, 0, 0, 'WITHSCORES')
    local order = string.format('%.0f', tonumber(first[2] or 0) - 1)
    rcall('ZADD', parked, 'XX', order, job)
    rcall('ZADD', parked .. ':' .. route, 'XX', order, job)
  elseif rcall('LPOS', q .. 'wait', job) then
    any = true
  end
  if any and route then
    rcall('HSET', P .. ':nudged:' .. queue, route, ARGV[5])
    rcall('PEXPIRE', P .. ':nudged:' .. queue, ${nudgeLasts})
  end
end
if not any then return 0 end
audit(ARGV[4])
rcall('HSET', m, 'u', ARGV[1], 'e', joined(m, old[2], ARGV[3]))
return 1
`,
);

/**
 * now, then the partners whose line stops at a message that is suspended. For all others, such a message leaves its line;
 * the setting may have been another one when it was suspended. The first of each line is put on the queue.
 */
const tendLines = script(
  records,
  jobs(),
  lines,
  `
local now, stops = ARGV[1], {}
for at = 2, #ARGV do stops[ARGV[at]] = true end
for _, partner in ipairs(rcall('SMEMBERS', P .. ':lines')) do
  local line = P .. ':line:' .. partner
  local first = rcall('ZRANGE', line, 0, 0)[1]
  while first and not stops[partner] and rcall('HGET', record(first), 's') == 'suspended' do
    rcall('ZREM', line, first)
    first = rcall('ZRANGE', line, 0, 0)[1]
  end
  advance(partner, now)
end
`,
);

export const scripts = {
  tendLines,
  retry,
  accept,
  decoded,
  handedOff,
  handedOffAtOnce,
  sent,
  suspend,
  resume,
  terminate,
  redecode,
};
