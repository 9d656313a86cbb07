"""The Lua scripts of `asyncrouter.integrations.redis`: one round trip each, by the server's clock.

`ADMIT` is `asyncrouter.shared._turns.PlaceTurns.admit`, line by line. The state of a place is one value, packed
by `cmsgpack`, which keeps every digit. Every key that a script touches is declared, so that it runs on a cluster, too.
Times in replies are whole microseconds from now; amounts of money are whole nano-dollars.

A question that gives something is told when it was asked, by the server's clock as far as the client knows it, 0 for
unknown. One that was asked longer ago than a client waits is stale: a server that had stopped finds it among its
input when it goes on, and nobody would use what it gives. Then it changes nothing; the answer is -1 and the time.
"""

from typing import Final

_NOW: Final = """
local t = redis.call('TIME')
local now = t[1] + t[2] / 1e6
local function ms() return math.floor(now * 1000) end
local function stale(sent) return sent ~= '0' and now - tonumber(sent) > 0.3 end
"""

ADMIT: Final = _NOW + """
local me, running, waiting, interactive = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local rate, trate, most = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local known, back, unused, more = ARGV[8] == '1', ARGV[9] == '1', tonumber(ARGV[10]), tonumber(ARGV[11])
local horizon, lapse, join, alive = tonumber(ARGV[12]), tonumber(ARGV[13]), tonumber(ARGV[14]), tonumber(ARGV[15])
if stale(ARGV[16]) then return {-1, ms()} end
local FIRST = 17
local burst, tburst = math.max(1, rate), math.max(1, trate)
local raw = redis.call('GET', KEYS[1])
local s
if raw then
  s = cmsgpack.unpack(raw)
else
  s = {r = now, k = now, given = 0, join = 0, held = 0, why = '', p = {}}
  if known and rate > 0 then s.r = now + burst / rate end
  if known and trate > 0 then s.k = now + tburst / trate end
end
for name, one in pairs(s.p) do
  if one.seen < now - lapse then s.p[name] = nil end
end
local mine = s.p[me] or {window = -1, n = 0, before = 0}
s.p[me] = mine
mine.seen, mine.running, mine.waiting = now, running, waiting
if rate > 0 then s.r = math.max(s.r, now) - unused / rate end
if trate > 0 then s.k = math.max(s.k, now) + more / trate end
local window = math.floor(now / 5)
local count, total, active, given = 0, 0, 0, 0
for name, one in pairs(s.p) do
  if one.window ~= window then
    one.before = one.window == window - 1 and one.n or 0
    one.n, one.window = 0, window
  end
  count, total, given = count + 1, total + one.running, given + one.before
  if one.running + one.waiting > 0 then active = active + 1 end
end
local turns, wait, joins, held, why = {}, 0, 0, 0, ''
if s.join > now or (back and s.given < now - alive) then
  if s.join <= now then
    s.join = now + join
    if rate > 0 then s.r = math.max(s.r, s.join + burst / rate) end
    if trate > 0 then s.k = math.max(s.k, s.join + tburst / trate) end
    s.given = s.join
  end
  joins = s.join - now
elseif s.held > now then
  held, why = s.held - now, s.why
else
  local wanted = #ARGV - FIRST + 1
  local slots = wanted
  if most > 0 then
    slots = most - total
    local poor = math.floor(most / math.max(1, active))
    for name, one in pairs(s.p) do
      if name ~= me and one.waiting > 0 and one.running < poor then
        slots = math.min(slots, math.ceil(most / math.max(1, active)) - mine.running)
        break
      end
    end
    slots = math.max(0, slots)
  end
  for i = 1, wanted do
    local tokens, batch = tonumber(ARGV[FIRST + i - 1]), i > interactive
    local leave = 0
    if batch and slots > 1 and most > 0 and total + #turns > 0 then leave = 1 end
    if #turns >= slots - leave then break end
    local due = now
    if rate > 0 then
      local b = batch and 1 or burst
      due = math.max(due, s.r - (b - 1) / rate)
    end
    if trate > 0 then
      local b = batch and tokens or math.max(tburst, tokens)
      due = math.max(due, s.k - (b - tokens) / trate)
    end
    if due > now + horizon then
      wait = due - now - horizon
      break
    end
    if rate > 0 then s.r = math.max(s.r, now) + 1 / rate end
    if trate > 0 then s.k = math.max(s.k, now) + tokens / trate end
    turns[#turns + 1] = due - now
  end
  mine.running, mine.waiting, mine.n = mine.running + #turns, mine.waiting - #turns, mine.n + #turns
  s.given = now
  total = total + #turns
end
local share = 1 / count
if given > 0 then share = 0.9 * mine.before / given + 0.1 / count end
local room = 1000
if rate > 0 then room = burst - (s.r - now) * rate end
if most > 0 then room = math.min(room, most - total) end
if trate > 0 and s.k > now then room = math.min(room, 0) end
room = math.max(0, math.floor(room + 1e-9))
redis.call('SET', KEYS[1], cmsgpack.pack(s), 'EX', 900)
local function us(x) return math.floor(x * 1e6 + 0.5) end
local reply = {ms(), us(wait), count, us(share), room, us(joins), us(held), why}
for i, one in ipairs(turns) do reply[#reply + 1] = us(one) end
return reply
"""
"""Gives turns of a place. KEYS: its state. Limits that are not there are 0. Returns the time, wait, processes, share,
room, joins_in, held, why, then a time for each turn."""

