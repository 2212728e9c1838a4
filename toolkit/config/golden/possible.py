"""Whether there is a text that a pattern finds, that has some parts and not others, and that is of some length.

The texts are those of answers, which have no spaces around them. Each place in such a text is what the automaton of the
pattern has seen so far, and how much of each part; from place to place leads a character. There are finitely many
places, so all are looked at, within bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from toolkit.config.golden.automaton import Automaton, Beyond, automaton
from toolkit.domain.gates.golden import Expectation

# Places that are looked at, and those of all lengths together; beyond them nothing is known.
_MOST_PLACES, _MOST_LOOKS = 2000, 20_000
# Beyond so many characters the length of a text is not followed.
_LONGEST = 1000
# Texts of an expectation that are followed, and their characters; the others count as met.
_MOST_TEXTS, _MOST_TEXT = 4, 100


class _Place(NamedTuple):
    """A place in a text, between two characters.

    `before` is the kind of the last character, `needs` what the next one must be, and `seen` how many characters of
    each part the text ends with.
    """

    state: int
    before: str
    needs: frozenset[str]
    seen: tuple[int, ...]


def is_possible(expect: Expectation) -> bool:
    """Return whether a text may be as expected by its pattern, its parts and its length. True where nobody can tell."""
    try:
        found = automaton(expect.regex or "")
        return _Texts(found, expect).has_one()
    except (Beyond, RecursionError):
        return True


class _Texts:
    def __init__(self, found: Automaton, expect: Expectation) -> None:
        self._automaton = found
        self._wanted, self._lacked = _followed(expect.contains), _followed(expect.lacks)
        self._parts = (*self._wanted, *self._lacked)
        least, most = (expect.length.least, expect.length.most) if expect.length else (None, None)
        self._least = min(int(least or 0), _LONGEST)
        self._most = int(most) if most is not None and most <= _LONGEST else None
        self._classes = _classes(found, self._parts)
        self._steps: dict[tuple[int, int, str], int] = {}
        self._next: dict[_Place, frozenset[_Place]] = {}

    def has_one(self) -> bool:
        """Whether there is such a text. Raises Beyond where there are too many places."""
        first = _Place(0, "start", frozenset(), (0,) * len(self._parts))
        layer = self._closed({first})
        most = self._most if self._most is not None else self._least + _MOST_PLACES
        looks = 0
        met: set[frozenset[_Place]] = set()
        for length in range(most + 1):
            if length >= self._least and any(map(self._is_end, layer)):
                return True
            if not layer or (length >= self._least and layer in met):
                return False
            looks += len(layer)
            if looks > _MOST_LOOKS:
                raise Beyond
            met.add(layer)
            after = frozenset().union(*map(self._after, layer))
            if after == layer:
                # So it goes on with each further character.
                return self._least <= most and any(map(self._is_end, layer))
            layer = after
        if self._most is None:
            raise Beyond
        return False

    def _is_end(self, place: _Place) -> bool:
        done = all(seen == len(part) for seen, part in zip(place.seen, self._wanted, strict=False))
        ends = place.before in ("start", "word", "sign") and "word" not in place.needs
        return place.state == self._automaton.end and done and ends

    def _after(self, place: _Place) -> frozenset[_Place]:
        """Return the places after one more character."""
        if place not in self._next:
            if len(self._next) >= _MOST_PLACES:
                raise Beyond
            self._next[place] = self._closed(set(self._moved(place)))
        return self._next[place]

    def _moved(self, place: _Place) -> Iterator[_Place]:
        if "end" in place.needs:
            return
        for character, kind, sets in self._classes:
            starts = place.before == "start" and kind in ("line end", "space")
            if starts or not all(_ALLOWS[need](kind) for need in place.needs):
                continue
            seen = self._seen(place.seen, character)
            if seen is None:
                continue
            for number, state in self._automaton.by[place.state]:
                if number < 0 or sets[number]:
                    yield _Place(state, kind, frozenset(), seen)

    def _seen(self, before: tuple[int, ...], character: str) -> tuple[int, ...] | None:
        """Return how much of each part a text ends with; None where it has a part that it must lack."""
        found = []
        for index, (part, count) in enumerate(zip(self._parts, before, strict=True)):
            if count < len(part):
                step = (index, count, character)
                if step not in self._steps:
                    self._steps[step] = _grown(part, part[:count] + character)
                count = self._steps[step]
            if count == len(part) and index >= len(self._wanted):
                return None
            found.append(count)
        return tuple(found)

    def _closed(self, places: set[_Place]) -> frozenset[_Place]:
        """Return places and those that moves without a character lead to."""
        left = list(places)
        while left:
            place = left.pop()
            for condition, state in self._automaton.free[place.state]:
                needs = _needs(condition, place)
                if needs is None:
                    continue
                after = place._replace(state=state, needs=needs)
                if after not in places:
                    places.add(after)
                    left.append(after)
            if len(places) > _MOST_PLACES:
                raise Beyond
        return frozenset(places)


# Whether a character of a kind may come where it is needed.
_ALLOWS: Mapping[str, Callable[[str], bool]] = {
    "end": lambda _: False,
    "line end": lambda kind: kind == "line end",
    "word": lambda kind: kind == "word",
    "no word": lambda kind: kind != "word",
}


def _followed(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(each for each in texts if len(each) <= _MOST_TEXT)[:_MOST_TEXTS]


def _grown(part: str, tail: str) -> int:
    """Return how many of the first characters of a part a text ends with that ends with `tail`."""
    return next(size for size in range(len(tail), -1, -1) if tail.endswith(part[:size]))


def _needs(condition: str, place: _Place) -> frozenset[str] | None:
    """Return what the next character must be where the condition holds; None where it does not hold."""
    if condition in ("start", "line start"):
        lines = ("start", "line end") if condition == "line start" else ("start",)
        return place.needs if place.before in lines else None
    if condition in ("boundary", "no boundary"):
        inside = (place.before == "word") == (condition == "no boundary")
        return place.needs | {"word" if inside else "no word"}
    return place.needs | {condition} if condition else place.needs


def _classes(found: Automaton, texts: tuple[str, ...]) -> list[tuple[str, str, tuple[bool, ...]]]:
    """Return one character of each kind that pattern and texts tell from others, with the kind and its sets."""
    letters = set("".join(texts))
    classes: dict[tuple[str, str, tuple[bool, ...]], tuple[str, str, tuple[bool, ...]]] = {}
    for character in found.characters(texts):
        kind = _kind(character)
        sets = tuple(found.set_of(number, character) for number in range(len(found.sets)))
        own = character if character in letters else ""
        classes.setdefault((own, kind, sets), (character, kind, sets))
    return list(classes.values())


def _kind(character: str) -> str:
    if character.isalnum() or character == "_":
        return "word"
    if character == "\n":
        return "line end"
    return "space" if character.isspace() else "sign"
