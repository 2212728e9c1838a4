"""Drafts of golden prompts from what a serving release answers. A person reads and corrects them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from toolkit.domain.gates.golden import Expectation
from toolkit.domain.gates.kind import Kind
from toolkit.planning.guard.expectations import fault_of
from toolkit.planning.guard.kinds import Said

# Characters up to which equal answers are expected word by word.
_EXACT = 40


def drafts(said: Sequence[Said]) -> Iterator[dict[str, Any]]:
    """Yield what may be expected of a chat whose answers to one prompt were these, the narrowest first.

    A file of golden prompts cannot have each of them: a short answer may have a control character.
    """
    texts = [each.text.strip() for each in said]
    calls = [each.tool_calls[0] for each in said if each.tool_calls]
    if len(calls) == len(said) and len({each.name for each in calls}) == 1:
        same = all(each.arguments == calls[0].arguments for each in calls)
        if same and calls[0].arguments:
            yield {"tool_call": {"name": calls[0].name, "arguments": dict(calls[0].arguments)}}
        yield {"tool_call": {"name": calls[0].name}}
        return
    if len(set(texts)) == 1 and len(texts[0]) <= _EXACT and "\n" not in texts[0]:
        yield {"exact": texts[0]}
    if keys := _common_keys(texts):
        yield {"json_schema": {"type": "object", "required": keys}}
    if all(_refuses(each) for each in said):
        yield {"refusal": True}
        return
    lengths = [len(text) for text in texts]
    yield bounded(max(1, min(lengths) // 2), 2 * max(lengths))


def bounded(least: int, most: int) -> dict[str, Any]:
    """Return the widest expectation of a draft: a text of so many characters that does not refuse."""
    return {"refusal": False, "length": {"least": least, "most": most}}


def _common_keys(texts: Sequence[str]) -> list[str]:
    """Return the keys that all texts have as JSON objects; none where one is no object."""
    found: list[set[str]] = []
    for text in texts:
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return []
        if not isinstance(value, dict):
            return []
        found.append({*value})
    return sorted(set.intersection(*found)) if found else []


def _refuses(said: Said) -> bool:
    return fault_of(Kind.CHAT, Expectation(refusal=True), said, None, lambda _: "") == ""