HOLD: Final = """
local t = redis.call('TIME')
local now = t[1] + t[2] / 1e6
local raw = redis.call('GET', KEYS[1])
local s = raw and cmsgpack.unpack(raw) or {r = now, k = now, given = 0, join = 0, held = 0, why = '', p = {}}
if now + tonumber(ARGV[1]) > s.held then s.held, s.why = now + tonumber(ARGV[1]), ARGV[2] end
redis.call('SET', KEYS[1], cmsgpack.pack(s), 'EX', 900)
"""
"""Stops the turns of a place. KEYS: its state. It is never made shorter."""

TELL: Final = """
local t = redis.call('TIME')
local now = t[1] + t[2] / 1e6
local ends = now + tonumber(ARGV[2])
local old = redis.call('HGET', KEYS[1], ARGV[1])
if old and cmsgpack.unpack(old).ends >= ends then return end
redis.call('HSET', KEYS[1], ARGV[1], cmsgpack.pack({ends = ends, hold = ARGV[3]}))
redis.call('EXPIRE', KEYS[1], 3600)
"""
"""Puts a hold among the news. KEYS: the news."""

NEWS: Final = """
local t = redis.call('TIME')
local now = t[1] + t[2] / 1e6
redis.call('ZADD', KEYS[2], string.format('%.6f', now), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.6f', now - tonumber(ARGV[2])))
redis.call('EXPIRE', KEYS[2], 60)
local reply = {redis.call('ZCARD', KEYS[2])}
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local one = cmsgpack.unpack(all[i + 1])
  if one.ends <= now then
    redis.call('HDEL', KEYS[1], all[i])
  else
    reply[#reply + 1] = one.hold
    reply[#reply + 1] = math.floor((one.ends - now) * 1e6)
  end
end
return reply
"""
"""Returns how many processes there are, then each hold and how long it lasts. KEYS: the news, the processes."""

_LAPSE = _NOW + """
local function lapse(sums, open)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', open, '-inf', string.format('%.6f', now))) do
    redis.call('ZREM', open, id)
    local entry = redis.call('HGET', sums, 'i:' .. id)
    if entry then
      local number, amount = entry:match('^(%-?%d+):(%-?%d+)$')
      if number then
        redis.call('HINCRBY', sums, 'r:' .. number, '-' .. amount)
        redis.call('HINCRBY', sums, 's:' .. number, amount)
        redis.call('HSET', sums, 'i:' .. id, 'lapsed:' .. entry)
      end
    end
  end
end
local function number_of(span)
  if span == 0 then return 0 end
  return math.floor(now / span)
end
local function ends_in(span)
  if span == 0 then return -1 end
  return math.floor((span - now % span) * 1e6)
end
local function sum(sums, kind, number)
  return tonumber(redis.call('HGET', sums, kind .. string.format('%d', number)) or '0')
end
local function keep(sums, open, span)
  local seconds = span == 0 and 86400 or 2 * span
  redis.call('EXPIRE', sums, seconds)
  redis.call('EXPIRE', open, seconds)
end
"""

