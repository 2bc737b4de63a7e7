-- A pool of ARGV[1] addresses from 10.16.0.0 on, all free, in no order: for both scripts.
local size, step = tonumber(ARGV[1]), 40503
for i = 0, size - 1 do
  local at = i * step % size
  local address = string.format('10.%d.%d.%d', 16 + math.floor(at / 65536), math.floor(at / 256) % 256, at % 256)
  if ARGV[2] == 'lean' then
    redis.call('RPUSH', KEYS[1] .. ':free', address)
  else
    redis.call('ZADD', KEYS[1] .. ':leases', i - size, address)
  end
end
return size
