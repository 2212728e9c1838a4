-- Answer with an error, and then take the rest of the request's body.
--
-- A client that still sends its body when the connection closes sees a broken pipe and never reads the answer. The answer
-- goes out first, so that a client that waits for it before it sends its body does not wait.
--
-- Reads txn.refusal, "STATUS TYPE CODE PARAM MESSAGE" with PARAM and MESSAGE in JSON, and for 429 and 503 txn.wait, the
-- seconds of Retry-After. On /v1/messages (txn.messages) the answer has a type of Anthropic's API, and its shape by
-- what follows the error (txn.tail), elsewhere those of OpenAI's.

local MAX_BODY = 256 * 1024 * 1024 -- bytes; whoever sends more sees the broken connection
local MAX_SECONDS = 60             -- a client that is slower holds up its own connection only
local MAX_AT_ONCE = 256            -- more refused clients than that are an attack, and are cut off

-- The types of Anthropic's API. 503 stays 503 there and does not become that API's 529: clients of both repeat it, it has
-- Retry-After, and what stands between client and router knows it.
local ANTHROPIC = {
  ['401'] = 'authentication_error',
  ['403'] = 'permission_error',
  ['404'] = 'not_found_error',
  ['413'] = 'request_too_large',
  ['429'] = 'rate_limit_error',
  ['500'] = 'api_error',
  ['503'] = 'overloaded_error',
}

-- A mark for each client that is waited for. HAProxy waits without an end for a client that sends nothing more, and the end
-- of a client ends its function without a word. The function alone holds its mark, so a mark goes with it.
local waited = setmetatable({}, { __mode = 'k' })
local collected = 0

local function waiting()
  local count = 0
  for _ in pairs(waited) do count = count + 1 end
  return count
end

-- Whether so many clients are waited for that this one is cut off.
local function full(now)
  if waiting() < MAX_AT_ONCE then return false end
  -- Marks of clients that have left go with the next collection.
  if now ~= collected then
    collected = now
    collectgarbage()
  end
  return waiting() >= MAX_AT_ONCE
end

-- Whether the request has an end. A tunnel and another protocol have none.
local function ends(applet)
  return applet.method ~= 'CONNECT' and not applet.headers['upgrade']
end

-- Returns the answer's status, code and body.
local function answer_of(applet)
  local form = '^(%d+) (%S+) (%S+) (%S+) (.*)$'
  local status, kind, code, param, message = applet:get_var('txn.refusal'):match(form)
  local messages = applet:get_var('txn.messages')
  if messages then kind = ANTHROPIC[status] or 'invalid_request_error' end
  local body = ('"error":{"message":%s,"type":"%s","param":%s,"code":"%s"}'):format(message, kind, param, code)
  return status, code, '{' .. body .. (applet:get_var('txn.tail') or '') .. '}'
end

local function refuse(applet)
  local status, code, body = answer_of(applet)
  applet:set_status(tonumber(status))
  applet:add_header('Content-Type', 'application/json')
  applet:add_header('Content-Length', tostring(#body))
  applet:add_header('X-Toolkit-Error', code)
  if status == '401' then applet:add_header('WWW-Authenticate', 'Bearer realm="toolkit"') end
  if status == '405' then applet:add_header('Allow', body:match('Use (%u+) here')) end
  if status == '415' then applet:add_header('Accept-Encoding', 'identity') end
  if status == '429' or status == '503' then
    applet:add_header('Retry-After', tostring(applet:get_var('txn.wait') or 1))
  end
  applet:start_response()
  if applet.method ~= 'HEAD' then applet:send(body) end

  local now = core.now().sec
  if not ends(applet) or full(now) then return end
  local mark, read = {}, 0
  waited[mark] = true
  while read < MAX_BODY and core.now().sec - now <= MAX_SECONDS do
    local part = applet:receive(262144)
    if not part or part == '' then break end
    read = read + #part
  end
  waited[mark] = nil
end

core.register_service('refuse', 'http', refuse)
