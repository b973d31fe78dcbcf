-- Keeps an answer, if its lease still stands: whoever removes what is kept at a place ends its lease as well.
--
-- KEYS: the sign of all tenants, the sign of the tenant, the place, the lease of the place.
-- ARGV: the lease, the signs that came with it, the answer, how long it is kept in ms.
if redis.call('GET', KEYS[4]) ~= ARGV[1] then
    return 0
end
redis.call('DEL', KEYS[4])
local all = redis.call('GET', KEYS[1])
local mine = redis.call('GET', KEYS[2])
if not all or not mine or all .. mine ~= ARGV[2] then
    return 0
end
redis.call('SET', KEYS[3], ARGV[2] .. ARGV[3], 'PX', ARGV[4])
return 1
