-- Tell the log of an answer: the engine's count of tokens, and whether a stream was sent to its end.
--
-- The tokens are the engine's own `usage`, read as the answer passes. The filter keeps only the last bytes of the rest,
-- because `usage` may be cut in two. Generated text cannot forge it: the quotes inside a JSON string are escaped.
--
-- Sets txn.tokens_in and txn.tokens_out; where a stream was not sent to its end txn.reason, and where its client left
-- txn.status, 499.

local KEEP = 1024 -- bytes; `usage` with all details of vLLM has less than 500

local Usage = { id = 'usage', flags = filter.FLT_CFG_FL_HTX }
Usage.__index = Usage

function Usage:new()
  return setmetatable({ tail = '' }, Usage)
end

function Usage:http_headers(txn, message)
  if not message.channel:is_resp() then return end
  local kind = message:get_headers()['content-type']
  kind = kind and kind[0] or ''
  local stream = kind:find('event-stream', 1, true)
  if stream or kind:find('json', 1, true) then filter.register_data_filter(self, message.channel) end
  -- HAProxy looks for a function before each call. A call costs about as much as a piece of a stream, so that answers
  -- which are none do without.
  if stream then self.stream = true else self.http_end, self.end_analyze = false, false end
end

function Usage:http_payload(txn, message)
  if not message.channel:is_resp() then return end
  local text = self.tail .. (message:body() or '')
  local from, last = 1, nil
  while true do
    local at = text:find('"usage":', from, true)
    if not at then break end
    from, last = at + 8, at
  end
  if last then
    local part = text:sub(last, last + KEEP)
    local came = part:match('"prompt_tokens":%s*(%d+)') or part:match('"input_tokens":%s*(%d+)')
    local went = part:match('"completion_tokens":%s*(%d+)') or part:match('"output_tokens":%s*(%d+)')
    if came then txn:set_var('txn.tokens_in', came) end
    if went then txn:set_var('txn.tokens_out', went) end
  end
  self.tail = last and text:sub(last, last + KEEP) or text:sub(-7)
end

function Usage:http_end(txn, message)
  if message.channel:is_resp() then self.whole = true end
end

-- Called for request and answer, whichever way the stream ends.
function Usage:end_analyze(txn, channel)
  if not self.stream or self.whole or self.told then return end
  -- Clients hang up at the mark of the end, which the engine sends before it ends the message.
  if self.tail:find('DONE]%s*$') then return end
  self.told = true
  local left = not txn.req:may_recv()
  txn:set_var('txn.reason', left and 'client_left_answer' or 'replica_broke_off')
  if left then txn:set_var('txn.status', 499) end
end

core.register_filter('usage', Usage, function(made) return made end)
