-- Answers GET /v1/models: the models of models.json, each with the version and the release that most of its requests get.
--
-- The variable txn.models names the file. The maps follow a switch at once and without a reload. A model of which this host
-- has no replica with the traffic has no version here, and neither has an adapter.

local MAX_FILE = 1024 * 1024 -- bytes

-- model -> the slot with the traffic, and model/slot -> VERSION|RELEASE
local slots = Map.new('slots.map', Map._str)
local versions = Map.new('versions.map', Map._str)

-- Returns the fields that follow those of a model in the file, or nothing.
local function version_of(model)
  local slot = slots:lookup(model)
  local version, release = (slot and versions:lookup(model .. '/' .. slot) or ''):match('^(.*)|(%d+)$')
  return version and ('"version":"%s","release":%s'):format(version, release)
end

-- `head` is the beginning of one model's object, without its last brace. Names have no characters that JSON escapes.
local function with_version(head, name)
  if head:find('"parent":', 1, true) then return nil end
  local now = version_of(head:match('"root":"([^"]+)"') or name)
  return now and head .. ',' .. now .. '}'
end

core.register_service('models', 'http', function(applet)
  local file = io.open(applet:get_var('txn.models'), 'r')
  local text = file and file:read(MAX_FILE)
  if file then file:close() end
  text = (text or '{"object":"list","data":[]}\n'):gsub('({"id":"([^"]+)"[^{}]*)}', with_version)
  applet:set_status(200)
  applet:add_header('content-type', 'application/json')
  applet:add_header('content-length', tostring(#text))
  applet:start_response()
  applet:send(text)
end)
