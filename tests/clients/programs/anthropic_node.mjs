// Anthropic's library for Node.
import Anthropic from "@anthropic-ai/sdk";
import { KEY, MESSAGES, MODEL, NO_MODEL, ROUTER, SCHEMA, Stream, TO_NOTE, WRONG_KEY, run } from "./cells.mjs";

const to = (apiKey) => new Anthropic({ baseURL: ROUTER, apiKey, maxRetries: 0 });
const client = to(KEY);
const asked = { model: MODEL, messages: MESSAGES, max_tokens: 96, temperature: 0 };

async function chat(from = client, model = MODEL) {
  const answer = await from.messages.create({ ...asked, model });
  return answer.content.map((part) => part.text ?? "").join("");
}

async function stream() {
  const parts = [];
  const events = client.messages.stream(asked);
  events.on("text", (text) => parts.push(text));
  await events.finalMessage();
  return new Stream(parts.filter(Boolean));
}

async function tools() {
  const answer = await client.messages.create({
    ...asked,
    messages: TO_NOTE,
    tools: [{ name: "note", description: "Note a fact.", input_schema: SCHEMA }],
    tool_choice: { type: "tool", name: "note" },
  });
  const called = answer.content.find((part) => part.type === "tool_use");
  return { name: called.name, arguments: called.input };
}

async function usage() {
  const answer = await client.messages.create(asked);
  return [answer.usage.input_tokens, answer.usage.output_tokens];
}

await run(
  {
    chat: () => chat(),
    stream,
    tools,
    usage,
    errors: () => chat(client, NO_MODEL),
    keys: () => chat(to(WRONG_KEY)),
  },
  () => chat(),
);
