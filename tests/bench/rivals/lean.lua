-- The least that still answers the same session with the same address: a list of free ones and a key
-- for each session. No address knows its owner, and a lease that runs out frees nothing.
local by_session = KEYS[1] .. ':session:' .. ARGV[2]
local address = redis.call('GET', by_session)
if address then return address end
address = redis.call('LPOP', KEYS[1] .. ':free')
if not address then return false end
redis.call('SET', by_session, address, 'EX', ARGV[1])
return address
