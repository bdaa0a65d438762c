/** The scripts of the ledger: finding, noting and forgetting records. */
import { freeingScript, script } from '../redis/index.ts';
import { jobsOf, records } from './lua.ts';

/** now, id, event, line of the audit trail or ''. Returns 0 when unknown. */
const note = freeingScript(
  records,
  `
local m = record(ARGV[2])
local old = rcall('HMGET', m, 's', 'e')
if not old[1] then return 0 end
audit(ARGV[4])
rcall('HSET', m, 'u', ARGV[1], 'e', joined(m, old[2], ARGV[3]))
return 1
`,
);

/**
 * index, greatest and least time, how many to skip, how many to examine, then state, mailbox, partner, reason and
 * direction that a record must have, an address in quotes ('' for any), '1' for those with a subject that is kept, and
 * for an index of addresses what its members begin with (8 digits). Newest first. Returns how many it examined, time
 * and id of the last one, how many in a row had that time, then id and time of each match, and its sealed subject if
 * that is wanted.
 */
const find = script(
  records,
  `
local found = rcall('ZREVRANGEBYSCORE', P .. ':ix:' .. ARGV[1], ARGV[2], ARGV[3], 'WITHSCORES', 'LIMIT', ARGV[4], ARGV[5])
local fields, wanted = {}, {}
for at, field in ipairs({ 's', 'b', 'p', 'x' }) do
  if ARGV[5 + at] ~= '' then
    fields[#fields + 1] = field
    wanted[#wanted + 1] = ARGV[5 + at]
  end
end
local direction, address, subjects, begin = ARGV[10] or '', ARGV[11] or '', ARGV[12] == '1', ARGV[13] or ''
local last, same = '', 0
-- Of equal times, the members of an address stand together, in the order of their ids: one of another address comes
-- before or behind all of them.
local tail = found[#found - 1] or ''
if begin ~= '' and tail ~= '' then
  local own = string.sub(tail, 1, 8)
  tail = own == begin and string.sub(tail, 9) or own > begin and 'z' or '0'
end
local reply = { #found / 2, '', '', 0 }
for at = 1, #found, 2 do
  local id, time = found[at], found[at + 1]
  if time == last then same = same + 1 else last, same = time, 1 end
  local fits = begin == '' or string.sub(id, 1, 8) == begin
  if begin ~= '' then id = string.sub(id, 9) end
  if fits and #fields > 0 then
    local values = rcall('HMGET', record(id), unpack(fields))
    for each, value in ipairs(wanted) do
      if values[each] ~= value then fits = false end
    end
  end
  if fits and direction ~= '' then
    -- Only an inbound message has a mailbox.
    fits = (rcall('HEXISTS', record(id), 'b') == 1) == (direction == 'inbound')
  end
  if fits and address ~= '' then
    fits = string.find(string.lower(rcall('HGET', record(id), 'r') or ''), address, 1, true) ~= nil
  end
  local subject
  if fits and subjects then
    subject = rcall('HGET', record(id), 't')
    fits = subject and true
  end
  if fits then
    reply[#reply + 1] = id
    reply[#reply + 1] = time
    if subjects then reply[#reply + 1] = subject end
  end
end
reply[2], reply[3], reply[4] = last, tail, same
return reply
`,
);

/**
 * state, oldest update to keep, how many to skip, how many to examine, now, milliseconds of duplicate detection, and of
 * idempotency keys. Removes records of that state; with an oldest update of '' all that it examines. A record that
 * still counts for duplicate detection leaves a key, whose value is the fingerprint of its request, if it came with an
 * idempotency key. Returns how many it saw, how many it removed, and files to remove.
 */
const forget = freeingScript(
  records,
  `
local state, oldest, skip, limit, now = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local known, kept = tonumber(ARGV[6]), tonumber(ARGV[7])
local ids = rcall('ZRANGEBYSCORE', P .. ':ix:s:' .. state, '-inf', oldest == '' and '+inf' or oldest, 'LIMIT', skip, limit)
local gone, files = 0, {}
for _, id in ipairs(ids) do
  local m = record(id)
  local fields = rcall('HMGET', m, 'u', 'b', 'p', 'k', 'a', 'r', 'f')
  if not fields[6] then
    rcall('ZREM', P .. ':ix:s:' .. state, id)
    rcall('ZREM', P .. ':ix:all', id)
    rcall('ZREM', id_index(id), id)
    gone = gone + 1
  elseif oldest == '' or tonumber(fields[1] or 0) < tonumber(oldest) then
    release(id, fields[4], files)
    unindex(id, state, { b = fields[2], p = fields[3], r = fields[6] })
    rcall('UNLINK', m)
    local left = tonumber(fields[5]) + (fields[7] and kept or known) - now
    if left > 0 and state ~= 'terminated' then
      rcall('SET', P .. ':d:' .. id, fields[7] or '', 'PX', string.format('%.0f', left))
    end
    gone = gone + 1
  end
end
return { #ids, gone, unpack(files) }
`,
);

/**
 * ids. Returns for each the earliest score of its jobs in BullMQ's delayed set, 0 if one only waits, -1 without any.
 */
const due = script(
  records,
  jobsOf,
  `
local reply = {}
for at, id in ipairs(ARGV) do
  local old = rcall('HMGET', record(id), 's', 'g', 'j')
  local earliest = old[3] and '0' or '-1'
  if old[1] and not finished[old[1]] then
    for _, each in ipairs(jobs_of(id, old[1], old[2])) do
      local score = rcall('ZSCORE', P .. ':' .. each[1] .. ':delayed', each[2]) or '0'
      if earliest == '-1' or tonumber(score) < tonumber(earliest) then earliest = score end
    end
  end
  reply[at] = earliest
end
return reply
`,
);

/**
 * greatest time, how many to skip, how many to examine, milliseconds of a day. Suspended messages in groups, newest
 * first. Returns how many it examined, the time of the last one, how many in a row had that time, then for each group:
 * reason, mailbox, partner ('' for none), day, number, oldest, newest.
 */
const suspended = script(
  records,
  `
local found = rcall('ZREVRANGEBYSCORE', P .. ':ix:s:suspended', ARGV[1], '-inf', 'WITHSCORES', 'LIMIT', ARGV[2], ARGV[3])
local groups, order, last, same = {}, {}, '', 0
for at = 1, #found, 2 do
  local id, time = found[at], found[at + 1]
  if time == last then same = same + 1 else last, same = time, 1 end
  local facts = rcall('HMGET', record(id), 'x', 'b', 'p')
  if facts[1] then
    local day = math.floor(tonumber(time) / ARGV[4])
    local key = facts[1] .. '\\n' .. (facts[2] or '') .. '\\n' .. (facts[3] or '') .. '\\n' .. day
    local group = groups[key]
    if group then
      group[5], group[6] = group[5] + 1, time
    else
      group = { facts[1], facts[2] or '', facts[3] or '', day, 1, time, time }
      groups[key] = group
      order[#order + 1] = group
    end
  end
end
local reply = { #found / 2, last, same }
for _, group in ipairs(order) do
  for _, value in ipairs(group) do reply[#reply + 1] = value end
end
return reply
`,
);

/** ids. Adds records to the index of addresses. */
const indexAddresses = script(
  records,
  `
for _, id in ipairs(ARGV) do
  local old = rcall('HMGET', record(id), 'r', 'a')
  if old[1] then
    each_address(cjson.decode(old[1]), id, function(set, entry) rcall('ZADD', set, old[2], entry) end)
  end
end
`,
);

export const ledgerScripts = {
  indexAddresses,
  due,
  note,
  find,
  forget,
  suspended,
};
