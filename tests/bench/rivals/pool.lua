-- An address pool in Redis as RADIUS servers keep one: leases that run out by themselves, the address
-- that has been free longest first, the same session asked again gets what it has, and each address
-- knows its owner. KEYS[1] prefix; ARGV[1] seconds of a lease, ARGV[2] session.
local now = tonumber(redis.call('TIME')[1])
local ends = now + tonumber(ARGV[1])
local leases = KEYS[1] .. ':leases'
local by_session = KEYS[1] .. ':session:' .. ARGV[2]
local address = redis.call('GET', by_session)
if not address or redis.call('HGET', KEYS[1] .. ':address:' .. address, 'session') ~= ARGV[2] then
  local first = redis.call('ZRANGEBYSCORE', leases, '-inf', now, 'LIMIT', 0, 1)
  address = first[1]
  if not address then return false end
  redis.call('HSET', KEYS[1] .. ':address:' .. address, 'session', ARGV[2], 'gateway', 'ha1', 'since', now)
end
redis.call('ZADD', leases, ends, address)
redis.call('SET', by_session, address, 'EX', ARGV[1])
return address
