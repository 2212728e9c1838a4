"""Anthropic's library for Python."""

from __future__ import annotations

from typing import Any

from anthropic import Anthropic
from cells import KEY, MESSAGES, MODEL, NO_MODEL, ROUTER, SCHEMA, TO_NOTE, WRONG_KEY, Stream, run

client = Anthropic(base_url=ROUTER, api_key=KEY, max_retries=0)
TOOL: Any = {"name": "note", "description": "Note a fact.", "input_schema": SCHEMA}


def chat(to: Anthropic = client, model: str = MODEL) -> str:
    answer = to.messages.create(
        model=model, messages=MESSAGES, max_tokens=96, extra_body={"temperature": 0}
    )
    return "".join(part.text for part in answer.content if part.type == "text")


def stream() -> Stream:
    with client.messages.stream(
        model=MODEL, messages=MESSAGES, max_tokens=96, extra_body={"temperature": 0}
    ) as events:
        parts = list(events.text_stream)
    return Stream("".join(parts), len(parts))


def tools() -> Any:
    choice: Any = {"type": "tool", "name": "note"}
    answer = client.messages.create(
        model=MODEL, messages=TO_NOTE, max_tokens=96, tools=[TOOL], tool_choice=choice
    )
    called = next(part for part in answer.content if part.type == "tool_use")
    return {"name": called.name, "arguments": called.input}


def usage() -> list[int]:
    answer = client.messages.create(model=MODEL, messages=MESSAGES, max_tokens=96)
    return [answer.usage.input_tokens, answer.usage.output_tokens]


run(
    {
        "chat": chat,
        "stream": stream,
        "tools": tools,
        "usage": usage,
        "errors": lambda: chat(model=NO_MODEL),
        "keys": lambda: chat(client.with_options(api_key=WRONG_KEY)),
    },
    chat,
)
