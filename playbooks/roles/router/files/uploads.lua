-- Note the requests whose bodies pass through unread: uploads.map has STREAM -> the digest of the key. The router looks at none of
-- them again, so whoever revokes a key ends those of the key whose bodies are not whole yet, see router_keys.py.

local EACH = 10000 -- milliseconds from one look for requests that have ended to the next

-- A check of new files has no such file in its own place.
local map = (debug.getinfo(1, 'S').source:match('^@(.*/)') or '') .. 'uploads.map'
Map.new(map, Map._str)

local noted = {} -- stream -> true
-- stream -> a mark. The stream alone holds its mark, so a mark goes with it.
local marks = setmetatable({}, { __mode = 'v' })

core.register_action('upload', { 'http-req' }, function(txn)
  local mark, stream = {}, txn:get_var('txn.stream')
  txn:set_priv(mark)
  noted[stream], marks[stream] = true, mark
  core.set_map(map, stream, txn:get_var('txn.digest'))
end)

core.register_task(function()
  while true do
    core.msleep(EACH)
    if next(noted) then collectgarbage() end
    for stream in pairs(noted) do
      if not marks[stream] then
        noted[stream] = nil
        core.del_map(map, stream)
      end
    end
  end
end)
