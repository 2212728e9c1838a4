"""Patterns whose match with an answer may not end in time: they are tried on what they repeat.

Where a pattern backtracks without end, it does so because it can read one text in many ways, of which none goes on to a
match. So each part that it repeats gives texts: what comes before the part, the part many times, and characters that
the pattern is not likely to want next: `(.*)*$` reads anything but the end of a line, `([^,]*)*$` anything but a comma.
Some of the texts lack what the part may leave out: `( *- *a*)*` has one way to read ` - a - a`, and many to read
` -  - `. A part with a bound also comes as often as that: `(a?){40}a{40}` reads a hundred letters at once, and forty in
2^40 ways.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Collection, Iterator
from itertools import islice
from typing import Any

from toolkit.config.golden.automaton import set_of
from toolkit.domain.gates.golden import Fit, Fits

_parser: Any = importlib.import_module("re._parser")

_LENGTH, _LONGEST = 1000, 4000
# Letters of a pattern, and texts of the parts that it repeats, that are tried.
_TRIED, _MOST_TEXTS, _MOST_ENDS = 6, 64, 6
# No pattern is likely to want it, and it is no end of the text.
_UNWANTED = "\u0001"
# Characters of which one is in each set that people write.
_LIKELY = "a0 -,.:;/_\n\tA\"'<>()[]{}!?#%&*+=@^|~$`\\éж中"
_LONGEST_WORD = 40
_SETS = ("NOT_LITERAL", "IN", "ANY")


def endless(pattern: str, fits: Fits) -> bool:
    """Return whether the match of a pattern with an answer may not end in time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = _parser.parse(pattern)
    letters = [each for each in dict.fromkeys(pattern) if each.isalnum() or each == " "]
    shortest = min(int(tree.getwidth()[0]), _LONGEST)
    texts = [
        each * length
        for each in dict.fromkeys([*letters[:_TRIED], "a", "0", " "])
        for length in (_LENGTH, shortest)
    ]
    texts += _texts(tree)
    unread = islice(dict.fromkeys(_unread(tree, tree.state.flags)), _MOST_ENDS)
    ends = ("", _UNWANTED, *(f"{each}{_UNWANTED}" for each in unread))
    return any(
        fits(Fit(f"{text}{end}", regex=pattern)) is None
        for text in dict.fromkeys(texts)
        for end in ends
    )


def _unread(items: Any, flags: int) -> Iterator[str]:
    """Yield for each set of characters in a part of a pattern one that people write and that it does not have."""
    for name, value in items:
        if str(name) in _SETS:
            found = set_of(str(name), value, flags)
            yield from islice((each for each in _LIKELY if not found.match(each)), 1)
        for body, more, _ in _bodies(str(name), value):
            yield from _unread(body, flags | more)


def _texts(tree: Any) -> list[str]:
    try:
        found = islice(dict.fromkeys(_repeated(tree, "", tree.state.flags)), _MOST_TEXTS)
        return list(found)
    except RecursionError:
        return []


def _repeated(items: Any, before: str, flags: int) -> Iterator[str]:
    """Yield the texts of all parts that are repeated in a part of a pattern, those of the outer ones first."""
    for name, value in items:
        for body, more, bounds in _bodies(str(name), value):
            if bounds[1] > 1:
                for each in (body, *_choices(body)):
                    for part in _words(each, flags | more):
                        yield from (before + part * times for times in _times(part, bounds))
            yield from _repeated(body, before, flags | more)
        before += _word([(name, value)], flags)


def _times(part: str, bounds: tuple[int, int]) -> Iterator[int]:
    """Yield how often a text is to be repeated whose part of the pattern has these bounds."""
    if part:
        yield _LENGTH // len(part)
        yield from (each for each in bounds if 1 < each <= _LONGEST // len(part))


def _choices(items: Any) -> Iterator[Any]:
    """Yield the branches in a part of a pattern, those within groups too."""
    for name, value in items:
        if str(name) == "BRANCH":
            yield from value[1]
        elif str(name) == "SUBPATTERN":
            yield from _choices(value[3])


def _bodies(name: str, value: Any) -> Iterator[tuple[Any, int, tuple[int, int]]]:
    """Yield the parts of an item, with the flags of each, and how often at least and at most it is there."""
    if name.endswith("REPEAT"):
        yield value[2], 0, (int(value[0]), int(value[1]))
    elif name == "SUBPATTERN":
        yield value[3], value[1], (1, 1)
    elif name == "BRANCH":
        yield from ((each, 0, (1, 1)) for each in value[1])
    elif name == "ATOMIC_GROUP":
        yield value, 0, (1, 1)
    elif name.startswith("ASSERT"):
        yield value[1], 0, (1, 1)


def _words(items: Any, flags: int) -> Iterator[str]:
    """Yield texts that a part of a pattern finds, with all, none, one and all but one of what it may leave out."""
    every = [*_optional(items)]
    yield _word(items, flags)
    yield _word(items, flags, {*every})
    for each in every[:_TRIED]:
        yield _word(items, flags, {each})
        yield _word(items, flags, {*every} - {each})


def _optional(items: Any) -> Iterator[int]:
    """Yield what a part of a pattern may leave out, by the identity of its item."""
    for name, value in items:
        if str(name).endswith("REPEAT") and value[0] == 0:
            yield id(value)
        for body, _, _ in _bodies(str(name), value):
            yield from _optional(body)


def _word(items: Any, flags: int, left_out: Collection[int] = ()) -> str:
    """Return a text that a part of a pattern is likely to find, without the items that are to be left out."""
    words = (_some(str(name), value, flags, left_out) for name, value in items)
    return "".join(words)[:_LONGEST_WORD]


def _some(name: str, value: Any, flags: int, left_out: Collection[int]) -> str:
    if name == "LITERAL":
        return chr(value)
    if name in _SETS:
        found = set_of(name, value, flags)
        named = (
            [chr(each) for kind, each in value if str(kind) == "LITERAL"] if name == "IN" else []
        )
        return next((each for each in [*named, *_LIKELY] if found.match(each)), "")
    if id(value) in left_out or name.startswith("ASSERT"):
        return ""
    words = [_word(body, flags | more, left_out) for body, more, _ in _bodies(name, value)]
    least = int(value[0]) if name.endswith("REPEAT") else 1
    return next((each for each in words if each), "") * min(max(least, 1), 8)
