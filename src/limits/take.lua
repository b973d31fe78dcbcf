-- Takes from all buckets of some accounts, or from none.
--
-- KEYS are accounts; of each, ARGV has for every bucket what is taken in nanoseconds, negative where it is put back, and what
-- the caller itself has taken lately: no bucket has less taken from it than that, whatever was forgotten here. A bucket is the
-- moment at which it is full. Answers the bucket that makes the caller wait longest, or 0, how long, and the backlogs: after what was taken, or as they are.
local WINDOW, EPOCH, BUCKETS = 6e10, 1767225600, 3
local time = redis.call('TIME')
-- Nanoseconds since 2026: whole numbers of this size are exact to the microsecond for longer than anybody will care.
local now = (time[1] - EPOCH) * 1e9 + time[2] * 1e3
local before, after, refused, wait = {}, {}, 0, 0
for account = 1, #KEYS do
    local stored = {string.match(redis.call('GET', KEYS[account]) or '', '^(%d+) (%d+) (%d+)$')}
    for bucket = 1, BUCKETS do
        local at = (account - 1) * BUCKETS + bucket
        local cost, known = tonumber(ARGV[2 * at - 1]), tonumber(ARGV[2 * at])
        local backlog = 0
        if stored[bucket] then
            -- A clock that was put back makes nobody wait longer than a bucket takes.
            backlog = math.max(0, math.min(tonumber(stored[bucket]) - now, WINDOW))
        end
        before[at] = math.max(backlog, known)
        -- What the caller puts back it no longer counts as taken, so that nothing is put back twice.
        after[at] = cost < 0 and math.max(backlog + cost, known) or before[at] + cost
        if cost > 0 and after[at] - WINDOW > wait then
            refused, wait = at, after[at] - WINDOW
        end
    end
end
if refused > 0 then
    return {refused, wait, unpack(before)}
end
for account = 1, #KEYS do
    local first = (account - 1) * BUCKETS
    local longest = math.max(after[first + 1], after[first + 2], after[first + 3])
    local moments = string.format('%.0f %.0f %.0f', now + after[first + 1], now + after[first + 2], now + after[first + 3])
    redis.call('SET', KEYS[account], moments, 'PX', math.ceil(longest / 1e6) + 1)
end
return {0, 0, unpack(after)}
