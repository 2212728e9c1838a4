-- Runs the router's readers of other hosts' answers on a file of answers, for tests: HAProxy loads this while it checks a
-- configuration.
--
-- PARSERS_DIRECTORY has the readers. PARSERS_BODIES has pairs of a reader's name and an answer, each with its length in four
-- bytes before it. PARSERS_FOUND gets a line for each pair: what came of it, in hexadecimal, error, bytes read, seconds.

local directory = os.getenv('PARSERS_DIRECTORY')
local actions, tasks, said = {}, {}, {}
local text, place = '', 0
local STOP = {}

local function hex(value)
  return (tostring(value or ''):gsub('.', function(char) return ('%02x'):format(char:byte()) end))
end

local function note(word) said[#said + 1] = word end

-- As HAProxy's socket: a number is of bytes, fewer come at the end; lines come whole.
local Socket = {}
Socket.__index = Socket
function Socket:settimeout() end
function Socket:connect() return 1 end
function Socket:send() return 1 end
function Socket:close() end
function Socket:receive(wanted)
  local first = place + 1
  if first > #text then return nil, 'connection closed.' end
  local last = wanted == '*a' and #text or wanted == '*l' and (text:find('\n', first, true) or #text) or first + wanted - 1
  place = math.min(last, #text)
  return (text:sub(first, place):gsub(wanted == '*l' and '\r?\n$' or '^$', ''))
end

local Server = {}
Server.__index = Server
function Server:get_addr() return '10.0.0.2:80' end
function Server:check_force_up() note('up') end
function Server:check_force_nolb() note('nolb') end
function Server:check_force_down() note('down') end

Map = { _str = 0, new = function() return { lookup = function() end } end }
core.thread = 1
core.backends = {
  ['model.tiny'] = { servers = { ['b.blue'] = setmetatable({}, Server), ['b.green'] = setmetatable({}, Server) } },
}
core.register_action = function(name, _, action) actions[name] = action end
core.register_task = function(task) tasks[#tasks + 1] = task end
core.msleep = function() error(STOP) end
core.now = function() return { sec = 1000, usec = 0 } end
core.get_info = function() return {} end
core.set_map = function(_, name, _) note('withdrawn ' .. name) end
core.del_map = function() end
core.tcp = function() return setmetatable({}, Socket) end

-- The readers go on after an error.
local protected = pcall
local wrong
pcall = function(...)
  local results = table.pack(protected(...))
  if not results[1] and results[2] ~= STOP then wrong = results[2] end
  return table.unpack(results, 1, results.n)
end

local readers = {}

-- Until the first pause after an answer.
function readers.healths(chunk)
  chunk()
  protected(tasks[1])
  protected(tasks[2])
end

function readers.limits(chunk)
  chunk()
  local vars = { ['txn.key'] = 'ann', ['txn.per_minute'] = 5 }
  local txn = { f = { date = function() return 1000000 end } }
  function txn:get_var(name) return vars[name] end
  function txn:set_var(name, value) vars[name] = value end
  pcall(actions.admit, txn, '/nowhere', '10.0.0.1:80', '10.0.0.2:80,10.0.0.2:80')
  note(tostring(vars['txn.wait']))
end

local chunks = {}
for name in pairs(readers) do chunks[name] = assert(loadfile(directory .. '/' .. name .. '.lua')) end
local bodies = assert(io.open(os.getenv('PARSERS_BODIES'), 'rb'))
local found = assert(io.open(os.getenv('PARSERS_FOUND'), 'w'))

local function given()
  local head = bodies:read(4)
  if not head then return nil end
  local size = string.unpack('>I4', head)
  return size == 0 and '' or bodies:read(size)
end

for name in given do
  text, place, said, tasks, wrong = given(), 0, {}, {}, nil
  local began = os.clock()
  readers[name](chunks[name])
  local taken = os.clock() - began
  found:write(('%s,%s,%d,%.3f\n'):format(hex(table.concat(said, ' ')), hex(wrong), place, taken))
end
found:close()
