-- Limit the requests of a key: at most so many in any 60 seconds, over all hosts of the fleet together; none while a quota of
-- it is used up, see the end.
--
-- HAProxy's own rates estimate the former period, and let through nearly twice as many. Here each admitted request is
-- counted until it is 60 seconds old.
--
-- Hosts count together: the relays' addresses, sorted, are the same list everywhere, and a key's name selects the host that
-- counts its requests. Where that host does not answer, each host admits its share of the limit by itself, less what that host has
-- admitted of its requests: so each host notes those too.
--
-- Each admission is a line in one of three files, one for each minute of three. So counts outlive a reload and a restart, and
-- the threads and workers of a router count together: each reads what the others wrote. A thread first writes its line and
-- then looks how many stand before it. Where these are enough, it withdraws its line by another one.

local WINDOW = 60000      -- milliseconds
local GRAIN = 10          -- milliseconds; requests of one grain are one entry
local TIMEOUT = 0.5       -- seconds for an answer of another host
local MOST_HEAD = 512     -- bytes of such an answer
local SILENCE = 2000      -- milliseconds during which a host that did not answer is not asked again
local MAX_FILE = 16777216 -- bytes; each thread counts the requests beyond in its memory alone

local windows = {} -- name of a key -> {first, last, total, at = {}, count = {}}
local silent = {}  -- relay -> when it may be asked again

-- The time, in milliseconds since the epoch, which other workers and other hosts count by too. HAProxy's own time is behind
-- after a pause of the machine, see hold.lua.
local function clock(txn)
  return txn.f:date(0, 'ms')
end

-- The requests of a key that are younger than the window.
local function window_of(name, now)
  local window = windows[name]
  -- Requests that are further ahead were counted before the clock was set back, and would refuse the key until then.
  if not window or (window.at[window.last] or 0) > now + WINDOW then
    window = { first = 1, last = 0, total = 0, at = {}, count = {} }
    windows[name] = window
  end
  while window.first <= window.last and window.at[window.first] + GRAIN + WINDOW <= now do
    window.total = window.total - window.count[window.first]
    window.at[window.first], window.count[window.first] = nil, nil
    window.first = window.first + 1
  end
  return window
end

local function add(window, at)
  at = at - at % GRAIN
  window.total = window.total + 1
  if window.last >= window.first and window.at[window.last] >= at then
    window.count[window.last] = window.count[window.last] + 1
    return
  end
  window.last = window.last + 1
  window.at[window.last], window.count[window.last] = at, 1
end

local function withdraw(window, at)
  at = at - at % GRAIN
  local i = window.last
  while i > window.first and window.at[i - 1] >= at do i = i - 1 end
  if i < window.first or window.count[i] == 0 then return end
  window.total, window.count[i] = window.total - 1, window.count[i] - 1
end

-- --- what threads and workers share ------------------------------------------------------------------

local files = {} -- minute -> {read, write, size, mine}; `own` marks the lines of this thread
local own, directory

local function random()
  local source = io.open('/dev/urandom', 'rb')
  local text = source:read(8)
  source:close()
  return (text:gsub('.', function(char) return ('%02x'):format(char:byte()) end))
end

local function path_of(minute)
  return ('%s/admitted-%d'):format(directory, minute % 3)
end

local function open_file(minute)
  local appended = io.open(path_of(minute), 'a')
  local file = appended and io.open(path_of(minute), 'r')
  if not file then
    if appended then appended:close() end
    return { size = MAX_FILE }
  end
  appended:setvbuf('no')
  return { read = file, write = appended, size = 0 }
end

-- Empty the next minute's file: its lines are older than the window. Not close to that minute, in which others may write.
local function empty_next(minute, now)
  if now % 60000 > 55000 then return end
  local file = io.open(path_of(minute + 1), 'w')
  if file then file:close() end
end

