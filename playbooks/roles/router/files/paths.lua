-- Say where the API is, to a client that asked for a path which is none of its paths.
--
-- The words name only paths of the list, never the path that was asked for. Sets txn.hint, a text without quotes.

local ELSEWHERE = 'The API is at /v1: GET /v1/models, POST /v1/chat/completions.'

-- Beginnings of paths that other servers have.
local ABSENT = {
  { '/v1/realtime', 'Realtime over websockets is not served here.' },
  { '/v1/batches', 'Batches are not served here.' },
  { '/v1/messages/batches', 'Batches are not served here.' },
  { '/v1/files', 'Files are not served here.' },
  { '/v1/assistants', 'Assistants are not served here.' },
  { '/v1/threads', 'Assistants are not served here.' },
  { '/v1/images', 'Images are not made here.' },
  { '/v1/audio/speech', 'Speech is not made here.' },
  { '/v1/moderations', 'Moderation is not served here.' },
  { '/v1/fine_tuning', 'Fine-tuning is not served here.' },
  { '/v1/conversations', 'Conversations are not stored here.' },
  { '/v1/responses/compact', 'Conversations are not compacted here.' },
  { '/v1/responses/input_tokens', 'Use POST /v1/messages/count_tokens or POST /tokenize.' },
  { '/api/chat', 'This is the API of OpenAI, not that of Ollama: use POST /v1/chat/completions.' },
  { '/api/generate', 'This is the API of OpenAI, not that of Ollama: use POST /v1/completions.' },
  { '/api/embed', 'This is the API of OpenAI, not that of Ollama: use POST /v1/embeddings.' },
  { '/api/tags', 'This is the API of OpenAI, not that of Ollama: use GET /v1/models.' },
}

-- The path of the list that the asked one ends with, apart from its version; of several the longest.
local function meant(asked, paths)
  local found, length = nil, 0
  for path in (paths .. ',/v1/models'):gmatch('[^,]+') do
    local tail = path:gsub('^/v%d', '')
    if #tail > length and asked:sub(-#tail) == tail then found, length = path, #tail end
  end
  return found
end

local function hint(asked, paths)
  asked = asked:lower():gsub('/+', '/'):gsub('/$', '')
  for _, each in ipairs(ABSENT) do
    if asked:sub(1, #each[1]) == each[1] then return each[2] end
  end
  local path = meant(asked, paths)
  if not path then return ELSEWHERE end
  return ('Use %s %s.'):format(path == '/v1/models' and 'GET' or 'POST', path)
end

core.register_action('hint', { 'http-req' }, function(txn, paths)
  local words = hint(txn.f:path() or '', paths)
  if txn:get_var('txn.by_path') then words = words:gsub('Use POST /', 'Use POST /m/MODEL/') end
  txn:set_var('txn.hint', words)
end, 1)
