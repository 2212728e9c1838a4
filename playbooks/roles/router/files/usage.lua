-- Tell the log of an answer: the engine's count of tokens, and of a stream whether its client left it.
--
-- The tokens are the engine's own `usage`, read as an answer in one piece passes. The filter keeps only the last bytes of
-- the rest, because `usage` may be cut in two. Generated text cannot forge it: the quotes inside a JSON string are escaped.
-- A stream passes untouched: a call for each of its events would cost as much as all else that the router does for it.
-- What streams use is counted in the engine, see the recorder of the role `replica`.
--
-- Sets txn.tokens_in and txn.tokens_out; where the client of a stream left it, txn.reason and txn.status, 499. Whether the
-- replica broke a stream off is in the log's `end`, see access_log.py of the host's side.

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
  if kind:find('event-stream', 1, true) then
    self.stream = true
  else
    -- HAProxy looks for a function before each call.
    self.end_analyze = false
    if kind:find('json', 1, true) then filter.register_data_filter(self, message.channel) end
  end
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

-- Called for request and answer, whichever way the stream ends. After a whole answer the client can still send.
function Usage:end_analyze(txn, channel)
  if not self.stream or self.told or txn.req:may_recv() then return end
  self.told = true
  txn:set_var('txn.reason', 'client_left_answer')
  txn:set_var('txn.status', 499)
end

core.register_filter('usage', Usage, function(made) return made end)
