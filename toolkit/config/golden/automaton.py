"""An automaton for a pattern of Python's `re`, which finds more than the pattern does and never less.

What it cannot follow, it takes for met: an assertion that looks ahead or back, a reference to a group. So a text that
the automaton does not find has no match, and nothing follows from one that it finds.
"""

from __future__ import annotations

import importlib
import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

# Python's own parser of patterns, and the compiler of what it makes.
_parser: Any = importlib.import_module("re._parser")
_compiler: Any = importlib.import_module("re._compiler")

# Parts of an automaton; a pattern with more is not followed.
MOST_STATES = 2000
# The number of the set of all characters.
ANY = -1
# Letters, digits, spaces and signs beyond ASCII, which no pattern is likely to name all.
_FURTHER = "éñж中\u0663\u096a\u3000\u2003—€\U0001f600"
# Characters that a pattern without case finds beside those of ASCII.
_OF_ASCII = "\u017f\u212a\u0131\u0130"
_ASCII = 128
# The condition between two characters, by the parser's name for it and whether `^` and `$` are those of a line.
_CONDITIONS = {
    ("AT_BEGINNING", False): "start",
    ("AT_BEGINNING", True): "line start",
    ("AT_BEGINNING_STRING", False): "start",
    ("AT_END", False): "end",
    ("AT_END", True): "line end",
    ("AT_END_STRING", False): "end",
    ("AT_BOUNDARY", False): "boundary",
    ("AT_NON_BOUNDARY", False): "no boundary",
}


class Beyond(Exception):
    """The pattern is larger than an automaton gets, or has what nobody can follow here."""


@dataclass(slots=True)
class Automaton:
    """States by number, the first is 0; a text is found that leads to `end`.

    `free` has the moves of a state without a character, each with the condition that must hold between the characters
    there, `by` those with a character of a set of `sets`.
    """

    free: list[list[tuple[str, int]]] = field(default_factory=list)
    by: list[list[tuple[int, int]]] = field(default_factory=list)
    sets: list[re.Pattern[str]] = field(default_factory=list)
    named: set[str] = field(default_factory=set)
    end: int = 0

    def new(self) -> int:
        """Add a state, and return its number. Raises Beyond."""
        if len(self.by) >= MOST_STATES:
            raise Beyond
        self.free.append([])
        self.by.append([])
        return len(self.by) - 1

    def characters(self, texts: Iterable[str]) -> Iterator[str]:
        """Yield characters of each kind that the pattern or one of `texts` tells from others."""
        named = self.named | set("".join(texts))
        further = set(_FURTHER) - named
        yield from sorted({*map(chr, range(_ASCII)), *further, *_OF_ASCII, *named})

    def set_of(self, number: int, character: str) -> bool:
        """Whether a character is in a set."""
        return number == ANY or self.sets[number].match(character) is not None


def automaton(pattern: str) -> Automaton:
    """Return the automaton of all texts in which the pattern finds something. Raises Beyond."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = _parser.parse(pattern)
    return _Builder().whole(tree)


class _Builder:
    def __init__(self) -> None:
        self._made = Automaton()
        self._numbers: dict[str, int] = {}

    def whole(self, tree: Any) -> Automaton:
        before = self._loop(self._made.new())
        self._made.end = self._loop(self._sequence(tree, tree.state.flags, before))
        return self._made

    def _loop(self, at: int) -> int:
        """Return a state after any characters from `at` on."""
        loop = self._free(at)
        self._made.by[loop].append((ANY, loop))
        return loop

    def _free(self, at: int, condition: str = "", into: int | None = None) -> int:
        into = self._made.new() if into is None else into
        self._made.free[at].append((condition, into))
        return into

    def _sequence(self, items: Any, flags: int, at: int) -> int:
        for name, value in items:
            at = self._item(str(name), value, flags, at)
        return at

    def _item(self, name: str, value: Any, flags: int, at: int) -> int:
        if name in ("LITERAL", "NOT_LITERAL", "IN", "ANY"):
            into = self._made.new()
            self._made.by[at].append((self._set(name, value, flags), into))
            return into
        if name == "SUBPATTERN":
            _, more, less, items = value
            return self._sequence(items, (flags | more) & ~less, at)
        if name == "BRANCH":
            return self._branches(value[1], flags, at)
        if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            least, most, items = value
            return self._repeat((least, most), items, flags, at)
        if name == "AT":
            return self._free(at, self._condition(str(value), flags))
        return self._rest(name, value, flags, at)

    def _rest(self, name: str, value: Any, flags: int, at: int) -> int:
        if name == "FAILURE" or (name == "ASSERT_NOT" and _is_always(value[1])):
            return self._made.new()  # no move leads there
        if name in ("ASSERT", "ASSERT_NOT"):
            return at
        if name == "ATOMIC_GROUP":
            return self._sequence(value, flags, at)
        if name == "GROUPREF":
            return self._loop(at)
        if name == "GROUPREF_EXISTS":
            return self._branches([value[1], value[2] or ()], flags, at)
        raise Beyond

    def _branches(self, branches: Iterable[Any], flags: int, at: int) -> int:
        into = self._made.new()
        for each in branches:
            self._free(self._sequence(each, flags, at), into=into)
        return into

    def _repeat(self, times: tuple[int, int], items: Any, flags: int, at: int) -> int:
        least, most = times
        for _ in range(least):
            at = self._sequence(items, flags, at)
        into = self._made.new()
        if most == _parser.MAXREPEAT:
            self._free(at, into=into)
            self._free(self._sequence(items, flags, into), into=into)
            return into
        for _ in range(most - least):
            self._free(at, into=into)
            at = self._sequence(items, flags, at)
        return self._free(at, into=into)

    def _condition(self, name: str, flags: int) -> str:
        if "BOUNDARY" in name and flags & re.ASCII:
            return ""
        lines = name in ("AT_BEGINNING", "AT_END") and bool(flags & re.MULTILINE)
        return _CONDITIONS.get((name, lines), "")

    def _set(self, name: str, value: Any, flags: int) -> int:
        self._made.named |= set(_named(name, value))
        key = f"{name} {value!r} {flags}"
        if key not in self._numbers:
            self._numbers[key] = len(self._made.sets)
            self._made.sets.append(set_of(name, value, flags))
        return self._numbers[key]


def set_of(name: str, value: Any, flags: int) -> re.Pattern[str]:
    """Return the pattern of one character, of which the parser has the name and the value."""
    state = _parser.State()
    state.flags, state.str = flags, ""
    one = _parser.SubPattern(state, [(getattr(_parser, name), value)])
    found: re.Pattern[str] = _compiler.compile(one, flags)
    return found


def _named(name: str, value: Any) -> Iterator[str]:
    """Yield the characters that a set names, with their neighbours and other cases. Raises Beyond."""
    points: list[int] = []
    for kind, each in value if name == "IN" else [(name, value)]:
        if str(kind) == "RANGE":
            if each[1] >= _ASCII:
                raise Beyond
            points += each
        elif str(kind) in ("LITERAL", "NOT_LITERAL"):
            points.append(each)
    for point in points:
        character = chr(point)
        yield from {character, *character.lower(), *character.upper(), *character.casefold()}


def _is_always(items: Any) -> bool:
    """Whether a pattern finds something at each place of each text, because it finds nothing as well."""
    return all(
        (str(name).endswith("REPEAT") and value[0] == 0)
        or (str(name) == "SUBPATTERN" and _is_always(value[3]))
        or (str(name) == "BRANCH" and any(map(_is_always, value[1])))
        for name, value in items
    )
