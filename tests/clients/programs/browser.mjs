// A page in headless Chromium that asks with `fetch`, from the address that ORIGIN names.
import { chromium } from "playwright-core";
import { BASE, KEY, MESSAGES, MODEL, NO_MODEL, SCHEMA, Stream, TO_JSON, TO_NOTE, TOOL, WRONG_KEY, run } from "./cells.mjs";

const quiet = ["no-first-run", "background-networking", "component-update", "sync"];
const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    ...quiet.slice(1).map((each) => `--disable-${each}`)],
});
const page = await browser.newPage();
await page.goto(process.env.ORIGIN);

// Runs in the page: ask, and return the body or the events of a stream.
async function asked({ url, key, body }) {
  const answer = await fetch(url, {
    method: "POST",
    headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${answer.status} ${JSON.parse(text).error.message}`);
  if (!body.stream) return JSON.parse(text);
  const data = text.split("\n").filter((line) => line.startsWith("data: {"));
  return data.map((line) => JSON.parse(line.slice(6)));
}

class FetchError extends Error {}

async function post(path, body, key = KEY) {
  try {
    return await page.evaluate(asked, { url: `${BASE}${path}`, key, body });
  } catch (error) {
    throw Object.assign(new FetchError(error.message.split("\n")[0].replace(/^page.evaluate: /, "")), {
      name: "fetch",
    });
  }
}

const base = { model: MODEL, messages: MESSAGES, temperature: 0 };
const completions = (more = {}, key = KEY) => post("/chat/completions", { ...base, ...more }, key);
const chat = async (more, key) => (await completions(more, key)).choices[0].message.content;

async function stream() {
  const events = await completions({ stream: true });
  return new Stream(events.map((each) => each.choices[0]?.delta?.content).filter(Boolean));
}

async function tools() {
  const choice = { type: "function", function: { name: "note" } };
  const answer = await completions({ messages: TO_NOTE, tools: [TOOL], tool_choice: choice, max_tokens: 96 });
  const called = answer.choices[0].message.tool_calls[0].function;
  return { name: called.name, arguments: JSON.parse(called.arguments) };
}

async function schema() {
  const form = { type: "json_schema", json_schema: { name: "note", schema: SCHEMA } };
  return JSON.parse(await chat({ messages: TO_JSON, response_format: form, max_tokens: 96 }));
}

async function usage() {
  const events = await completions({ stream: true, stream_options: { include_usage: true } });
  const told = events.findLast((each) => each.usage).usage;
  return [told.prompt_tokens, told.completion_tokens];
}

await run(
  {
    chat: () => chat(),
    stream,
    tools,
    "JSON schema": schema,
    usage,
    embeddings: () => post("/embeddings", { model: MODEL, input: "a" }),
    errors: () => chat({ model: NO_MODEL }),
    keys: () => chat({}, WRONG_KEY),
  },
  () => chat(),
);
await browser.close();
