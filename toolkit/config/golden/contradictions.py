"""Expectations that no answer can meet, and patterns that run for ever."""

from __future__ import annotations

import json
from collections.abc import Iterator

from toolkit.config.golden.schema import TOKEN
from toolkit.domain.gates.golden import Expectation, Fit, Fits

# A pattern is tried on repetitions of its own characters. Where it backtracks without end, it does so on one of these.
_LENGTH = 1000
_TRIED = 6


def contradiction(expect: Expectation, max_tokens: int, fits: Fits) -> str:
    """Return why no answer of at most `max_tokens` tokens can be as expected; nothing where one may be."""
    for fault in (*_of_sizes(expect, max_tokens), *_of_texts(expect, fits)):
        return fault
    return ""


def endless(pattern: str, fits: Fits) -> bool:
    """Return whether the match of a pattern with an answer may not end in time."""
    letters = [each for each in dict.fromkeys(pattern) if each.isalnum() or each == " "]
    for letter in dict.fromkeys([*letters[:_TRIED], "a", "0", " "]):
        for text in (letter * _LENGTH, f"{letter * _LENGTH}\u0001"):
            if fits(Fit(text, regex=pattern)) is None:
                return True
    return False


def _of_sizes(expect: Expectation, max_tokens: int) -> Iterator[str]:
    least = (expect.tokens and expect.tokens.least) or 0
    if least > max_tokens:
        yield f"an answer of at most {max_tokens} tokens never has {least:g}"
    if expect.tokens and expect.tokens.most is not None and expect.tokens.most < 1:
        yield "an answer of less than one token is empty"
    least = (expect.length and expect.length.least) or 0
    if least > max_tokens * TOKEN:
        yield f"an answer of at most {max_tokens} tokens never has {least:g} characters"
    if expect.length and expect.length.most is not None and expect.length.most < 1:
        yield "an answer of less than one character is empty"
    for text in (*((expect.exact.strip(),) if expect.exact else ()), *expect.contains):
        if len(text) > max_tokens * TOKEN:
            yield f"an answer of at most {max_tokens} tokens never has {len(text)} characters"
        elif expect.length and expect.length.most is not None and len(text) > expect.length.most:
            yield f"{text[:60]!r} is longer than {expect.length}"


def _of_texts(expect: Expectation, fits: Fits) -> Iterator[str]:
    for text in expect.contains:
        for other in expect.lacks:
            if other in text:
                yield f"no answer contains {text[:60]!r} and lacks {other[:60]!r}"
    if expect.tool_call and expect.refusal:
        yield "no answer calls a tool and refuses"
    # Answers are compared without the spaces around them.
    named = [] if expect.exact is None else [expect.exact.strip()]
    choices = [each.strip() for each in expect.choice]
    candidates = [text for text in (named or choices) if not choices or text in choices]
    if (named or expect.choice) and not any(_may_be(text, expect, fits) for text in candidates):
        what = f"{named[0][:60]!r}" if named else "each choice"
        yield f"{what} contradicts the rest that is expected"


def _may_be(text: str, expect: Expectation, fits: Fits) -> bool:
    """Return whether an answer that is `text` may have all else that is expected of it."""
    if not text and not expect.tool_call:
        return False
    if expect.length and not expect.length.holds(len(text)):
        return False
    if any(part not in text for part in expect.contains) or any(
        part in text for part in expect.lacks
    ):
        return False
    if expect.regex is not None and fits(Fit(text, regex=expect.regex)) == "no match":
        return False
    if expect.json_schema is not None:
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            return False
        return not fits(Fit(text, json_schema=expect.json_schema))
    return True
