-- Runs the router's readers of bodies on a file of bodies, for tests: HAProxy loads this while it checks a configuration.
--
-- PARSERS_DIRECTORY has the readers. PARSERS_BODIES has pairs of a content type and a body, each with its length in four
-- bytes before it. PARSERS_FOUND gets a line for each pair: model, fault and field in hexadecimal, error, seconds.

local directory = os.getenv('PARSERS_DIRECTORY')
local actions = {}
core.register_action = function(name, _, action) actions[name] = action end
for _, name in ipairs({ 'model', 'form' }) do assert(loadfile(directory .. '/' .. name .. '.lua'))() end

local bodies = assert(io.open(os.getenv('PARSERS_BODIES'), 'rb'))
local found = assert(io.open(os.getenv('PARSERS_FOUND'), 'w'))

local function text()
  local head = bodies:read(4)
  if not head then return nil end
  local size = string.unpack('>I4', head)
  return size == 0 and '' or bodies:read(size)
end

local function hex(value)
  return (tostring(value or ''):gsub('.', function(char) return ('%02x'):format(char:byte()) end))
end

for kind in text do
  local body, vars = text(), {}
  local txn = {
    f = { req_body = function() return body end, req_fhdr = function() return kind end },
    set_var = function(_, name, value) vars[name] = value end,
  }
  local began = os.clock()
  local whole, why = pcall(actions[kind == '' and 'model' or 'form'], txn)
  local taken = os.clock() - began
  local fields = { vars['txn.model'], vars['txn.fault'], vars['txn.continued'] }
  found:write(('%s,%s,%s,%s,%.3f\n'):format(
    hex(fields[1]), hex(fields[2]), hex(fields[3]), whole and '' or hex(why), taken))
end
found:close()
