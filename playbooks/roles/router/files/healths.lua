-- Ask each other host for the health of all of its targets at once, and say the same of this host's to routers that ask.
--
-- HAProxy's own check is a connection for each server, so the checks of a fleet grow with the square of its hosts and with
-- their slots. Here one question each 400 ms goes to each relay, on a connection that is kept, and each answer sets the servers
-- of that host. A host that is silent is taken down. The checks of backends.cfg stay, at the slow interval of the base: without
-- any answer they still find what died.
--
-- Nothing here waits in a service: HAProxy 2.6 aborts where a client of one leaves that sleeps.

local EACH = 400       -- milliseconds from a question to the next
local DOUBT = 800      -- milliseconds without an answer after which a host gets nothing new
local SILENCE = 1400   -- milliseconds without an answer after which a host is down
local WAIT = 50        -- milliseconds from one look of a request that waits for a host in doubt to the next
local LOOK = 200       -- milliseconds from one look for silent hosts to the next
local AGAIN = 200      -- milliseconds until the question that follows a refusal
local REFUSALS = 2     -- refusals in a row after which a host is down
local TIMEOUT = 0.9    -- seconds without an answer after which a connection is given up
local OLDER = 10000    -- milliseconds for which a host of an older toolkit is asked for each target
local LEAST_HEAD = 16  -- bytes of the head of an answer
local MOST_HEAD = 2048
local MOST_BYTES = 65536 -- of its body
local MOST_RELEASE = 200 -- bytes of a version and the number of its release
local MOST_SLEEP = 32    -- of the name of a sleep

local WITHDRAWN = 299
local NOTHING_NEW = 404

local place = debug.getinfo(1, 'S').source:match('^@(.*/)') or ''
-- BACKEND/SERVER of a target that its host calls withdrawn -> when it last did, in seconds since the epoch: for the watch.
local told = place .. 'withdrawn.map'
-- MODEL/TARGET of another host -> VERSION|RELEASE, as that host last said: for answers that it cannot label any more.
-- MODEL/TARGET/woken -> the model's last sleep that has ended on that host: for the watch.
local elsewhere = place .. 'releases.map'
-- Backends of which no other host has a replica with traffic, while their hosts are in doubt.
local doubted = place .. 'doubted.map'
local doubts = Map.new(doubted, Map._str)
local relays = Map.new('relay.map', Map._str)
local versions = Map.new('versions.map', Map._str)
Map.new(elsewhere, Map._str)
Map.new(told, Map._str)

local function clock()
  local now = core.now()
  return now.sec * 1000 + now.usec // 1000
end

local function model_of(backend)
  return (backend:match('^model%.(.*)$'):gsub(':', '/'))
end

-- --- the answer ------------------------------------------------------------------------------------

local own -- a list of {name, key, model, label}: the slots of this host