-- Count what has been admitted since the last look; `mine` is the count of the key right after the last line of this thread.
local function follow(file, now)
  if not file.read then return end
  file.read:seek('cur', 0) -- forget the end that the last reading met
  for line in file.read:lines('L') do
    local whole = line:sub(-1) == '\n'
    if not whole then
      file.read:seek('cur', -#line)
      return
    end
    file.size = file.size + #line
    local writer, name, mark, at = line:match('^(%x+) (%S+) (%-?)(%d+)\n$')
    at = tonumber(at)
    if writer and at <= now + WINDOW and at + GRAIN + WINDOW > now then
      local window = window_of(name, now)
      if mark == '' then add(window, at) else withdraw(window, at) end
      if writer == own then file.mine = window.total end
    end
  end
end

local function followed(now)
  local minute = now // 60000
  if not own then own = random() end
  for old, file in pairs(files) do
    if old < minute - 1 or old > minute + 1 then
      if file.read then file.read:close() file.write:close() end
      files[old] = nil
    end
  end
  if not files[minute] then empty_next(minute, now) end
  for each = minute - 1, minute do
    if not files[each] and (each == minute or not next(files)) then files[each] = open_file(each) end
    if files[each] then follow(files[each], now) end
  end
  return files[minute]
end

-- --- the decision ----------------------------------------------------------------------------------

-- Returns nil where the request is admitted, else after how many milliseconds the next one will be.
local function decide(name, limit, now)
  local file = followed(now)
  local window = window_of(name, now)
  if window.total < limit then
    file.mine = nil
    if file.write and file.size < MAX_FILE then
      file.write:write(('%s %s %d\n'):format(own, name, now))
      follow(file, now)
    end
    -- No file, or a full disk.
    if not file.mine then
      add(window, now)
      return nil
    end
    if file.mine <= limit then return nil end
    file.write:write(('%s %s -%d\n'):format(own, name, now))
    follow(file, now)
  end
  local over, at = math.max(0, window.total - limit), window.first
  while at < window.last and over >= window.count[at] do
    over, at = over - window.count[at], at + 1
  end
  return math.min(WINDOW, (window.at[at] or now) + GRAIN + WINDOW - now)
end

-- Note a request that another host has admitted.
local function note(name, now)
  local file = followed(now)
  if file.write and file.size < MAX_FILE then
    file.write:write(('%s %s %d\n'):format(own, name, now))
  else
    add(window_of(name, now), now)
  end
end

local function split(relays)
  local found = {}
  for relay in relays:gmatch('[^,]+') do found[#found + 1] = relay end
  return found
end

-- The relay that counts for a key.
local function home(name, relays)
  local sum = 0
  for i = 1, #name do sum = (sum * 31 + name:byte(i)) % 4294967296 end
  return relays[sum % #relays + 1]
end

-- Returns whether the host answered, and the wait. It reads no more than it needs: a socket limits silence, not
-- time, and reads a line whole, however long it is.
local function read_answer(socket, txn, until_)
  local bytes = {}
  for i = 1, MOST_HEAD do
    local one = socket:receive(1)
    if not one or clock(txn) > until_ then return false end
    bytes[i] = one
    if one == ' ' or one == '\n' then
      local head = table.concat(bytes)
      if head:match('^HTTP/%S+ 200 ') then return true end
      local wait = tonumber(head:match('^HTTP/%S+ 429 .*\r\n[Rr]etry%-[Aa]fter: (%d+)\r\n'))
      if wait then return true, math.min(WINDOW, wait * 1000) end
    end
  end
  return false
end

local function ask(relay, name, limit, txn)
  local address, port = relay:match('^(.*):(%d+)$')
  local socket = core.tcp()
  socket:settimeout(TIMEOUT)
  local until_, answered, wait = clock(txn) + 1000 * TIMEOUT, false, nil
  if socket:connect(address, tonumber(port)) then
    socket:send(('GET /admit HTTP/1.0\r\nX-Toolkit-Key: %s\r\nX-Toolkit-Limit: %d\r\n\r\n'):format(name, limit))
    answered, wait = read_answer(socket, txn, until_)
  end
  socket:close()
  return answered, wait
end

-- `place` is a directory that the router may write to. `own_relay` is this host's address among `relays`; both are `-` where
-- this host decides alone.
local function admit(txn, place, own_relay, relays)
  directory = place
  local name, limit = txn:get_var('txn.key'), txn:get_var('txn.per_minute')
  local now, wait = clock(txn), nil
  local known = relays ~= '-' and split(relays) or {}
  local at = #known > 1 and home(name, known) or own_relay
  local answered = false
  local rest = (silent[at] or 0) - now
  if at ~= own_relay and (rest <= 0 or rest > SILENCE) then
    local ended, result, found = pcall(ask, at, name, limit, txn)
    answered, wait = ended and result, found
    if not answered then silent[at] = clock(txn) + SILENCE end
  end
  if not answered then
    if at ~= own_relay then
      local rank = 0
      for i, relay in ipairs(known) do if relay == own_relay then rank = i - 1 end end
      limit = math.max(1, (limit + rank) // #known)
    end
    wait = decide(name, limit, clock(txn))
  elseif not wait then
    note(name, clock(txn))
  end
  if wait then txn:set_var('txn.wait', math.max(1, math.ceil(wait / 1000))) end
end

core.register_action('admit', { 'http-req' }, admit, 3)

-- --- quotas ----------------------------------------------------------------------------------------

-- quotas.map has the keys that have used up a quota: NAME -> END|WHAT|PERIOD|TIME, END in seconds since the epoch and TIME the
-- same for people. An entry whose END is over works no more.
local quotas = Map.new('quotas.map', Map._str)

-- Refuse a request of such a key, see refuse.lua.
local function use_up(txn)
  local form = '^(%d+)|([^|]*)|([^|]*)|(.*)$'
  local ends, what, period, at = (quotas:lookup(txn:get_var('txn.key')) or ''):match(form)
  -- The true time, where HAProxy's own may be behind: see hold.lua.
  local left = (tonumber(ends) or 0) - txn.f:date()
  if left <= 0 then return end
  local words = ('This key has used up its %s of this %s; it gets in again at %s.'):format(what, period, at)
  txn:set_var('txn.wait', left)
  txn:set_var('txn.refusal', '429 rate_limit_error quota_exceeded null "' .. words .. '"')
end

core.register_action('use_up', { 'http-req' }, use_up)