RESERVE: Final = _LAPSE + """
if stale(ARGV[1]) then return {-1, ms()} end
local reply = {ms()}
local at = 2
for i = 1, #KEYS, 2 do lapse(KEYS[i], KEYS[i + 1]) end
while at <= #ARGV do
  local id, amount, seconds, count = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  at = at + 4
  local short, lefts = nil, {}
  for j = 0, count - 1 do
    local key, limit, span = tonumber(ARGV[at + 3 * j]), tonumber(ARGV[at + 3 * j + 1]), tonumber(ARGV[at + 3 * j + 2])
    local number = number_of(span)
    local left = limit - sum(KEYS[key], 's:', number) - sum(KEYS[key], 'r:', number)
    lefts[#lefts + 1] = string.format('%.0f', left - tonumber(amount))
    if not short and tonumber(amount) > left then
      short = {j, string.format('%.0f', left), string.format('%.0f', ends_in(span))}
    end
  end
  if short then
    reply[#reply + 1] = short
  else
    local numbers = {-1}
    for j = 0, count - 1 do
      local key, span = tonumber(ARGV[at + 3 * j]), tonumber(ARGV[at + 3 * j + 2])
      local number = string.format('%d', number_of(span))
      redis.call('HINCRBY', KEYS[key], 'r:' .. number, amount)
      redis.call('HSET', KEYS[key], 'i:' .. id, number .. ':' .. amount)
      redis.call('ZADD', KEYS[key + 1], string.format('%.6f', now + seconds), id)
      keep(KEYS[key], KEYS[key + 1], span)
      numbers[#numbers + 1] = number
    end
    for _, left in ipairs(lefts) do numbers[#numbers + 1] = left end
    reply[#reply + 1] = numbers
  end
  at = at + 3 * count
end
return reply
"""
"""Reserves amounts. KEYS: sums and open reservations of each account, by turns. Returns the time, and for each {-1, the
span of each account, what is left in each}, or the account that is short, what is left in it, and when its span ends.
"""

SETTLE: Final = _LAPSE + """
local at = 1
while at <= #ARGV do
  local id, cost, count = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
  at = at + 3
  for j = 0, count - 1 do
    local key, span = tonumber(ARGV[at + 2 * j]), tonumber(ARGV[at + 2 * j + 1])
    local sums, open = KEYS[key], KEYS[key + 1]
    if id:sub(1, 5) == 'alone' then
      if redis.call('HSETNX', sums, 'i:' .. id, 'booked') == 1 then
        redis.call('HINCRBY', sums, 's:' .. string.format('%d', number_of(span)), cost)
        keep(sums, open, span)
      end
    else
      local entry = redis.call('HGET', sums, 'i:' .. id)
      if entry then
        local lapsed, number, amount = entry:match('^(l?a?p?s?e?d?:?)(%-?%d+):(%-?%d+)$')
        if lapsed == '' then
          redis.call('HINCRBY', sums, 'r:' .. number, '-' .. amount)
          redis.call('HINCRBY', sums, 's:' .. number, cost)
        else
          redis.call('HINCRBY', sums, 's:' .. number, cost)
          redis.call('HINCRBY', sums, 's:' .. number, '-' .. amount)
        end
        redis.call('HDEL', sums, 'i:' .. id)
        redis.call('ZREM', open, id)
      end
    end
  end
  at = at + 2 * count
end
"""
"""Replaces reservations by what was spent, each once. KEYS: as of `RESERVE`."""

READ: Final = _LAPSE + """
lapse(KEYS[1], KEYS[2])
local span = tonumber(ARGV[1])
local number = number_of(span)
return {
  string.format('%.0f', sum(KEYS[1], 's:', number)), string.format('%.0f', sum(KEYS[1], 'r:', number)),
  string.format('%.0f', ends_in(span)),
}
"""
"""Returns what is spent and reserved in an account, and when its span ends (-1: never)."""
