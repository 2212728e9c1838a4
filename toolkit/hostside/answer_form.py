"""What an answer says beside its text, and what of that cannot be: its model, the reason of its end, tokens, an order.

These rules hold for every engine of the OpenAI API. One that breaks one of them is no worse than the release before it
where that one breaks it too; so whoever asks both compares.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

Document = dict[str, Any]
# Those of the OpenAI API, and those that engines add to them.
REASONS = (
    *("stop", "length", "tool_calls", "content_filter", "function_call"),
    *("abort", "error", "repetition"),
)
_COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")
_SHOWN = 60


def faults_of(payload: Document, documents: list[Document]) -> dict[str, str]:
    """Return what is wrong with the answer to a request, by the path of the key, in words.

    `documents` is the answer's JSON, or that of all events of its stream.
    """
    found: dict[str, str] = {}
    for path, words in _faults(payload, [each for each in documents if isinstance(each, dict)]):
        found.setdefault(path, words)
    return found


def usage_in(documents: list[Any]) -> Any:
    """Return the counts of tokens in an answer; None where there are none."""
    found = [each["usage"] for each in documents if isinstance(each, dict) and each.get("usage")]
    return found[-1] if found else None


def _faults(payload: Document, documents: list[Document]) -> Iterator[tuple[str, str]]:
    asked = payload.get("model")
    for each in documents:
        named = each.get("model", asked)
        if asked is not None and named != asked:
            yield "model", f"it says that the model is {_shown(named)}, asked for {_shown(asked)}"
    usage = usage_in(documents)
    if any("choices" in each for each in documents):
        yield from _of_choices(payload, documents, usage)
    yield from _of_usage(usage)
    for each in documents:
        if "documents" in payload and "results" in each:
            words = _of_results(payload, each["results"])
            if words:
                yield "results", words


def _of_choices(
    payload: Document, documents: list[Document], usage: Any
) -> Iterator[tuple[str, str]]:
    choices = [
        each
        for document in documents
        for each in _list(document.get("choices"))
        if isinstance(each, dict)
    ]
    reasons = [each.get("finish_reason") for each in choices]
    ends = [each for each in reasons if each is not None]
    # A key that is gone altogether is a matter of the keys.
    if any("finish_reason" in each for each in choices) and not ends:
        yield "choices.finish_reason", "it does not say why it ends: no finish_reason"
    for each in ends:
        if each not in REASONS:
            yield (
                "choices.finish_reason",
                f"its finish_reason is {_shown(each)}, which the API does not know",
            )
    tokens: Any = usage.get("completion_tokens") if isinstance(usage, dict) else None
    most: Any = payload.get("max_tokens")
    if not _is_count(tokens) or not _is_count(most):
        return
    if tokens > most:
        yield "usage", f"it counts {tokens} tokens of at most {most}"
    elif "length" in ends and tokens < most:
        yield "choices.finish_reason", f"it ends for its length after {tokens} of {most} tokens"


def _of_usage(usage: Any) -> Iterator[tuple[str, str]]:
    if usage is None:
        return
    if not isinstance(usage, dict):
        yield "usage", f"its count of tokens is {_shown(usage)}"
        return
    counts: list[Any] = [usage.get(name) for name in _COUNTS]
    wrong = [each for each in counts if each is not None and not _is_count(each)]
    if wrong:
        yield "usage", f"a number of tokens is {_shown(wrong[0])}"
    elif None not in counts and counts[0] + counts[1] != counts[2]:
        yield "usage", f"it counts {counts[0]} and {counts[1]} tokens as {counts[2]}"


def _of_results(payload: Document, results: Any) -> str:
    """Return why results are no order of the documents: each one once, the best one first."""
    rows = [each if isinstance(each, dict) else {} for each in _list(results)]
    places: list[Any] = [each.get("index") for each in rows]
    scores: list[Any] = [each.get("relevance_score") for each in rows]
    count, best = len(_list(payload["documents"])), payload.get("top_n")
    # 0 asks for all documents.
    wanted = min(best, count) if _is_count(best) and best else count
    whole = all(_is_count(each) and each < count for each in places)
    if not whole or len(set(places)) != len(places) or len(places) != wanted:
        return f"its order of {count} documents is {_shown(places)}"
    if not all(_is_number(each) for each in scores):
        return f"a score is {_shown(next(each for each in scores if not _is_number(each)))}"
    if scores != sorted(scores, reverse=True):
        return f"its scores do not fall: {_shown(scores)}"
    return ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _shown(value: Any) -> str:
    words = repr(value)
    return words if len(words) <= _SHOWN else words[: _SHOWN - 3] + "..."
