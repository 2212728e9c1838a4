"""Whether a guard can go on from the values in its files, which an editor or another toolkit may have written."""

from __future__ import annotations

from math import isfinite
from typing import Any

from wire import Document

# Those of `trial.py`, which takes too long to load for a look at a host.
_VERDICTS = ("passed", "failed", "could not tell")
_FIGURE = {"name": "", "new": None, "old": None, "unit": ""}
# Characters of a text, such as a reason or the name of a figure.
_MOST_WORDS = 10_000


def sound(state: Document) -> Document:
    """Return the parts of a guard's state that can be taken over, without that of its judge: see `is_like`."""
    kinds = {"judge": {}, "usual": [None, 0.0], "process": "", "back": 0.0}
    return {
        name: value
        for name, value in state.items()
        if name in kinds and is_like(value, kinds[name])
    }


def is_verdict(value: object) -> bool:
    """Whether a value is a verdict as commands read it."""
    if not isinstance(value, dict) or value.get("verdict") not in _VERDICTS:
        return False
    words = is_like(value.get("gate"), "") and is_like(value.get("reason", ""), "")
    return words and are_figures(value.get("figures", []))


def are_figures(value: object) -> bool:
    """Whether a value is a list of figures as commands read them."""
    return isinstance(value, list) and all(
        is_like(each, _FIGURE) and len(each) == len(_FIGURE) for each in value
    )


def is_like(found: Any, made: Any) -> bool:
    """Whether a value has the form of another one: mappings with its keys, lists of its length where it has any.

    Where that has None, this may have a number. A text may have another length, up to a bound.
    """
    if isinstance(made, dict):
        return isinstance(found, dict) and all(
            name in found and is_like(found[name], each) for name, each in made.items()
        )
    if isinstance(made, list):
        alike = isinstance(found, list) and len(found) == len(made or found)
        return alike and all(map(is_like, found, made or [0.0] * len(found)))
    if isinstance(made, str):
        return isinstance(found, str) and len(found) <= _MOST_WORDS
    if isinstance(made, bool):
        return isinstance(found, bool)
    if found is None:
        return made is None
    return is_number(found)


def is_number(value: object) -> bool:
    """Whether a value is a number that can be computed with: no truth value, not infinite, not NaN."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)
