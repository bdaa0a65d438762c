/**
 * For the scripts of acts, behind \`records\`: the step goes on only if the message still waits for this reason, was
 * not judged with these keys yet, and the day has room. Arguments from \`at\` on: keys, reason, name of the work, most
 * replays, then '' or who it counts for, most a day for that one, most a day in all. Returns nil, or what the step is
 * to return. The field \`q\` of a record is the digest of the keys with which it was judged last, \`z\` how often it
 * was replayed; \`replays:DAY\` counts, by partner and (\`*\`) in all.
 */
export const replaying = (at: number) => `
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
