// OpenAI's library for Node.
import OpenAI from "openai";
import { BASE, KEY, MESSAGES, MODEL, NO_MODEL, SCHEMA, Stream, TO_JSON, TO_NOTE, TOOL, WRONG_KEY, run } from "./cells.mjs";

const to = (apiKey) => new OpenAI({ baseURL: BASE, apiKey, maxRetries: 0 });
const client = to(KEY);
const asked = { model: MODEL, messages: MESSAGES, temperature: 0 };

async function chat(from = client, model = MODEL) {
  const answer = await from.chat.completions.create({ ...asked, model });
  return answer.choices[0].message.content;
}

async function stream() {
  const parts = [];
  for await (const event of await client.chat.completions.create({ ...asked, stream: true })) {
    const text = event.choices[0]?.delta?.content;
    if (text) parts.push(text);
  }
  return new Stream(parts);
}

async function tools() {
  const answer = await client.chat.completions.create({
    ...asked,
    messages: TO_NOTE,
    tools: [TOOL],
    tool_choice: { type: "function", function: { name: "note" } },
    max_tokens: 96,
  });
  const called = answer.choices[0].message.tool_calls[0].function;
  return { name: called.name, arguments: JSON.parse(called.arguments) };
}

async function schema() {
  const answer = await client.chat.completions.create({
    ...asked,
    messages: TO_JSON,
    response_format: { type: "json_schema", json_schema: { name: "note", schema: SCHEMA } },
    max_tokens: 96,
  });
  return JSON.parse(answer.choices[0].message.content);
}

async function usage() {
  let told;
  const options = { ...asked, stream: true, stream_options: { include_usage: true } };
  for await (const event of await client.chat.completions.create(options)) told = event.usage ?? told;
  return [told.prompt_tokens, told.completion_tokens];
}

async function embeddings() {
  const answer = await client.embeddings.create({ model: MODEL, input: "a" });
  return answer.data[0].embedding.length;
}

await run(
  {
    chat: () => chat(),
    stream,
    tools,
    "JSON schema": schema,
    usage,
    embeddings,
    errors: () => chat(client, NO_MODEL),
    keys: () => chat(to(WRONG_KEY)),
  },
  () => chat(),
);
