-- Let requests wait, in their order, while a model is exchanged on a device that holds one replica, and while it wakes.
--
-- holds.map has for such a model `PATIENCE:SINCE:`, seconds and the time at which the hold began, and afterwards for a while
-- `0:SINCE:UNTIL`; times are in milliseconds since the epoch. A start from the files finds `PATIENCE` alone.
--
-- With `a` in front a hold is armed: the model is served, and requests wait only while no replica of it is up. The first that
-- waits notes SINCE there, and the first that finds a replica up again notes UNTIL.
--
-- All requests at once would be a burst that no client caused, so the time in which they arrived is replayed, shorter: a
-- request leaves at UNTIL + GRACE + (arrival - SINCE) x PACE, and new ones join behind until they meet the present. This
-- keeps the order over all threads and workers, which share no state. No request waits longer than the first.
--
-- Sets txn.held to `late` after the patience, and to `full` where too many wait. While a request waits it is `gone`: where the
-- client hangs up, HAProxy ends this function without a word and goes on with the request. A body that is larger than a buffer
-- hides the end of its client until the request leaves.

-- asleep.map has for a model that sleeps `POLICY|SECONDS|DUE|MODEL`: what its requests get, how long a start takes, when it is
-- due (seconds since the epoch; 0 until it wakes), and the model, which an adapter has another name than. A request that wants
-- the model leaves `wake:MODEL` there, and the watch of the host wakes it. Requests of the policy `wait` wait as above.

local POLL = 200       -- milliseconds between two looks at the map
local GRACE = 250      -- milliseconds; by then each waiting request has seen the end
local PACE = 0.1       -- of the time in which the requests arrived
local MOST = 5000      -- milliseconds for the replay of any hold
local PATIENCE = 120   -- seconds that requests wait at least for a model that wakes
local LATER = 5        -- seconds until another try, of a model that takes longer than usual
local DEAD = 1000      -- milliseconds; an entry that looked no more for so long has no client

local holds = Map.new('holds.map', Map._str)
local slots = Map.new('slots.map', Map._str)
local sleeping = Map.new('asleep.map', Map._str)
local waiting = {} -- entry -> true; an entry has `seen`, when it looked last, and `bytes`

-- The time, in milliseconds since the epoch, which the maps and the host's programs have too. HAProxy's own time leaves out
-- what it takes for a step of the clock, also a pause of the machine, and stays behind by that until the next reload.
local function clock(txn)
  return txn.f:date(0, 'ms')
end

-- The milliseconds of HAProxy's own time, for durations: a step of the clock does not change them.
local function passed()
  local now = core.now()
  return now.sec * 1000 + now.usec // 1000
end

-- The requests and bytes that wait in this thread.
local function load(now)
  local count, bytes = 0, 0
  for entry in pairs(waiting) do
    if now - entry.seen > DEAD then
      waiting[entry] = nil
    else
      count, bytes = count + 1, bytes + entry.bytes
    end
  end
  return count, bytes
end

-- The milliseconds until a request that came at `arrived` may leave, of a hold that has ended.
local function leaves(arrived, since, ended, now)
  local pace = math.min(PACE, MOST / math.max(1, ended - since))
  local left = ended + GRACE + math.max(0, arrived - since) * pace - now
  -- No replay is that long: the clock was set back since, and requests would wait until it has caught up.
  return left <= GRACE + MOST and left or 0
end

-- Whether a replica of the request's model is up. The router's checks find its death half a second late, and a request that
-- is refused can wait no more: so the port of a replica here is asked.
local function is_up(txn, model)
  local backend = txn:get_var('txn.backend')
  local proxy = core.backends[backend or '']
  -- What no backend leads to is refused for that.
  if not proxy then return true end
  if txn.f:nbsrv(backend) == 0 then return false end
  local server = proxy.servers[slots:lookup(model) or '']
  local address, port = (server and server:get_addr() or ''):match('^(127%.0%.0%.1):(%d+)$')
  if not address then return true end
  local socket = core.tcp()
  socket:settimeout(1)
  local answers = socket:connect(address, tonumber(port))
  socket:close()
  return answers ~= nil
end

