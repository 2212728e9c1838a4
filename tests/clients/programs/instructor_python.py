"""Instructor, which asks for objects of a class."""

from __future__ import annotations

from typing import Any

import instructor
from cells import BASE, KEY, MODEL, NO_MODEL, TO_JSON, TO_NOTE, WRONG_KEY, run
from openai import OpenAI
from pydantic import BaseModel


class Note(BaseModel):
    """Note a fact."""

    ok: bool


def ask(mode: instructor.Mode, name: str = MODEL, key: str = KEY) -> tuple[Note, Any]:
    client = instructor.from_openai(OpenAI(base_url=BASE, api_key=key, max_retries=0), mode=mode)
    return client.chat.completions.create_with_completion(
        model=name,
        messages=TO_NOTE if mode is instructor.Mode.TOOLS else TO_JSON,
        response_model=Note,
        max_tokens=96,
        max_retries=0,
    )


def note(name: str = MODEL, key: str = KEY) -> Any:
    return ask(instructor.Mode.JSON_SCHEMA, name, key)[0].model_dump()


def tools() -> Any:
    return {"name": "note", "arguments": ask(instructor.Mode.TOOLS)[0].model_dump()}


def usage() -> list[int]:
    told = ask(instructor.Mode.JSON_SCHEMA)[1].usage
    return [told.prompt_tokens, told.completion_tokens]


run(
    {
        "tools": tools,
        "JSON schema": note,
        "usage": usage,
        "errors": lambda: note(NO_MODEL),
        "keys": lambda: note(key=WRONG_KEY),
    },
    lambda: str(note()["ok"]),
)
