-- Count the tokens of an answer for the log: read the engine's own `usage` as the answer passes.
--
-- The filter keeps only the last bytes of the rest, because `usage` may be cut in two. Generated text cannot forge it: the
-- quotes inside a JSON string are escaped.

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
  if kind:find('json', 1, true) or kind:find('event-stream', 1, true) then
    filter.register_data_filter(self, message.channel)
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

core.register_filter('usage', Usage, function(made) return made end)