local function find_own()
  local found = {}
  for name, proxy in pairs(core.backends) do
    local backend = name:match('^relay%.[^.]+%.(model%..*)$')
    for target in pairs(backend and proxy.servers or {}) do
      local model = model_of(backend)
      local label = model .. '/' .. target
      found[#found + 1] = { name = backend .. '/' .. target, key = target .. '/' .. model, model = model, label = label }
    end
  end
  return found
end

-- The answer of `/health` for a slot of this host, see the frontend `relay`.
local function status_of(txn, each)
  local instead = relays:lookup('instead:' .. each.key)
  local relay = relays:lookup(instead and instead .. '/' .. each.model or each.key)
  local up = relay and txn.f:nbsrv(relay) > 0
  return up and (instead and WITHDRAWN or 200) or NOTHING_NEW
end

-- Sets txn.healths to `STATUS BACKEND/SERVER ` for each slot of this host, and then, without a space, to
-- `;BACKEND/SERVER=VERSION|RELEASE` for each with a release, and then `#SLEEP` where a sleep of its model has ended here. A
-- router of an older toolkit reads what it knows.
core.register_action('healths', { 'http-req' }, function(txn)
  own = own or find_own()
  local words, releases = {}, {}
  for i, each in ipairs(own) do
    local release = versions:lookup(each.label)
    words[i] = status_of(txn, each) .. ' ' .. each.name .. ' '
    local woken = release and versions:lookup(each.key .. '/woken')
    releases[i] = release and ';' .. each.name .. '=' .. release .. (woken and '#' .. woken or '') or ''
  end
  txn:set_var('txn.healths', table.concat(words) .. table.concat(releases))
end)

-- A relay has answered 425: it has no replica for the request, which its answers here will say only later. Until the next one
-- its target gets nothing new.
core.register_action('without_replica', { 'http-res' }, function(txn)
  local proxy, name = core.backends[txn.f:be_name()], txn.f:srv_name()
  local server = proxy and name and proxy.servers[name:match('^standby:(.*)$') or name]
  if server and not server:get_addr():match('^127%.0%.0%.1:') then server:check_force_nolb() end
end)

-- A request for a model whose hosts are all in doubt waits until one of them answers, or until they are down.
core.register_action('doubted', { 'http-req' }, function(txn)
  local backend, began = txn:get_var('txn.backend'), clock()
  while doubts:lookup(backend) and clock() - began < SILENCE do core.msleep(WAIT) end
end)

-- --- the question ----------------------------------------------------------------------------------

-- The threads share no state: one of them asks.
if core.thread > 1 then return end

local stopping = false

local function set_withdrawn(name, target, withdrawn)
  if withdrawn then core.set_map(told, name, tostring(os.time())) end
  if target.withdrawn and not withdrawn then core.del_map(told, name) end
  target.withdrawn = withdrawn
end

local function end_doubt(host)
  if not host.doubted then return end
  host.doubted = false
  for _, target in pairs(host.targets) do core.del_map(doubted, target.backend) end
end

-- Each answer sets all servers: a check of HAProxy's own may have missed one meanwhile.
local function follow(host, statuses)
  host.silent, host.refused = 0, 0
  for name, target in pairs(host.targets) do
    local status = statuses[name] or NOTHING_NEW
    if status == 200 or status == WITHDRAWN then
      target.server:check_force_up()
    elseif status == NOTHING_NEW then
      target.server:check_force_nolb()
    end
    set_withdrawn(name, target, status == WITHDRAWN)
  end
  end_doubt(host)
end

-- Whether targets of the same model on other hosts have traffic and are up.
local function has_others(host, target)
  for _, server in pairs(target.proxy.servers) do
    local seen = server:get_addr() ~= host.relay and server:get_stats()
    if seen and seen.act == 1 and seen.weight > 0 and seen.status:match('^UP') then return true end
  end
  return false
end

-- Whether requests of a model may connect anywhere: a model that sleeps has no weights.
local function has_traffic(proxy)
  for _, server in pairs(proxy.servers) do
    if server:get_stats().weight > 0 then return true end
  end
  return false
end

-- A host that is taken down loses the requests that only connect to it, without a word to their clients. A connection is
-- given up after 500 ms, so none is left by then, where no new one has begun: that goes to another host, or waits.
local function doubt(host)
  for _, target in pairs(host.targets) do
    if has_traffic(target.proxy) then
      if not has_others(host, target) then
        core.set_map(doubted, target.backend, 'yes')
        host.doubted = true
      end
      target.server:check_force_nolb()
    end
  end
end

local function learn_releases(host, text)
  for name, release, woken in text:gmatch(';([^;= ]+)=([%w%._-]+|%d+)#?(%x*)') do
    local target = #release < MOST_RELEASE and host.targets[name]
    if target and target.release ~= release then
      target.release = release
      core.set_map(elsewhere, target.label, release)
    end
    if target and woken ~= '' and #woken <= MOST_SLEEP and target.woken ~= woken then
      target.woken = woken
      core.set_map(elsewhere, target.label .. '/woken', woken)
    end
  end
end

local function take_down(host)
  for name, target in pairs(host.targets) do
    target.server:check_force_down()
    set_withdrawn(name, target, false)
  end
  end_doubt(host)
end

-- Returns the head of the next answer; nil where none comes. By so many bytes: a line is read whole, however long it is.
local function head_of(socket)
  local head, one = socket:receive(LEAST_HEAD) or '', nil
  if not head:match('^HTTP/1%.%d %d%d%d') then return nil end
  local bytes = { head }
  for i = 2, MOST_HEAD do
    one = socket:receive(1)
    if not one then return nil end
    bytes[i] = one
    if one == '\n' and bytes[i - 1] == '\r' and bytes[i - 2] == '\n' then return table.concat(bytes) end
  end
end

-- Returns status and body of the next answer; nil where none comes.
local function answer(socket)
  local head = head_of(socket)
  if not head then return nil end
  local length = tonumber(head:match('\n[Cc]ontent%-[Ll]ength: *(%d+)\r\n')) or 0
  if length > MOST_BYTES then return nil end
  local body = length > 0 and socket:receive(length) or ''
  if #body == length then return tonumber(head:match('^%S+ (%d+)')), body end
end

local ALL = 'GET /healths HTTP/1.1\r\nhost: relay\r\n\r\n'
local ONE = 'GET /health HTTP/1.1\r\nhost: relay\r\nx-toolkit-target: %s\r\nx-toolkit-model: %s\r\n\r\n'

-- Ask for all targets until the connection ends. Returns whether an answer came, and the first status that is not 200.
local function ask(host, socket)
  local heard, text, statuses = false, nil, nil
  while not stopping do
    socket:send(ALL)
    local status, now = answer(socket)
    if status ~= 200 then return heard, status end
    if now ~= text then
      text, statuses = now, {}
      for code, name in text:gmatch('(%d+) (%S+) ') do statuses[name] = tonumber(code) end
      learn_releases(host, text)
    end
    heard = true
    follow(host, statuses)
    -- All hosts at the same moments: what comes together wakes a process once.
    core.msleep(EACH - clock() % EACH)
  end
  return heard
end

-- Ask a host of an older toolkit for each target; returns whether all answers came.
local function ask_for_each(host, socket)
  local names, questions, statuses = {}, {}, {}
  for name, target in pairs(host.targets) do
    names[#names + 1], questions[#questions + 1] = name, target.question
  end
  socket:send(table.concat(questions))
  for _, name in ipairs(names) do
    local status = answer(socket)
    if not status then return false end
    statuses[name] = status
  end
  follow(host, statuses)
  return true
end

-- Returns after how many milliseconds to try again.
local function try(host, socket)
  socket:settimeout(TIMEOUT)
  if socket:connect(host.address, host.port) then
    if clock() < host.older then
      if ask_for_each(host, socket) then return EACH end
    else
      local heard, status = ask(host, socket)
      if status and not heard then host.older = clock() + OLDER end
      if status or heard then return 1 end
    end
  end
  host.refused = host.refused + 1
  -- Once, so that HAProxy's own checks have the last word where only this fails.
  if host.refused == REFUSALS then take_down(host) end
  return host.refused < REFUSALS and AGAIN or EACH
end

local function keep_asking(host)
  while not stopping do
    local socket = core.tcp()
    local done, pause = pcall(try, host, socket)
    socket:close()
    core.msleep(done and pause or EACH)
  end
end

-- The servers of other hosts, by relay. A replica of this host has its own port on loopback, and a twin tracks its server.
local function find_hosts()
  local hosts, list = {}, {}
  for backend, proxy in pairs(core.backends) do
    for name, server in pairs(backend:match('^model%.') and proxy.servers or {}) do
      local relay = server:get_addr()
      local address, port = relay:match('^([%d.]+):(%d+)$')
      if address and address ~= '127.0.0.1' and not name:match(':') then
        local host = hosts[relay]
        if not host then
          host = { relay = relay, address = address, port = tonumber(port), targets = {}, silent = 0, refused = 0, older = 0 }
          hosts[relay], list[#list + 1] = host, host
        end
        local question = ONE:format(name, model_of(backend))
        local label = model_of(backend) .. '/' .. name
        host.targets[backend .. '/' .. name] =
          { server = server, proxy = proxy, backend = backend, question = question, label = label }
      end
    end
  end
  return list
end

core.register_task(function()
  local hosts = find_hosts()
  for _, host in ipairs(hosts) do core.register_task(function() keep_asking(host) end) end
  local last, looks = clock(), 0
  -- A worker that a reload left behind takes no commands for its servers, and its checks have ended.
  while #hosts > 0 and not stopping do
    core.msleep(LOOK)
    local now = clock()
    -- A pause of this machine is no silence of the others.
    local passed = math.max(0, math.min(now - last, 2 * LOOK))
    last = now
    for _, host in ipairs(hosts) do
      local before = host.silent
      host.silent = before + passed
      if before < DOUBT and host.silent >= DOUBT then doubt(host) end
      if before < SILENCE and host.silent >= SILENCE then take_down(host) end
    end
    -- This gathers much more, which takes a tenth of a millisecond.
    looks = looks + 1
    if looks % 4 == 0 then stopping = core.get_info().Stopping == 1 end
  end
end)
