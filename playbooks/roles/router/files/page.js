// Lists the models with the visitor's key, which stays in this page, and shows a first request.
"use strict";

const at = (id) => document.getElementById(id);
const about = (model) =>
  [model.kind, model.max_model_len && `${model.max_model_len.toLocaleString("en")} tokens`, model.root !== model.id && model.root && `is ${model.root}`]
    .filter(Boolean)
    .join(", ");

function choose(item, model) {
  for (const each of at("models").children) each.removeAttribute("aria-current");
  item.setAttribute("aria-current", "true");
  const base = `${location.origin}/v1`;
  const body = JSON.stringify({ model: model.id, messages: [{ role: "user", content: "Hello" }] });
  at("curl").textContent =
    `curl ${base}/chat/completions \\\n  -H "Authorization: Bearer $KEY" \\\n` +
    `  -H 'Content-Type: application/json' \\\n  -d '${body}'`;
  at("python").textContent =
    `from openai import OpenAI\n\nclient = OpenAI(base_url="${base}", api_key=KEY)\n` +
    `answer = client.chat.completions.create(\n    model="${model.id}",\n` +
    `    messages=[{"role": "user", "content": "Hello"}],\n)\nprint(answer.choices[0].message.content)`;
  at("first").hidden = !["chat", undefined].includes(model.kind && model.kind.split("/")[0]);
}

async function list() {
  const key = at("key").value.trim();
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  at("models").replaceChildren();
  at("first").hidden = true;
  let told;
  try {
    const answer = await fetch("/v1/models", { headers });
    told = await answer.json();
  } catch (error) {
    at("said").textContent = `The router does not answer: ${error.message}`;
    return;
  }
  if (told.error) {
    at("said").textContent = told.error.message;
    return;
  }
  at("said").textContent = told.data.length ? "" : "No model is served here yet.";
  for (const model of told.data) {
    const [item, button, small] = ["li", "button", "small"].map((name) => document.createElement(name));
    button.type = "button";
    button.textContent = model.id;
    small.textContent = about(model);
    button.append(small);
    button.addEventListener("click", () => choose(item, model));
    item.append(button);
    at("models").append(item);
  }
  if (told.data.length) choose(at("models").firstChild, told.data[0]);
}

at("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  list();
});
list();
