/** The steps of a message, one script each; `lua.ts` says what a record is made of. Acts of people are in `acts.ts`. */
import { freeingScript, type Script, script } from '../redis/index.ts';
import { acts } from './acts.ts';
import { ending, jobs, jobsOf, lines, records } from './lua.ts';

/** Messages that have expired, of one look. */
const mostExpired = 1000;

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
 * job, Message-ID or '', SHA-256, octets, fingerprint of the request or '', priority or '', '1' if the partner's mail
 * leaves in strict order, else '0', with the name of its line behind it (outbound), sealed subject or '', addresses of
 * the envelope, a line each. Returns for each arrival 1 for each duplicate and 0 for each that was accepted; or -2 if
 * one has the id of another request, or -3 if one whose fingerprint begins with '!' repeats none, and nothing is stored
 * then; or -1, state, and 'depth' or 'octets' if there is no room; nothing is stored then. An arrival that an
 * interrupted run accepted under the same token is not a duplicate.
 */
const accept = script(
  records,
  jobs(),
  lines,
  `
local known, queue, state, index = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4]
-- What is in a state, with what this run has added.
local depth, load = {}, {}
local function no_room()
  for at = 5, 8, 3 do
    local limited = ARGV[at]
    if limited ~= '' then
      if not depth[limited] then
        depth[limited] = rcall('ZCARD', P .. ':ix:s:' .. limited)
        load[limited] = tonumber(rcall('HGET', P .. ':load', limited) or 0)
      end
      if depth[limited] >= tonumber(ARGV[at + 1]) then return { -1, limited, 'depth' } end
      if load[limited] >= tonumber(ARGV[at + 2]) then return { -1, limited, 'octets' } end
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
  if ARGV[at + 13] ~= '' then rcall('HSET', m, 't', ARGV[at + 13]) end
  place(P .. ':ix:all', id, now)
  rcall('ZADD', id_index(id), 0, id)
  place(P .. ':ix:' .. index .. ':' .. name, id, now)
  move(id, nil, state, now, 0, ARGV[at + 9])
  depth[state], load[state] = depth[state] + 1, load[state] + tonumber(ARGV[at + 9])
  if ARGV[at + 7] ~= '' then
    local bucket, member = digest_index('i', redis.sha1hex(ARGV[at + 7]), id)
    rcall('ZADD', bucket, 0, member)
  end
  local bucket, member = digest_index('h', ARGV[at + 8], id)
  rcall('ZADD', bucket, 0, member)
  for address in string.gmatch(ARGV[at + 14], '[^\\n]+') do
    bucket, member = address_index(address, id)
    place(bucket, member, now)
  end
  -- Also if the setting is gone: who comes later waits behind those that are in line.
  local line = string.sub(ARGV[at + 12], 2)
  if line ~= '' and (string.sub(ARGV[at + 12], 1, 1) == '1' or rcall('EXISTS', P .. ':line:' .. line) == 1) then
    enter_line(line, id, work, job, now)
  else
    add_job(queue, work, job, now, name, tonumber(ARGV[at + 11]))
  end
  if queue == 'outbound' then note_end(id, job) end
  return 0
end
-- -2 if a message is known from another request, -3 if it may only be a repetition, and is none; else nothing. What
-- was ended or forgotten conflicts with nothing.
local function conflicts(at, now)
  local print, unknown = ARGV[at + 10], nil
  if print == '' then return end
  if string.sub(print, 1, 1) == '!' then print, unknown = string.sub(print, 2), -3 end
  local old = rcall('HMGET', record(ARGV[at]), 's', 'a', 'f')
  if not old[1] then
    local forgotten = rcall('GET', P .. ':d:' .. ARGV[at])
    if not forgotten then return unknown end
    return forgotten ~= print and -2 or nil
  end
  if old[1] == 'terminated' then return unknown end
  if finished[old[1]] and tonumber(old[2]) < tonumber(now) - known then return unknown end
  return old[3] ~= print and -2 or nil
end
local each_size = 15
local results = {}
local function accept_all()
  local at = 11
  while at <= #ARGV do
    local now, last = ARGV[at], at + 2 + each_size * (tonumber(ARGV[at + 1]) - 1)
    local result
    for each = at + 2, last, each_size do
      local conflict = conflicts(each, now)
      if conflict then result = { conflict } end
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
end
collect()
-- What was accepted before an error stays, and so it must be in its indices.
local went, reason = pcall(accept_all)
flush()
if went then return results end
-- As Redis would have said it: \`error\` would put a code of its own before OOM. Before Redis 7, the line comes first.
local said = type(reason) == 'table' and reason.err or tostring(reason)
return { err = (string.gsub(said, '^@?user_script: ?%d+: %-?', '')) }
`,
);

