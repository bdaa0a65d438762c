/** What people and clients do with a message: one script each, which also writes the audit trail. */
import { freeingScript, script } from '../redis/index.ts';
import { jobs, jobsOf, lines, records } from './lua.ts';
import { usualPriority } from './priority.ts';
import { nudgeLasts } from './retry.ts';

/**
 * For the scripts of acts, behind \`records\`: the step goes on only if the message still waits for this reason, was
 * not judged with these keys yet, and the day has room. Arguments from \`at\` on: keys, reason, name of the work, most
 * replays, then '' or who it counts for, most a day for that one, most a day in all. Returns nil, or what the step is
 * to return. The field \`q\` of a record is the digest of the keys with which it was judged last, \`z\` how often it
 * was replayed; \`replays:DAY\` counts, by partner and (\`*\`) in all.
 */
const replaying = (at: number) => `
do
  local m, keys, reason, work = record(ARGV[2]), ARGV[${at}], ARGV[${at + 1}], ARGV[${at + 2}]
  local old = rcall('HMGET', m, 's', 'x', 'q', 'z', 'w:' .. work)
  local times = tonumber(old[4] or 0)
  if not old[1] then return -1 end
  if old[1] ~= 'suspended' or old[2] ~= reason or old[3] == keys or not old[5] or times >= tonumber(ARGV[${at + 3}]) then
    return -5
  end
  local whose = ARGV[${at + 4}]
  if whose ~= '' then
    local day = P .. ':replays:' .. math.floor(tonumber(ARGV[1]) / 86400000)
    if tonumber(rcall('HGET', day, whose) or 0) >= tonumber(ARGV[${at + 5}])
      or tonumber(rcall('HGET', day, '*') or 0) >= tonumber(ARGV[${at + 6}]) then
      return -6
    end
    rcall('HINCRBY', day, whose, 1)
    rcall('HINCRBY', day, '*', 1)
    rcall('EXPIRE', day, 172800)
  end
  rcall('HSET', m, 'q', keys, 'z', times + 1)
end
`;

/** now, id, event, line of the audit trail. Returns -1 when unknown, 0 when not suspended, else 1. */
const resumed = `
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
    local job = id .. '.' .. work .. '.' .. turn
    -- In a line, it waits for those before it, which may be suspended as well after a restore.
    local line = queue == 'outbound' and rcall('HGET', m, 'l')
    local first = line and rcall('ZRANGE', P .. ':line:' .. line, 0, 0)[1]
    if first and first ~= id and rcall('ZSCORE', P .. ':line:' .. line, id) then
      rcall('HSET', m, 'j', job .. '\\n' .. data)
    else
      -- behind those of its partner that wait already: many may be put back to work in their order
      if queue == 'outbound' then
        add_job(queue, job, data, now, rcall('HGET', m, 'p') or nil, delivery_of(data).priority or ${usualPriority})
      else
        add_job(queue, job, data, now)
      end
    end
    if queue == 'outbound' then note_end(id, data) end
    rcall('HDEL', m, fields[at])
  end
end
state = state or 'suspended'
rcall('HDEL', m, 'x')
no_reason(id, old[5])
rcall('HSET', m, 's', state, 'u', now, 'e', joined(m, old[3], ARGV[3]))
move(id, 'suspended', state, old[2], old[4])
return 1
`;
const resume = script(records, jobs(), resumed);
/** The same, then the arguments of `replaying`. Also returns -5 when it waits no more, -6 without room. */
const replayResume = script(records, jobs(), replaying(5), resumed);

/**
 * now, id, event, line of the audit trail. Returns -1 when unknown, 0 when it has already ended, else 1 and the files
 * to remove.
 */
const terminate = freeingScript(
  records,
  jobs(),
  lines,
  `
local now, id = ARGV[1], ARGV[2]
local m = record(id)
local old = rcall('HMGET', m, 's', 'a', 'e', 'k', 'o', 'x')
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
rcall('ZREM', P .. ':ends', id)
leave_line(id, now)
return release(id, old[4], { 1 })
`,
);

/**
 * now, id, event, line of the audit trail, token of the original, its octets, job, how often it was decoded again
 * before. Puts a message that is suspended, or delivered while its original is kept, back to its beginning. Returns -1
 * when unknown, -2 when the original is gone, -3 while another hand-off of it is under way, -4 when it has moved on
 * meanwhile, 0 when it is neither, else 1 and the files to remove.
 */
const decodedAgain = `
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
`;
const redecode = script(records, jobs(), decodedAgain);
/** The same, then the arguments of `replaying`; also returns -5 and -6. */
const replayDecode = script(records, jobs(), replaying(9), decodedAgain);

/**
 * now, id, event, line of the audit trail, nudge. What waits of a message is due now, and is the first of its route,
 * which is tried at once. Returns -1 when unknown, 0 when nothing of it waits, else 1.
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

export const acts = { resume, terminate, redecode, retry, replayResume, replayDecode };
