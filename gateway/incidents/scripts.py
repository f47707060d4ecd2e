"""The changes of an incident, each one step in Redis, so that gateways never see or make half of one.

All keys have the hash tag ``{incidents}``: a Redis Cluster keeps them together. ``record`` is the
prefix of records, whose ids only the script knows.
"""

# One notification for each target; a queue that nobody empties must not grow for ever.
_ANNOUNCE = """
local function announce(record, id, event, stream, limit, first)
  local version = redis.call('HINCRBY', record, 'version', 1)
  for i = first, #ARGV do
    local note = 'note:' .. ARGV[i] .. ':' .. version
    if redis.call('XLEN', stream) < limit then
      redis.call('HSET', record, note, '{"state":"waiting"}')
      redis.call('XADD', stream, '*', 'incident', id, 'target', ARGV[i], 'version', version, 'event', event)
    else
      redis.call('HSET', record, note, '{"state":"failed","reason":"too many notifications wait"}')
    end
  end
end
"""

# KEYS: of the open group, index, work. ARGV: new id, group, now, lifetime, most stored, most queued, record.
OPEN = """
local id = redis.call('GET', KEYS[1])
local record = id and ARGV[7] .. id
local full = redis.call('XLEN', KEYS[3]) >= tonumber(ARGV[6])
if record and redis.call('EXISTS', record) == 1 then
  redis.call('HSET', record, 'group', ARGV[2], 'updated', ARGV[3])
  redis.call('EXPIRE', record, ARGV[4])
  redis.call('EXPIRE', KEYS[1], ARGV[4])
  if redis.call('HGET', record, 'state') == 'failed' and not full then
    redis.call('HSET', record, 'state', 'queued')
    redis.call('XADD', KEYS[3], '*', 'incident', id)
    return {'requeued', id}
  end
  return {'known', id}
end
if full then return {'full', ''} end
id = ARGV[1]
record = ARGV[7] .. id
redis.call('HSET', record, 'group', ARGV[2], 'status', 'firing', 'state', 'queued', 'version', 0,
           'opened', ARGV[3], 'updated', ARGV[3])
redis.call('EXPIRE', record, ARGV[4])
redis.call('SET', KEYS[1], id, 'EX', ARGV[4])
redis.call('ZADD', KEYS[2], 0, id)
redis.call('XADD', KEYS[3], '*', 'incident', id)
local extra = redis.call('ZCARD', KEYS[2]) - tonumber(ARGV[5])
if extra > 0 then
  for _, old in ipairs(redis.call('ZRANGE', KEYS[2], 0, extra - 1)) do redis.call('DEL', ARGV[7] .. old) end
  redis.call('ZREMRANGEBYRANK', KEYS[2], 0, extra - 1)
end
return {'opened', id}
"""

# KEYS: of the open group, notifications. ARGV: group, now, most notifications, record, targets.
RESOLVE = (
    _ANNOUNCE
    + """
local id = redis.call('GET', KEYS[1])
redis.call('DEL', KEYS[1])
if not id or redis.call('EXISTS', ARGV[4] .. id) == 0 then return {'ignored', ''} end
local record = ARGV[4] .. id
redis.call('HSET', record, 'group', ARGV[1], 'status', 'resolved', 'resolved', ARGV[2], 'updated', ARGV[2])
announce(record, id, 'resolved', KEYS[2], tonumber(ARGV[3]), 5)
return {'resolved', id}
"""
)

# KEYS: record. ARGV: nothing. Whether there is something to do.
BEGIN = """
local state = redis.call('HGET', KEYS[1], 'state')
if state ~= 'queued' and state ~= 'running' then return 0 end
redis.call('HSET', KEYS[1], 'state', 'running')
return 1
"""

# KEYS: record, work, notifications.
# ARGV: id, entry, group of consumers, state, now, 2n, n fields with their values, most notifications, targets.
# Only the first to finish changes anything. A failure that was told already is not told again.
FINISH = (
    _ANNOUNCE
    + """
redis.call('XACK', KEYS[2], ARGV[3], ARGV[2])
redis.call('XDEL', KEYS[2], ARGV[2])
local state = redis.call('HGET', KEYS[1], 'state')
if state ~= 'queued' and state ~= 'running' then return 0 end
local before = redis.call('HGET', KEYS[1], 'reason')
redis.call('HDEL', KEYS[1], 'reason')
redis.call('HSET', KEYS[1], 'state', ARGV[4], 'diagnosed', ARGV[5])
local last = 6 + tonumber(ARGV[6])
for i = 7, last, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
if ARGV[4] == 'done' or before ~= redis.call('HGET', KEYS[1], 'reason') then
  local event = ARGV[4] == 'done' and 'diagnosed' or 'failed'
  announce(KEYS[1], ARGV[1], event, KEYS[3], tonumber(ARGV[last + 1]), last + 2)
end
return 1
"""
)

# KEYS: record, stream. ARGV: field, value, entry, group of consumers; without an entry it stays in the stream.
NOTE = """
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) end
if ARGV[3] ~= '' then
  redis.call('XACK', KEYS[2], ARGV[4], ARGV[3])
  redis.call('XDEL', KEYS[2], ARGV[3])
end
return 1
"""