/**
 * now, id, event, partner or '', how it was resolved or '', token of the content, token of the result, references of
 * both, octets of all, token of the octets that were decoded, number of pieces, token of each, then name, job and route
 * for each destination. Returns 0 when the message has moved on already, or has other octets by now.
 */
const decoded = step(
  script,
  `
local now, id = ARGV[1], ARGV[2]
local m = record(id)
local old = rcall('HMGET', m, 's', 'k', 'a', 'e', 'o', 'g', 'p')
local tokens = { ARGV[6], ARGV[7] }
local first = 12 + tonumber(ARGV[11])
for at = 12, first - 1 do tokens[#tokens + 1] = ARGV[at] end
if old[1] ~= 'received' or not holds(old[2], ARGV[10]) then
  for _, token in ipairs(tokens) do drop_octets(token) end
  return 0
end
for _, token in ipairs(tokens) do keep_octets(id, token) end
local kept = old[2] .. ' ' .. table.concat(tokens, ' ')
local octets = tonumber(old[5] or 0) + tonumber(ARGV[9])
local fields = { 's', 'decoded', 'u', now, 'e', joined(m, old[4], ARGV[3]), 'k', kept,
  'n', (#ARGV - first + 1) / 3, 'c', ARGV[8], 'o', octets }
attribute(m, id, old[3], old[7], ARGV[4], ARGV[5])
count_used(ARGV[4], ARGV[3], old[4], old[7], now)
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
 * now, id, partner or '', how it was resolved or '', events, milliseconds that the original is kept, token of the
 * octets, then, where the destination is a queue here: its keys' prefix, name and data of the job, its id, options as
 * JSON. Received and handed off in one step, for a message with one destination. Returns 0 when the message has moved
 * on already, or has other octets by now, else 1 and the files to remove.
 */
const handedOffAtOnce = step(
  script,
  `
local now, id, kept = ARGV[1], ARGV[2], tonumber(ARGV[6])
local m = record(id)
local old = rcall('HMGET', m, 's', 'k', 'a', 'e', 'o', 'p')
if old[1] ~= 'received' or not holds(old[2], ARGV[7]) then return { 0 } end
if ARGV[8] then
  loud = true
  add_to(ARGV[8], ARGV[9], ARGV[10], ARGV[11], cjson.decode(ARGV[12]), now)
  loud = false
end
attribute(m, id, old[3], old[6], ARGV[3], ARGV[4])
count_used(ARGV[3], ARGV[5], old[4], old[6], now)
rcall('HDEL', m, 'o')
rcall('HSET', m, 's', 'delivered', 'u', now, 'e', joined(m, old[4], ARGV[5]))
move(id, 'received', 'delivered', old[3], old[5], 0)
if kept <= 0 then return release(id, old[2], { 1 }) end
local kind, object = string.match(old[2], '^(%a):(%w+)')
if kind == 'i' then rcall('PEXPIRE', P .. ':o:' .. object, string.format('%.0f', kept)) end
return { 1 }
`,
);

/**
 * now, id, partner or '', how it was resolved or '', event, token of the octets. Ends a message that a rule keeps out.
 * Returns 0 when it has moved on already, or has other octets by now, else 1 and the files to remove.
 */
const dropped = step(
  freeingScript,
  `
local now, id = ARGV[1], ARGV[2]
local m = record(id)
local old = rcall('HMGET', m, 's', 'k', 'a', 'e', 'o', 'p')
if old[1] ~= 'received' or not holds(old[2], ARGV[6]) then return { 0 } end
attribute(m, id, old[3], old[6], ARGV[3], ARGV[4])
count_used(ARGV[3], ARGV[5], old[4], old[6], now)
rcall('HDEL', m, 'o')
rcall('HSET', m, 's', 'terminated', 'u', now, 'e', joined(m, old[4], ARGV[5]))
move(id, 'received', 'terminated', old[3], old[5], 0)
return release(id, old[2], { 1 })
`,
);

/**
 * now, id, event, token of the octets, event if it comes too late, '1' if it would have expired. Returns 0 when it has
 * already ended, else 1 and the files to remove.
 */
const sent = step(
  freeingScript,
  `${late}
local now, id = ARGV[1], ARGV[2]
local m = record(id)
local old = rcall('HMGET', m, 's', 'a', 'e', 'k', 'o', 'x', 'p')
if late(m, old[1], old[3], old[4], ARGV[4], ARGV[5]) or not old[1] or finished[old[1]] then return { 0 } end
rcall('HDEL', m, 'x', 'w:outbound', 'o')
count_used(old[7], ARGV[3], old[3], old[7], now)
no_reason(id, old[6])
rcall('HSET', m, 's', 'sent', 'u', now, 'e', joined(m, old[3], ARGV[3]))
move(id, old[1], 'sent', old[2], old[5], 0)
if ARGV[6] == '1' then rcall('ZREM', P .. ':ends', id) end
leave_line(id, now)
return release(id, old[4], { 1 })
`,
);

/**
 * now, id, event, reason, name of the work, queue, job, job of the report without its turn or '', its route, token of
 * the octets, '1' if those behind it in line go on, who sent it (as in `attribute`). Returns 0 when it has already
 * ended, or has other octets by now.
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
local keys = string.match(ARGV[3], '"keys":"(%x+)"')
if keys then rcall('HSET', m, 'q', keys) end
move(id, old[1], 'suspended', old[2], old[4])
if ARGV[11] == '1' then leave_line(id, now) end
attribute(m, id, old[2], old[9], ARGV[12], ARGV[13])
count_used(ARGV[12], ARGV[3], old[3], old[9], now)
return 1
`,
);

