"""Excerpts of texts for messages and tables, and of two texts so that a reader sees where they differ."""

from __future__ import annotations

import hashlib
import re
from itertools import takewhile

LONGEST = 60
# Characters that two excerpts have in common before the first difference.
_BEFORE = 12
_CUT = "..."
# Characters of a word that nobody reads; no path that people have is as long.
_ENDLESS = re.compile(r"\S{501,}")
_END = re.compile(r"['\"`]?[.,;:)]*\Z")


def excerpt(text: str, most: int = LONGEST) -> str:
    """Return the text in at most `most` characters, the mark of a cut included."""
    return text if len(text) <= most else f"{text[: most - len(_CUT)]}{_CUT}"


def brief(text: str, most: int = 400) -> str:
    """Return the text, or its first `most` characters and the mark of a cut."""
    return text if len(text) <= most else f"{text[:most]}{_CUT}"


def plain(name: str) -> str:
    """Return a name from outside for a line of its own: with escapes for what is no printable character, and brief."""
    return brief(escaped(name))


def escaped(text: str) -> str:
    """Return the text with escapes for what is no printable character, such as the end of a line."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def readable(text: str) -> str:
    """Return the text with the beginning alone of each word of more than 500 characters, such as a mistaken value."""
    return _ENDLESS.sub(_beginning, text)


def _beginning(found: re.Match[str]) -> str:
    word = found[0]
    end = _END.search(word)
    return excerpt(word) + (end[0] if end else "")


def excerpts(one: str, other: str) -> tuple[str, str]:
    """Return excerpts of two different texts that differ as well; each has `LONGEST` characters at most.

    Texts that are too long begin a little before their first difference.
    """
    if excerpt(one) != excerpt(other):
        return excerpt(one), excerpt(other)
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
    begin = max(0, same - _BEFORE)
    found = excerpt(_CUT + one[begin:]), excerpt(_CUT + other[begin:])
    return found if found[0] != found[1] else (marked(one, one), marked(other, other))


def marked(text: str, whole: str) -> str:
    """Return the beginning of a text with the digest of the `whole`, for texts that look alike."""
    digest = f" (sha256 {hashlib.sha256(whole.encode(errors='replace')).hexdigest()[:8]})"
    return text[: LONGEST - len(digest)] + digest
