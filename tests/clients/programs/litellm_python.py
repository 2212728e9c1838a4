"""LiteLLM's library."""

from __future__ import annotations

import json
from typing import Any

import litellm
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

litellm.telemetry = False


def ask(name: str = MODEL, key: str = KEY, **options: Any) -> Any:
    return litellm.completion(
        model=f"hosted_vllm/{name}",
        api_base=BASE,
        api_key=key,
        num_retries=0,
        **{"messages": MESSAGES, "temperature": 0, **options},
    )


def chat(name: str = MODEL, key: str = KEY) -> str:
    return str(ask(name, key).choices[0].message.content)


def stream() -> Stream:
    parts = [each for event in ask(stream=True) if (each := event.choices[0].delta.content)]
    return Stream("".join(parts), len(parts))


def tools() -> Any:
    choice = {"type": "function", "function": {"name": "note"}}
    called = (
        ask(messages=TO_NOTE, tools=[TOOL], tool_choice=choice, max_tokens=96)
        .choices[0]
        .message.tool_calls[0]
    )
    return {"name": called.function.name, "arguments": json.loads(called.function.arguments)}


def schema() -> Any:
    form = {"type": "json_schema", "json_schema": {"name": "note", "schema": SCHEMA}}
    return json.loads(
        ask(messages=TO_JSON, response_format=form, max_tokens=96).choices[0].message.content
    )


def usage() -> list[int]:
    events = ask(stream=True, stream_options={"include_usage": True})
    last = [event.usage for event in events if getattr(event, "usage", None)][-1]
    return [last.prompt_tokens, last.completion_tokens]


def embeddings() -> int:
    answer = litellm.embedding(
        model=f"hosted_vllm/{MODEL}", api_base=BASE, api_key=KEY, input=["a"], num_retries=0
    )
    return len(answer.data[0]["embedding"])


run(
    {
        "chat": chat,
        "stream": stream,
        "tools": tools,
        "JSON schema": schema,
        "usage": usage,
        "embeddings": embeddings,
        "errors": lambda: chat(NO_MODEL),
        "keys": lambda: chat(key=WRONG_KEY),
    },
    chat,
)
