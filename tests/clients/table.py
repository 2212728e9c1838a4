"""The table of clients: what each cell must show, and how it stands in docs/clients.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

COLUMNS = (
    "chat", "stream", "tools", "JSON schema", "usage", "embeddings", "errors", "keys", "version change",
)  # fmt: skip
BEGIN, END = "<!-- clients: tests/clients/table.py -->\n", "<!-- end of the clients -->\n"
DOES_NOT_APPLY = "–"


@dataclass(frozen=True)
class Client:
    """A client, the program of it, and the cells that its library has no words for."""

    title: str
    program: str
    lacks: tuple[str, ...] = ()


CLIENTS = (
    Client("OpenAI, Python", "openai_python.py"),
    Client("OpenAI, Node", "openai_node.mjs"),
    Client("Anthropic, Python", "anthropic_python.py", ("JSON schema", "embeddings")),
    Client("Anthropic, Node", "anthropic_node.mjs", ("JSON schema", "embeddings")),
    Client("LangChain", "langchain_python.py"),
    Client("LiteLLM, library", "litellm_python.py"),
    # The proxy's own keys are asked for; the router's key is in its settings.
    Client("LiteLLM, proxy", "openai_python.py", ("keys",)),
    Client("Instructor", "instructor_python.py", ("chat", "stream", "embeddings")),
    Client("llm", "llm_cli.py", ("tools", "embeddings")),
    Client("Vercel AI SDK", "vercel_node.mjs"),
    Client("curl", "curl.py"),
    Client("Chromium, fetch", "browser.mjs"),
)
# What the words of a refusal must name. A program does not say by itself that its refusal is the right one.
REFUSALS = {
    "embeddings": ("embedding",),
    "errors": ("nobody",),
    "keys": ("key",),
}


@dataclass(frozen=True)
class Outcome:
    """What came of a cell: `value` and the `parts` of a stream, or the class and the words of a refusal."""

    value: Any = None
    parts: int = 0
    refused: str = ""
    words: str = ""


def fault(column: str, outcome: Outcome, answers: Mapping[str, str]) -> str:
    """Return why an outcome is not what its column asks for; empty where it is.

    `answers` are the exact answers of the versions to the prompt.
    """
    if column in REFUSALS:
        if not outcome.refused:
            return f"answered {outcome.value!r}"
        lacks = [word for word in REFUSALS[column] if word not in outcome.words.lower()]
        return f"refused with {outcome.words!r}" if lacks else ""
    if outcome.refused:
        return f"{outcome.refused}: {outcome.words}"
    return "" if _right(column, outcome, answers) else f"answered {outcome.value!r}"


def _right(column: str, outcome: Outcome, answers: Mapping[str, str]) -> bool:
    value = outcome.value
    if column in ("chat", "stream"):
        return value in answers.values()
    if column == "tools":
        return value["name"] == "note" and isinstance(value["arguments"]["ok"], bool)
    if column == "JSON schema":
        return list(value) == ["ok"] and isinstance(value["ok"], bool)
    return column == "usage" and len(value) == 2 and min(value) > 0


def cell(column: str, outcome: Outcome) -> str:
    """Return the text of a cell without a fault."""
    return f"refused: {outcome.refused}" if column in REFUSALS else "works"


def render(rows: Mapping[str, Mapping[str, str]]) -> str:
    """Return the table: client -> column -> the text of the cell; a column that a row lacks does not apply."""
    head = f"| client | {' | '.join(COLUMNS)} |\n|---|{'---|' * len(COLUMNS)}\n"
    lines = (
        f"| {client} | {' | '.join(row.get(each, DOES_NOT_APPLY) for each in COLUMNS)} |\n"
        for client, row in rows.items()
    )
    return head + "".join(lines)


def insert(page: str, table: str) -> str:
    """Return the page with the table in place of the former one; raises ValueError where it has no place."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError("the page has no place for the table")
    return f"{before}{begin}\n{table}\n{end}{after}"