-- Returns whether requests of an armed hold wait, since when and until when; both are nil where none has waited.
local function armed(txn, model, patience, since, ended, now)
  local up = is_up(txn, model)
  if up and since and not ended then
    ended = now
  elseif not up and (ended or not since) then
    since, ended = now, nil
  else
    return not up, since, ended
  end
  core.set_map('holds.map', model, string.format('a%s:%d:%s', patience, since, ended and math.floor(ended) or ''))
  return not up, since, ended
end

-- Returns the milliseconds until the next look, or nil and, where the request is refused, why. It has waited for `waited` of
-- them since it `arrived`.
local function decide(txn, model, arrived, now, waited)
  local value = holds:lookup(model)
  local arms, patience, since, ended = (value or ''):match('^(a?)(%d+):?(%d*):?(%d*)$')
  if not patience then return nil end
  local waits = patience ~= '0'
  since, ended = tonumber(since), tonumber(ended)
  if arms == 'a' then
    waits, since, ended = armed(txn, model, patience, since, ended, now)
    if not waits and not since then return nil end
  end
  local left = waits and tonumber(patience) * 1000 - waited or leaves(arrived, since or 0, ended or 0, now)
  if left <= 0 then return nil, waits and 'late' or nil end
  return math.min(left, POLL)
end

-- Note that a request wants the model, where it sleeps; returns its policy, seconds and due time, nil where it is awake.
local function wish(txn, model)
  local policy, seconds, due, name = (sleeping:lookup(model) or ''):match('^(%l+)|(%d+)|(%d+)|(.+)$')
  if policy and policy ~= 'refuse' then core.set_map('asleep.map', 'wake:' .. name, tostring(txn.f:date())) end
  return policy, tonumber(seconds), tonumber(due)
end

-- Refuse a request of a model that sleeps, see refuse.lua.
local function refuse(txn, code, words, wait)
  txn:set_var('txn.wait', math.max(1, wait))
  txn:set_var('txn.refusal', '503 server_error ' .. code .. ' null "' .. words .. '"')
end

-- At most so many requests and bytes wait in each thread. txn.bytes is what this one holds in memory.
local function hold(txn, most_requests, most_bytes)
  local model, arrived, began = txn:get_var('txn.model'), clock(txn), passed()
  local entry = { bytes = txn:get_var('txn.bytes') or 0 }
  local left, why = decide(txn, model, arrived, arrived, 0)
  if not left then
    if why then txn:set_var('txn.held', why) end
    return
  end
  local count, bytes = load(began)
  if count >= tonumber(most_requests) or bytes + entry.bytes > tonumber(most_bytes) then
    txn:set_var('txn.held', 'full')
    return
  end
  local asleep = wish(txn, model)
  waiting[entry] = true
  txn:set_var('txn.held', 'gone')
  while left do
    entry.seen = passed()
    core.msleep(math.max(1, math.ceil(left)))
    left, why = decide(txn, model, arrived, clock(txn), passed() - began)
  end
  waiting[entry] = nil
  if why == 'late' and asleep then
    txn:set_var('txn.held', 'asleep')
    refuse(txn, 'not_awake_in_time', 'This model slept and was not up in time; try again.', 5)
    return
  end
  if why then txn:set_var('txn.held', why) else txn:unset_var('txn.held') end
end

-- Say of a model without a replica that it sleeps, where it does, and when it is up.
local function asleep(txn)
  local policy, seconds, due = wish(txn, txn:get_var('txn.model'))
  if not policy then return end
  if policy == 'refuse' and due == 0 then
    refuse(txn, 'model_asleep', 'This model sleeps; its operator wakes it.', seconds)
    return
  end
  -- Until it is due, its host may be waiting for a model that must make room and is busy.
  local state = due == 0 and 'was asked to wake' or 'is being started'
  -- Another machine's clock may have said when, or this one's before it was set back.
  local left = due == 0 and seconds or math.min(seconds, due - txn.f:date())
  -- Requests of the policy `wait` wait for so long. Afterwards the start has failed, and the operator asked for no such sleep.
  local late = due > 0 and left < seconds - math.max(PATIENCE, 3 * seconds)
  local code = late and 'not_awake_in_time' or 'model_asleep'
  refuse(txn, code, 'This model sleeps and ' .. state .. '; try again after the seconds of Retry-After.', left > 0 and left or LATER)
end

core.register_action('hold', { 'http-req' }, hold, 2)
core.register_action('asleep', { 'http-req' }, asleep, 0)
