-- Answers what is kept, or else lends the right to keep something.
--
-- KEYS: the sign of all tenants, the sign of the tenant, the place, the lease of the place.
-- ARGV: a fresh sign, how long a tenant's sign stays in ms, a fresh lease or nothing, how long a lease lasts in ms.
-- Answers {1, what is kept, ms that are left} or {2, the signs under which it may be kept, 0} or {0, '', 0}.
--
-- What is kept begins with both signs. New signs, such as a Redis that has forgotten them gives out, outdate all of it.
local all = redis.call('GET', KEYS[1])
if not all then
    all = ARGV[1]
    redis.call('SET', KEYS[1], all)
end
local mine = redis.call('GET', KEYS[2])
if not mine then
    mine = ARGV[1]
    redis.call('SET', KEYS[2], mine, 'PX', ARGV[2])
end
local signs = all .. mine
local kept = redis.call('GET', KEYS[3])
if kept and string.sub(kept, 1, #signs) == signs then
    return {1, string.sub(kept, #signs + 1), redis.call('PTTL', KEYS[3])}
end
if ARGV[3] ~= '' and redis.call('SET', KEYS[4], ARGV[3], 'PX', ARGV[4], 'NX') then
    return {2, signs, 0}
end
return {0, '', 0}