/** id, who sent it (as in `attribute`), for a message that waits to be judged. */
const attributed = script(
  records,
  `
local id = ARGV[1]
local m = record(id)
local old = rcall('HMGET', m, 's', 'a', 'p')
if old[1] == 'received' then attribute(m, id, old[2], old[3], ARGV[2], ARGV[3]) end
return 1
`,
);

/**
 * now, then the partners whose line stops at a message that is suspended. For all others, such a message leaves its
 * line; the setting may have been another one when it was suspended. The first of each line is put on the queue.
 */
const tendLines = script(
  records,
  jobs(),
  lines,
  `
local now, stops = ARGV[1], {}
for at = 2, #ARGV do stops[ARGV[at]] = true end
for _, line in ipairs(rcall('SMEMBERS', P .. ':lines')) do
  local key, stop = P .. ':line:' .. line, stops[partner_of(line)]
  local first = rcall('ZRANGE', key, 0, 0)[1]
  while first and not stop and rcall('HGET', record(first), 's') == 'suspended' do
    rcall('ZREM', key, first)
    first = rcall('ZRANGE', key, 0, 0)[1]
  end
  advance(line, now)
end
`,
);

/**
 * now, milliseconds until one is looked at again that is in hand, or waits for its next attempt. Gives messages that
 * have expired to a worker, from where they wait for a place or in a line.
 */
const bringExpired = freeingScript(
  records,
  jobs(),
  jobsOf,
  `
local now, again = tonumber(ARGV[1]), tonumber(ARGV[2])
local q, all, ends = P .. ':outbound:', P .. ':parked:outbound', P .. ':ends'
local any = false
for _, id in ipairs(rcall('ZRANGEBYSCORE', ends, '-inf', string.format('(%.0f', now), 'LIMIT', 0, ${mostExpired})) do
  local m = record(id)
  local old = rcall('HMGET', m, 's', 'g', 'p', 'j')
  local waits = old[1] == 'queued'
  if waits and old[4] then
    local job, data = string.match(old[4], '^(%S+)\\n(.*)$')
    rcall('HDEL', m, 'j')
    -- Without a route that it would wait for.
    add_job('outbound', job, data, now)
  elseif waits then
    for _, each in ipairs(jobs_of(id, old[1], old[2])) do
      local job = each[2]
      local route = rcall('HGET', q .. job, 'rt') or old[3]
      if rcall('ZREM', all, job) == 1 then
        local key = all .. ':' .. route
        rcall('ZREM', key, job)
        if rcall('EXISTS', key) == 0 then rcall('SREM', P .. ':routes:outbound', route) end
        -- As one that is called back: nobody puts it back for its route.
        rcall('HSET', q .. job, 'rl', now)
        rcall('RPUSH', q .. 'wait', job)
        any = true
      end
    end
  end
  -- It goes when it is suspended: until then, it may come back to those that wait.
  if waits then rcall('ZADD', ends, 'XX', string.format('%.0f', now + again), id) else rcall('ZREM', ends, id) end
end
if any then rcall('ZADD', q .. 'marker', 0, '0') end
`,
);

export const scripts = {
  tendLines,
  bringExpired,
  accept,
  decoded,
  handedOff,
  handedOffAtOnce,
  dropped,
  sent,
  suspend,
  attributed,
  ...acts,
};
