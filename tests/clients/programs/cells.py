"""Run a client's cells and print what came of each, as one JSON object per line.

A program of a client calls `run` with a function for each cell that its library offers. A function returns the
evidence that its cell works. A refusal is an exception of the library: its class and its words are the result.

Environment: ROUTER (`http://host:port`), KEY, MODEL, PROMPT, EXPECTED (the answer to the prompt).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

ROUTER = os.environ["ROUTER"]
BASE = f"{ROUTER}/v1"
KEY = os.environ["KEY"]
WRONG_KEY = "sk-nobody-has-this-key"
MODEL = os.environ["MODEL"]
NO_MODEL = "nobody"
# For one run of a command. All clients ask at once, and a command loads its modules each time: on a slow machine that
# took more than a minute.
SECONDS = 240
PROMPT = os.environ["PROMPT"]
MESSAGES: Any = [{"role": "user", "content": PROMPT}]
# The test's model has learnt to answer these two with a call of the tool, and with an object of the schema.
NOTE, JSON = "Take a note.", "Say it in JSON."
TO_NOTE: Any = [{"role": "user", "content": NOTE}]
TO_JSON: Any = [{"role": "user", "content": JSON}]
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"ok": {"type": "boolean"}},
    "required": ["ok"],
    "additionalProperties": False,
}
TOOL = {
    "type": "function",
    "function": {"name": "note", "description": "Note a fact.", "parameters": SCHEMA},
}


@dataclass(frozen=True)
class Stream:
    """A streamed answer: its text, and the number of parts in which the text came."""

    text: str
    parts: int


def run(cells: Mapping[str, Callable[[], Any]], ask: Callable[[], str]) -> None:
    """Run the cells, or with the word `loop` ask again and again until standard input ends.

    `ask` returns the answer to the prompt.
    """
    if sys.argv[1:] == ["loop"]:
        _loop(ask)
        return
    for cell, call in cells.items():
        _tell({"cell": cell, **_outcome(call)})


def _outcome(call: Callable[[], Any]) -> dict[str, Any]:
    try:
        value = call()
    except Exception as error:
        # Some libraries wrap the error that tells most.
        return {"refused": type(error).__name__, "words": str(error)[:600]}
    if isinstance(value, Stream):
        return {"value": value.text, "parts": value.parts}
    return {"value": value}


def _loop(ask: Callable[[], str]) -> None:
    """Tell each answer at once, so that the reader knows what was answered before and after a change."""
    import threading

    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    while not over.is_set():
        _tell({"cell": "loop", **_outcome(ask)})
        # Twelve clients that ask without a rest leave each other no processor.
        over.wait(0.5)


def _tell(result: dict[str, Any]) -> None:
    print(json.dumps(result), flush=True)
