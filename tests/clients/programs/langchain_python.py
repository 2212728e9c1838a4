"""LangChain, with its package for OpenAI's API."""

from __future__ import annotations

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
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import SecretStr

NAMED = {**SCHEMA, "title": "note", "description": "Note a fact."}


def model(name: str = MODEL, key: str = KEY, **options: Any) -> ChatOpenAI:
    return ChatOpenAI(
        base_url=BASE, api_key=SecretStr(key), model=name, temperature=0, max_retries=0, **options
    )


def chat(name: str = MODEL, key: str = KEY) -> str:
    return str(model(name, key).invoke(MESSAGES).content)


def stream() -> Stream:
    parts = [str(part.content) for part in model().stream(MESSAGES) if part.content]
    return Stream("".join(parts), len(parts))


def tools() -> Any:
    called = model(max_tokens=96).bind_tools([TOOL], tool_choice="note").invoke(TO_NOTE).tool_calls
    return {"name": called[0]["name"], "arguments": called[0]["args"]}


def schema() -> Any:
    return model(max_tokens=96).with_structured_output(NAMED, method="json_schema").invoke(TO_JSON)


def usage() -> list[int]:
    told = model(stream_usage=True).invoke(MESSAGES).usage_metadata
    assert told
    return [told["input_tokens"], told["output_tokens"]]


def embeddings() -> int:
    embed = OpenAIEmbeddings(
        base_url=BASE,
        api_key=SecretStr(KEY),
        model=MODEL,
        check_embedding_ctx_length=False,
        max_retries=0,
    )
    return len(embed.embed_query("a"))


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
