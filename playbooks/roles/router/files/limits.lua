-- Limit the requests of a key: at most so many in any 60 seconds, over all hosts of the fleet together.
--
-- HAProxy's own rates estimate the former period, and let through nearly twice as many. Here each admitted request is
-- counted until it is 60 seconds old. All threads share one state, in which a function runs to its next wait alone.
--
-- Hosts count together: the relays' addresses, sorted, are the same list everywhere, and a key's name selects the host that
-- counts its requests. Where that host does not answer, each host admits its share of the limit by itself.
--
-- Counts outlive a reload and a restart: each admission is a line in one of three files, one for each minute of three.

local WINDOW = 60000      -- milliseconds
local GRAIN = 10          -- milliseconds; requests of one grain are one entry
local TIMEOUT = 0.5       -- seconds for an answer of another host
local SILENCE = 2000      -- milliseconds during which a host that did not answer is not asked again
local MAX_FILE = 16777216 -- bytes; requests beyond are counted in memory alone

local windows = {} -- name of a key -> {first, last, total, at = {}, count = {}}
local silent = {}  -- relay -> when it may be asked again

local function clock()
  local now = core.now()
  return now.sec * 1000 + now.usec // 1000
end

-- The requests of a key that are younger than the window.
local function window_of(name, now)
  local window = windows[name]
  if not window then
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

-- --- what outlives the process ---------------------------------------------------------------------

local files = {} -- minute -> {handle, size}; `own` marks the lines of this process
local own, directory

local function random()
  local source = io.open('/dev/urandom', 'rb')
  local text = source:read(8)
  source:close()
  return (text:gsub('.', function(char) return ('%02x'):format(char:byte()) end))
end

local function open_file(minute)
  local path = ('%s/admitted-%d'):format(directory, minute % 3)
  local head = 'minute ' .. minute .. '\n'
  local file = io.open(path, 'r+')
  if not file or file:read('L') ~= head then
    if file then file:close() end
    file = io.open(path, 'w+')
    if not file then return { size = MAX_FILE } end
    file:write(head)
    file:close()
    file = io.open(path, 'r+')
    file:read('L')
  end
  local appended = io.open(path, 'a')
  if not appended then return { size = MAX_FILE } end
  appended:setvbuf('no')
  return { read = file, write = appended, size = 0 }
end

-- Count what other workers of this router have admitted since the last look.
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
    local writer, name, at = line:match('^(%x+) (%S+) (%d+)\n$')
    at = tonumber(at)
    if writer and writer ~= own and at <= now and at + GRAIN + WINDOW > now then add(window_of(name, now), at) end
  end
end

local function followed(now)
  local minute = now // 60000
  if not own then own = random() end
  for old, file in pairs(files) do
    if old < minute - 1 then
      if file.read then file.read:close() file.write:close() end
      files[old] = nil
    end
  end
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
  if window.total >= limit then
    local over, at = window.total - limit, window.first
    while over >= window.count[at] do
      over, at = over - window.count[at], at + 1
    end
    return window.at[at] + GRAIN + WINDOW - now
  end
  add(window, now)
  if file.write and file.size < MAX_FILE then file.write:write(('%s %s %d\n'):format(own, name, now)) end
  return nil
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

-- Returns whether the host answered, and the wait.
local function ask(relay, name, limit)
  local address, port = relay:match('^(.*):(%d+)$')
  local socket = core.tcp()
  socket:settimeout(TIMEOUT)
  local answer
  if socket:connect(address, tonumber(port)) then
    socket:send(('GET /admit HTTP/1.0\r\nX-Toolkit-Key: %s\r\nX-Toolkit-Limit: %d\r\n\r\n'):format(name, limit))
    answer = socket:receive('*a')
  end
  socket:close()
  local status, wait = (answer or ''):match('^HTTP/%S+ (%d+).-\r\n[Rr]etry%-[Aa]fter: (%d+)\r\n')
  if status == '429' then return true, tonumber(wait) * 1000 end
  return (answer or ''):match('^HTTP/%S+ 200 ') ~= nil, nil
end

-- `place` is a directory that the router may write to. `own_relay` is this host's address among `relays`; both are `-` where
-- this host decides alone.
local function admit(txn, place, own_relay, relays)
  directory = place
  local name, limit = txn:get_var('txn.key'), txn:get_var('txn.per_minute')
  local now, wait = clock(), nil
  local known = relays ~= '-' and split(relays) or {}
  local at = #known > 1 and home(name, known) or own_relay
  local answered = false
  if at ~= own_relay and (silent[at] or 0) <= now then
    local ended, result, found = pcall(ask, at, name, limit)
    answered, wait = ended and result, found
    if not answered then silent[at] = clock() + SILENCE end
  end
  if not answered then
    if at ~= own_relay then
      local rank = 0
      for i, relay in ipairs(known) do if relay == own_relay then rank = i - 1 end end
      limit = math.max(1, (limit + rank) // #known)
    end
    wait = decide(name, limit, clock())
  end
  if wait then txn:set_var('txn.wait', math.max(1, math.ceil(wait / 1000))) end
end

core.register_action('admit', { 'http-req' }, admit, 3)
