"""A line as text is the JSON that the encoder of the standard library would make of it."""

from __future__ import annotations

import json

import pytest
from toolkit_recorder.counting import UNKNOWN, Count
from toolkit_recorder.lines import fields


@pytest.mark.parametrize(
    ("count", "first", "audio"),
    [
        (Count(3, 1, 64, 3, 7), 0.25, None),
        (Count(10**9, 0, 0, 10**9), 0.0, None),
        (UNKNOWN, None, None),
        (Count(3, None, 0, 3), None, 12.5),
    ],
)
@pytest.mark.parametrize("word", ["ann", 'a"b', "back\\slash", "line\nfeed", "\x00", "ü\udc80", ""])
def test_a_line_is_json(count: Count, first: float | None, audio: float | None, word: str) -> None:
    times = (1_795_000_000.1239, 0.12346, first)
    text = fields((word, word, word, word), count, "whole", times, audio)
    assert json.loads(f"{{{text}}}") == {
        "at": 1_795_000_000.124,
        "key": word,
        "model": word,
        "api": word,
        "id": word,
        "in": count.came,
        "cached": count.cached,
        "out": count.went,
        "reasoning": count.reasoning,
        "asked": count.asked,
        "end": "whole",
        "seconds": 0.1235,
        "first": first,
        **({} if audio is None else {"audio": audio}),
    }
    assert text.isascii()
    assert "\n" not in text
