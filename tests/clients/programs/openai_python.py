"""OpenAI's library for Python."""

from __future__ import annotations

import json
from typing import Any

from cells import (
    BASE,
    KEY,
    MESSAGES,
    MODEL,
    NO_MODEL,
    SCHEMA,
    TO_JSON,
    TO_NOTE,
    TOOL,
    WRONG_KEY,
    Stream,
    run,
)
from openai import OpenAI

client = OpenAI(base_url=BASE, api_key=KEY, max_retries=0)


def chat(to: OpenAI = client, model: str = MODEL) -> str:
    answer = to.chat.completions.create(model=model, messages=MESSAGES, temperature=0)
    return answer.choices[0].message.content or ""


def stream() -> Stream:
    parts = [
        event.choices[0].delta.content
        for event in client.chat.completions.create(
            model=MODEL, messages=MESSAGES, temperature=0, stream=True
        )
        if event.choices and event.choices[0].delta.content
    ]
    return Stream("".join(parts), len(parts))


def tools() -> Any:
    choice: Any = {"type": "function", "function": {"name": "note"}}
    answer = client.chat.completions.create(
        model=MODEL, messages=TO_NOTE, tools=[TOOL], tool_choice=choice, max_tokens=96
    )
    called = (answer.choices[0].message.tool_calls or [])[0].function
    return {"name": called.name, "arguments": json.loads(called.arguments)}


def schema() -> Any:
    form: Any = {"type": "json_schema", "json_schema": {"name": "note", "schema": SCHEMA}}
    answer = client.chat.completions.create(
        model=MODEL, messages=TO_JSON, response_format=form, max_tokens=96
    )
    return json.loads(answer.choices[0].message.content or "")


def usage() -> list[int]:
    events = client.chat.completions.create(
        model=MODEL, messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    last = [event.usage for event in events if event.usage][-1]
    return [last.prompt_tokens, last.completion_tokens]


def embeddings() -> int:
    return len(client.embeddings.create(model=MODEL, input="a").data[0].embedding)


run(
    {
        "chat": chat,
        "stream": stream,
        "tools": tools,
        "JSON schema": schema,
        "usage": usage,
        "embeddings": embeddings,
        "errors": lambda: chat(model=NO_MODEL),
        "keys": lambda: chat(client.with_options(api_key=WRONG_KEY)),
    },
    chat,
)
