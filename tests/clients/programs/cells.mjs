// Run a client's cells and print what came of each, as one JSON object per line: see cells.py.
import process from "node:process";

export const { ROUTER, KEY, MODEL, PROMPT } = process.env;
export const BASE = `${ROUTER}/v1`;
export const WRONG_KEY = "sk-nobody-has-this-key";
export const NO_MODEL = "nobody";
export const MESSAGES = [{ role: "user", content: PROMPT }];
export const NOTE = "Take a note.";
export const JSON_PROMPT = "Say it in JSON.";
export const TO_NOTE = [{ role: "user", content: NOTE }];
export const TO_JSON = [{ role: "user", content: JSON_PROMPT }];
export const SCHEMA = {
  type: "object",
  properties: { ok: { type: "boolean" } },
  required: ["ok"],
  additionalProperties: false,
};
export const TOOL = {
  type: "function",
  function: { name: "note", description: "Note a fact.", parameters: SCHEMA },
};

// The parts of a stream's text, as a cell's evidence.
export class Stream {
  constructor(parts) {
    this.value = parts.join("");
    this.parts = parts.length;
  }
}

export async function run(cells, ask) {
  if (process.argv[2] === "loop") return loop(ask);
  for (const [cell, call] of Object.entries(cells)) tell({ cell, ...(await outcome(call)) });
}

async function outcome(call) {
  try {
    const value = await call();
    return value instanceof Stream ? { value: value.value, parts: value.parts } : { value };
  } catch (error) {
    const kind = error.name === "Error" ? error.constructor.name : error.name;
    return { refused: kind, words: String(error.message).slice(0, 600) };
  }
}

async function loop(ask) {
  let over = false;
  process.stdin.on("end", () => (over = true)).resume();
  while (!over) {
    tell({ cell: "loop", ...(await outcome(ask)) });
    await new Promise((next) => setTimeout(next, 500));
  }
  process.exit(0);
}

function tell(result) {
  console.log(JSON.stringify(result));
}
