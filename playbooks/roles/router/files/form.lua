-- Find the field "model" of a form (multipart/form-data, RFC 7578), which comes with audio: before or after the file.
--
-- The file's bytes are passed over by a search for the boundary. It takes what the engine's parser takes: a part with a file
-- name is no field, and of several fields the last one wins.
--
-- Sets txn.model to the name, or txn.fault to "form" (not a whole form) or "model" (no such field).

local find, gmatch, sub = string.find, string.gmatch, string.sub

local MAX_NAME = 1024     -- bytes; no model has a longer name
local MAX_BOUNDARY = 256  -- bytes; RFC 2046 has 70
local MAX_HEAD = 4096     -- bytes of the headers of a part
local MAX_MARKS = 10000   -- places that look like a boundary; millions of them would occupy a thread

-- The value of a parameter of a header's value, or nil: `name` in `form-data; name="model"`.
local function parameter(value, wanted)
  local i = find(value, ';', 1, true)
  while i do
    local _, after, key = find(value, '^;%s*([^=;%s]+)%s*=%s*', i)
    if not after then
      i = find(value, ';', i + 1, true)
    else
      local _, last, found = find(value, '^"([^"]*)"', after + 1)
      if not last then _, last, found = find(value, '^([^;]*)', after + 1) end
      if key:lower() == wanted then return (found:gsub('%s+$', '')) end
      i = find(value, ';', last + 1, true)
    end
  end
  return nil
end

-- Whether the headers of a part are those of the field.
local function is_model(head)
  local value = nil
  for key, rest in gmatch(head, '([^\r\n:]+):([^\r\n]*)') do
    if key:lower() == 'content-disposition' then value = rest end
  end
  if not value or parameter(value, 'filename') or parameter(value, 'filename*') then return false end
  return parameter(value, 'name') == 'model'
end

-- A name without control characters, else nil.
local function name_of(raw)
  if raw == '' or #raw > MAX_NAME or find(raw, '%c') then return nil end
  return raw
end

-- Walks over the boundaries of a text. Returns a function that, from an index on, returns where the next boundary begins,
-- the index after it, and whether it is the last one; nil where there is none.
local function boundaries(text, boundary)
  local mark, left = '\r\n--' .. boundary, MAX_MARKS
  return function(from)
    while left > 0 do
      left = left - 1
      local at, last = find(text, mark, from, true)
      if not at then return nil end
      if sub(text, last + 1, last + 2) == '--' then return at, last + 3, true end
      local _, line = find(text, '^[ \t]*\r\n', last + 1)
      if line then return at, line + 1, false end
      from = last
    end
    return nil
  end
end

-- Returns the name, or nil and the fault.
local function model_of(text, boundary)
  text = '\r\n' .. text -- the first boundary may have no line before it
  local following, name = boundaries(text, boundary), nil
  local _, from, ended = following(1)
  while from and not ended do
    -- A part without headers begins with the empty line.
    local gap = find(text, '\r\n\r\n', from - 2, true)
    if not gap or gap - from > MAX_HEAD then return nil, 'form' end
    local at, after, last = following(gap + 4)
    if not at then return nil, 'form' end
    if is_model(sub(text, from, gap - 1)) then name = name_of(sub(text, gap + 4, at - 1)) end
    from, ended = after, last
  end
  if not from then return nil, 'form' end
  if not name then return nil, 'model' end
  return name
end

core.register_action('form', { 'http-req' }, function(txn)
  local boundary = parameter(txn.f:req_fhdr('content-type', 1) or '', 'boundary')
  local name, fault = nil, 'form'
  if boundary and boundary ~= '' and #boundary <= MAX_BOUNDARY then
    name, fault = model_of(txn.f:req_body() or '', boundary)
  end
  if name then txn:set_var('txn.model', name) else txn:set_var('txn.fault', fault) end
end, 0)
