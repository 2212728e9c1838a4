"""curl."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from cells import (
    BASE,
    KEY,
    MESSAGES,
    MODEL,
    NO_MODEL,
    SCHEMA,
    SECONDS,
    TO_JSON,
    TO_NOTE,
    TOOL,
    WRONG_KEY,
    Stream,
    run,
)


class HttpError(Exception):
    """A status that is no success, and the body's words."""


def curl(path: str, body: dict[str, Any], key: str = KEY) -> str:
    # The key goes through the configuration on standard input, so that no list of processes shows it.
    settings = f'header = "Authorization: Bearer {key}"\n'
    command = ["curl", "-sN", "--max-time", f"{SECONDS}", "-K", "-", f"{BASE}{path}"]
    done = subprocess.run(
        [*command, "--json", json.dumps(body), "-w", "\n%{http_code}"],
        input=settings,
        capture_output=True,
        text=True,
        check=True,
    )
    text, _, code = done.stdout.rpartition("\n")
    if code != "200":
        raise HttpError(f"{code} {json.loads(text)['error']['message']}")
    return text


def ask(model: str = MODEL, key: str = KEY, **options: Any) -> Any:
    body = {"model": model, "messages": MESSAGES, "temperature": 0, **options}
    return json.loads(curl("/chat/completions", body, key))


def chat(model: str = MODEL, key: str = KEY) -> str:
    return str(ask(model, key)["choices"][0]["message"]["content"])


def events(**options: Any) -> list[Any]:
    body = {"model": MODEL, "messages": MESSAGES, "temperature": 0, "stream": True, **options}
    lines = curl("/chat/completions", body).splitlines()
    data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    assert data[-1] == "[DONE]"
    return [json.loads(each) for each in data[:-1]]


def stream() -> Stream:
    parts = [
        text
        for event in events()
        if event["choices"] and (text := event["choices"][0]["delta"].get("content"))
    ]
    return Stream("".join(parts), len(parts))


def tools() -> Any:
    choice = {"type": "function", "function": {"name": "note"}}
    message = ask(messages=TO_NOTE, tools=[TOOL], tool_choice=choice, max_tokens=96)["choices"][0][
        "message"
    ]
    called = message["tool_calls"][0]["function"]
    return {"name": called["name"], "arguments": json.loads(called["arguments"])}


def schema() -> Any:
    form = {"type": "json_schema", "json_schema": {"name": "note", "schema": SCHEMA}}
    answer = ask(messages=TO_JSON, response_format=form, max_tokens=96)
    return json.loads(answer["choices"][0]["message"]["content"])


def usage() -> list[int]:
    told = [
        each["usage"]
        for each in events(stream_options={"include_usage": True})
        if each.get("usage")
    ]
    return [told[-1]["prompt_tokens"], told[-1]["completion_tokens"]]


run(
    {
        "chat": chat,
        "stream": stream,
        "tools": tools,
        "JSON schema": schema,
        "usage": usage,
        "embeddings": lambda: curl("/embeddings", {"model": MODEL, "input": "a"}),
        "errors": lambda: chat(NO_MODEL),
        "keys": lambda: chat(key=WRONG_KEY),
    },
    chat,
)
