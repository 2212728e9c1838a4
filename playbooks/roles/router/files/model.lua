-- Find the top-level "model" of a JSON body without parsing the rest of it.
--
-- HAProxy's own json_query() gives up at nesting depth 20 and copies every value that it passes. This scan looks only for
-- quotes and brackets, so depth and size take time but no memory. It agrees with Python's json.loads, which the engine
-- uses: it decodes escapes in key and value, and of several "model" keys the last one wins.
--
-- Sets txn.continued to the top-level field by which the body needs stored responses, where there is one; and txn.model to
-- the name, or txn.fault to "object" (not a whole JSON object) or "model" (no string of that name).

local byte, find, match, sub = string.byte, string.find, string.match, string.sub

local QUOTE, BACKSLASH, OPEN_BRACE, CLOSE_BRACE, OPEN_BRACKET = 34, 92, 123, 125, 91
local MAX_RAW_NAME = 1024 -- no model has a longer name
local MAX_RAW_KEY = 30    -- five letters, each as \uXXXX
local MARK = '\xEF\xBB\xBF' -- of UTF-8; programs on Windows begin with it, and Python's json.loads passes over it
local MAX_LEAD = 4096     -- white space before the object; megabytes of it would occupy a thread
-- Fields of a request for a response, each with how a value begins that needs what is stored.
local STORED = { previous_response_id = '^"', conversation = '^["{]', background = '^true' }
local MAX_DEPTH = 10000   -- no parser takes more; 15 MB of brackets would occupy a thread for seconds

local PLAIN = { ['"'] = '"', ['\\'] = '\\', ['/'] = '/', b = '\b', f = '\f', n = '\n', r = '\r', t = '\t' }

-- Index of the quote that ends the string whose first character stands at `i`.
local function string_end(text, i)
  while true do
    local quote = find(text, '"', i, true)
    if not quote then return nil end
    local before = quote - 1
    while before >= i and byte(text, before) == BACKSLASH do before = before - 1 end
    if (quote - 1 - before) % 2 == 0 then return quote end
    i = quote + 1
  end
end

-- The character that a \uXXXX at `i` (its backslash) names, and the index after it; nil where it names none.
local function unicode(raw, i)
  local hex = match(raw, '^%x%x%x%x', i + 2)
  if not hex then return nil end
  local code, after = tonumber(hex, 16), i + 6
  if code >= 0xD800 and code <= 0xDBFF then
    local low = match(raw, '^\\u([dD][c-fC-F]%x%x)', after)
    if not low then return nil end
    code, after = 0x10000 + (code - 0xD800) * 0x400 + tonumber(low, 16) - 0xDC00, after + 6
  elseif code >= 0xDC00 and code <= 0xDFFF then
    return nil
  end
  return utf8.char(code), after
end

-- The text of a JSON string, from the characters between its quotes; nil where an escape is invalid.
local function decode(raw)
  local parts, i = {}, 1
  while true do
    local escape = find(raw, '\\', i, true)
    if not escape then
      parts[#parts + 1] = sub(raw, i)
      return table.concat(parts)
    end
    parts[#parts + 1] = sub(raw, i, escape - 1)
    local kind = sub(raw, escape + 1, escape + 1)
    local char, after = PLAIN[kind], escape + 2
    if kind == 'u' then char, after = unicode(raw, escape) end
    if not char then return nil end
    parts[#parts + 1], i = char, after
  end
end

local function is_model_key(text, first, last)
  if last - first == 4 then return sub(text, first, last) == 'model' end
  if last - first >= MAX_RAW_KEY or byte(text, first) == nil then return false end
  local raw = sub(text, first, last)
  return find(raw, '\\', 1, true) ~= nil and decode(raw) == 'model'
end

-- A name that is a string without control characters, else nil.
local function name_of(raw)
  if #raw > MAX_RAW_NAME then return nil end
  local name = decode(raw)
  if not name or name == '' or find(name, '%c') then return nil end
  return name
end

-- The name of the field at `first` if it needs stored responses, else nil.
local function needs_stored(text, first, last)
  if last - first >= MAX_RAW_KEY then return nil end
  local key = sub(text, first, last)
  local _, colon = find(text, '^[ \t\r\n]*:[ \t\r\n]*', last + 2)
  return STORED[key] and colon and find(text, STORED[key], colon + 1) and key
end

-- Returns the name, or nil and the fault; and the field that needs stored responses, if any.
local function model_of(text)
  local first = sub(text, 1, #MARK) == MARK and #MARK + 1 or 1
  local i = find(sub(text, 1, MAX_LEAD), '[^ \t\r\n]', first)
  if not i or byte(text, i) ~= OPEN_BRACE then return nil, 'object' end
  -- Python would read UTF-16, and perhaps another model: JSON of UTF-8 has no such byte.
  if byte(text, i + 1) == 0 then return nil, 'object' end
  local depth, name, continued = 1, nil, nil
  i = i + 1
  while true do
    local at = find(text, '["%[%]{}]', i)
    if not at then return nil, 'object' end
    local char = byte(text, at)
    i = at + 1
    if char == QUOTE then
      local last = string_end(text, i)
      if not last then return nil, 'object' end
      if depth == 1 and is_model_key(text, i, last - 1) then
        local _, colon = find(text, '^[ \t\r\n]*:[ \t\r\n]*', last + 1)
        if colon then
          name = nil
          if byte(text, colon + 1) == QUOTE then
            local first = colon + 2
            last = string_end(text, first)
            if not last then return nil, 'object' end
            name = name_of(sub(text, first, last - 1))
          else
            last = colon
          end
        end
      elseif depth == 1 then
        continued = needs_stored(text, i, last - 1) or continued
      end
      i = last + 1
    elseif char == OPEN_BRACE or char == OPEN_BRACKET then
      depth = depth + 1
      if depth > MAX_DEPTH then return nil, 'object' end
    else
      depth = depth - 1
      if depth == 0 then
        if char ~= CLOSE_BRACE then return nil, 'object' end
        if name then return name, nil, continued end
        return nil, 'model'
      end
    end
  end
end

core.register_action('model', { 'http-req' }, function(txn)
  local name, fault, continued = model_of(txn.f:req_body() or '')
  if continued then txn:set_var('txn.continued', continued) end
  if name then
    txn:set_var('txn.model', name)
  else
    txn:set_var('txn.fault', fault)
  end
end, 0)
