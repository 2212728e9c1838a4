-- Bound what answers take that their clients do not read, in the process whose buffers hold a large body each.
--
-- HAProxy reads an answer ahead until its buffers are full, and a buffer that is never empty keeps all that was ever written into it.
-- So the memory of this process is what counts. Four times a second it is compared with MEMORY and the bodies of the requests that
-- have no answer yet. While it is larger, the answers with most unread are cut: an eighth of them, or as many as hold what is too
-- much. The kernel keeps hundreds of KB for each client on the way, so an answer that is read has nothing unread here.

local EACH = 250 -- milliseconds
local MEMORY = tonumber(os.getenv('TOOLKIT_MEMORY'))
local CONTROL = os.getenv('TOOLKIT_CONTROL')

-- A mark for each request without an answer, with the bytes of its body. The stream alone holds its mark, so a mark goes with it.
local asked = setmetatable({}, { __mode = 'k' })

local function ask(txn, unknown)
  local mark = { bytes = tonumber(txn.sf:req_fhdr('content-length')) or tonumber(unknown) }
  asked[mark] = true
  txn:set_priv(mark)
end

local function answer(txn)
  local mark = txn:get_priv()
  if mark then asked[mark] = nil end
end

-- The bytes of this process in memory, less those of such bodies.
local function held()
  local file = io.open('/proc/self/status')
  local bytes = 1024 * tonumber(file:read('a'):match('\nVmRSS:%s*(%d+) kB'))
  file:close()
  if bytes <= MEMORY then return bytes end
  collectgarbage()
  for mark in pairs(asked) do bytes = bytes - mark.bytes end
  return bytes
end

-- Returns what HAProxy answers to commands.
local function tell(commands)
  local socket = core.tcp()
  socket:settimeout(5)
  local text = socket:connect(CONTROL) and socket:send(commands .. '\n') and socket:receive('*a')
  socket:close()
  return text or ''
end

-- The streams whose answers wait for their clients, those with most unread first.
local function unread()
  local found, text = {}, tell('show info;show fd')
  -- After a reload the successor has the socket.
  if text:match('\nPid: (%d+)') ~= tostring(core.get_info().Pid) then return found end
  for line in text:gmatch('[^\n]+') do
    local bytes, stream = line:match(' fe=bodies .* %.obuf=(%d+)@.* %.sc%.app=(0x%x+)')
    if bytes and bytes ~= '0' then found[#found + 1] = { bytes = tonumber(bytes), stream = stream } end
  end
  table.sort(found, function(one, other) return one.bytes > other.bytes end)
  return found
end

-- All at once: where this process has much to do, an answer to a command takes its time.
local function cut(excess)
  local found, commands = unread(), {}
  for i, each in ipairs(found) do
    if excess <= 0 and i > (#found + 7) // 8 then break end
    commands[i] = 'shutdown session ' .. each.stream
    excess = excess - each.bytes
  end
  if #commands > 0 then tell(table.concat(commands, ';')) end
end

core.register_action('ask', { 'http-req' }, ask, 1)
core.register_action('answer', { 'http-res' }, answer)
core.register_task(function()
  while true do
    core.msleep(EACH)
    local bytes = held()
    -- A failure must not end the looks.
    if bytes > MEMORY then pcall(cut, bytes - MEMORY) end
  end
end)
