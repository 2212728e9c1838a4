// Vercel's AI SDK, with its provider for OpenAI-compatible addresses.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { embed, generateObject, generateText, jsonSchema, streamText, tool } from "ai";
import { BASE, JSON_PROMPT, KEY, MODEL, NO_MODEL, NOTE, PROMPT, SCHEMA, Stream, WRONG_KEY, run } from "./cells.mjs";

const to = (apiKey) =>
  createOpenAICompatible({
    name: "router",
    baseURL: BASE,
    apiKey,
    includeUsage: true,
    supportsStructuredOutputs: true,
  });
const client = to(KEY);
const asked = { model: client(MODEL), prompt: PROMPT, temperature: 0, maxRetries: 0 };

async function chat(from = client, model = MODEL) {
  return (await generateText({ ...asked, model: from(model) })).text;
}

async function stream() {
  const parts = [];
  for await (const part of streamText(asked).textStream) if (part) parts.push(part);
  return new Stream(parts);
}

async function tools() {
  const answer = await generateText({
    ...asked,
    prompt: NOTE,
    maxOutputTokens: 96,
    tools: { note: tool({ description: "Note a fact.", inputSchema: jsonSchema(SCHEMA) }) },
    toolChoice: { type: "tool", toolName: "note" },
  });
  return { name: answer.toolCalls[0].toolName, arguments: answer.toolCalls[0].input };
}

async function schema() {
  return (await generateObject({ ...asked, prompt: JSON_PROMPT, maxOutputTokens: 64, schema: jsonSchema(SCHEMA) })).object;
}

async function usage() {
  const told = await streamText(asked).totalUsage;
  return [told.inputTokens, told.outputTokens];
}

async function embeddings() {
  const model = client.textEmbeddingModel(MODEL);
  return (await embed({ model, value: "a", maxRetries: 0 })).embedding.length;
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
