"""Patterns whose match with a long answer may not end in time: they are tried on what they repeat.

Where a pattern backtracks without end, it does so because it can read one text in many ways, of which none goes on to a
match. So each part that it repeats gives a text: what comes before the part, the part many times, and a character that
no pattern is likely to want next.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator
from itertools import islice
from typing import Any

from toolkit.config.golden.automaton import set_of
from toolkit.domain.gates.golden import Fit, Fits

_parser: Any = importlib.import_module("re._parser")

_LENGTH = 1000
# Letters of a pattern, and parts that it repeats, that are tried.
_TRIED, _MOST_PARTS = 6, 24
# Characters of which one is in each set that people write.
_LIKELY = "a0 -,.:;/_\n\tA\"'<>()[]{}!?#%&*+=@^|~$`\\éж中"
_LONGEST_WORD = 40


def endless(pattern: str, fits: Fits) -> bool:
    """Return whether the match of a pattern with an answer may not end in time."""
    letters = [each for each in dict.fromkeys(pattern) if each.isalnum() or each == " "]
    texts = [each * _LENGTH for each in dict.fromkeys([*letters[:_TRIED], "a", "0", " "])]
    texts += [before + part * (_LENGTH // len(part)) for before, part in _parts(pattern)]
    return any(
        fits(Fit(each, regex=pattern)) is None
        for text in dict.fromkeys(texts)
        for each in (text, f"{text}\u0001")
    )


def _parts(pattern: str) -> list[tuple[str, str]]:
    """Return what a pattern repeats, each with what comes before it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = _parser.parse(pattern)
    try:
        found = dict.fromkeys(islice(_repeated(tree, "", tree.state.flags), _MOST_PARTS))
    except RecursionError:
        return []
    return [(before, part) for before, part in found if part]


def _repeated(items: Any, before: str, flags: int) -> Iterator[tuple[str, str]]:
    """Yield the parts that are repeated in a part of a pattern, the outer ones first."""
    for name, value in items:
        for body, more, often in _bodies(str(name), value):
            if often:
                for each in (body, *_choices(body)):
                    yield before, _word(each, flags | more)
                    yield before, _word(each, flags | more, shortest=True)
            yield from _repeated(body, before, flags | more)
        before += _word([(name, value)], flags)


def _choices(items: Any) -> Iterator[Any]:
    """Yield the branches in a part of a pattern, those within groups too."""
    for name, value in items:
        if str(name) == "BRANCH":
            yield from value[1]
        elif str(name) == "SUBPATTERN":
            yield from _choices(value[3])


def _bodies(name: str, value: Any) -> Iterator[tuple[Any, int, bool]]:
    """Yield the parts of an item, with the flags of each, and whether it is repeated."""
    if name.endswith("REPEAT"):
        yield value[2], 0, value[1] > 1
    elif name == "SUBPATTERN":
        yield value[3], value[1], False
    elif name == "BRANCH":
        yield from ((each, 0, False) for each in value[1])
    elif name == "ATOMIC_GROUP":
        yield value, 0, False


def _word(items: Any, flags: int, *, shortest: bool = False) -> str:
    """Return a text that a part of a pattern is likely to find; the `shortest` has nothing that may be left out."""
    words = (_some(str(name), value, flags, shortest=shortest) for name, value in items)
    return "".join(words)[:_LONGEST_WORD]


def _some(name: str, value: Any, flags: int, *, shortest: bool) -> str:
    if name == "LITERAL":
        return chr(value)
    if name in ("NOT_LITERAL", "IN", "ANY"):
        found = set_of(name, value, flags)
        named = (
            [chr(each) for kind, each in value if str(kind) == "LITERAL"] if name == "IN" else []
        )
        return next((each for each in [*named, *_LIKELY] if found.match(each)), "")
    bodies = _bodies(name, value)
    words = [_word(body, flags | more, shortest=shortest) for body, more, _ in bodies]
    least = int(value[0]) if name.endswith("REPEAT") else 1
    return next((each for each in words if each), "") * min(max(least, 0 if shortest else 1), 8)
