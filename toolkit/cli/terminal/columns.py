"""The columns that text takes in a terminal: wide characters take two, combining ones none.

What a reader sees as one character, such as a letter with its accents or an emoji with its parts, is never cut apart.
"""

from __future__ import annotations

import unicodedata
from collections import deque
from collections.abc import Iterator
from textwrap import TextWrapper

_JOINER, _EMOJI_FORM = "\u200d", "\ufe0f"
_SOFT_HYPHEN = "\xad"
_SPACES = dict.fromkeys(map(ord, "\n\v\f\r"), " ")
_NOTHING = {"Mn", "Me", "Cf"}


def columns(text: str) -> int:
    """Return how many columns `text` takes."""
    return len(text) if text.isascii() else sum(map(_width, _characters(text)))


def padded(text: str, width: int) -> str:
    """Return `text` with spaces behind it up to `width` columns."""
    return text + " " * (width - columns(text))


def cut(text: str, width: int) -> str:
    """Return the beginning of `text` that takes at most `width` columns."""
    if text.isascii():
        return text[: max(width, 0)]
    taken, found = 0, ""
    for each in _characters(text):
        taken += _width(each)
        if taken > width:
            break
        found += each
    return found


def folded(
    text: str, width: int, *, first: str = "", later: str = "", whole: bool = False
) -> list[str]:
    """Return `text` as lines of at most `width` columns, folded between words and behind hyphens.

    The first line begins with `first`, the others with `later`. A longer word is broken; with `whole` it stays, as
    do words with hyphens.
    """
    split = TextWrapper.wordsep_simple_re.split if whole else TextWrapper.wordsep_re.split
    pieces = deque(each for each in split(text.expandtabs().translate(_SPACES)) if each)
    lines: list[str] = []
    while pieces:
        indent = later if lines else first
        if lines and not pieces[0].strip():
            pieces.popleft()
        line = _take_line(pieces, width - columns(indent), whole=whole)
        if line:
            lines.append(indent + line)
    return lines


def _take_line(pieces: deque[str], room: int, *, whole: bool) -> str:
    """Return the next line of words and spaces for `room` columns, and take it from the pieces."""
    line: list[str] = []
    taken = 0
    while pieces and taken + columns(pieces[0]) <= room:
        taken += columns(pieces[0])
        line.append(pieces.popleft())
    if pieces and columns(pieces[0]) > room:
        if not whole:
            word = pieces.popleft()
            # A line without any word takes a character of it in any case: there must be an end.
            start = _start_of(word, room - taken) or ("" if line else next(_characters(word)))
            line.append(start)
            if len(start) < len(word):
                pieces.appendleft(word[len(start) :])
        elif not line:
            line.append(pieces.popleft())
    if line and not line[-1].strip():
        line.pop()
    return "".join(line)


def _start_of(word: str, room: int) -> str:
    """Return the beginning of a word for `room` columns, which ends behind a hyphen where it has one."""
    start = cut(word, room)
    before, hyphen, _ = start.rpartition("-")
    return before + hyphen if before.strip("-") else start


def _characters(text: str) -> Iterator[str]:
    """Yield the characters that a reader sees: each with its combining characters."""
    found = ""
    for each in text:
        if found and _joins(found, each):
            found += each
        else:
            if found:
                yield found
            found = each
    if found:
        yield found


def _joins(before: str, character: str) -> bool:
    if not _alone(character) or "\U0001f3fb" <= character <= "\U0001f3ff":
        return True
    if before[-1] == _JOINER:
        return not character.isascii()
    return len(before) == 1 and _is_regional(before) and _is_regional(character)


def _width(character: str) -> int:
    """Return the columns of one character with its combining characters."""
    first = character[0]
    if len(character) > 1 and (
        _is_regional(first) or (_EMOJI_FORM in character and _is_symbol(first))
    ):
        # A flag of two letters, and a symbol in its form as an emoji.
        return 2
    return _alone(first)


def _alone(character: str) -> int:
    if character.isascii() or character == _SOFT_HYPHEN:
        return 1
    if unicodedata.category(character) in _NOTHING:
        return 0
    if "\u1160" <= character <= "\u11ff" or "\ud7b0" <= character <= "\ud7ff":
        # Vowels and finals of Korean, which stand in the syllable's first letter.
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def _is_regional(character: str) -> bool:
    return "\U0001f1e6" <= character[0] <= "\U0001f1ff"


def _is_symbol(character: str) -> bool:
    return not (character.isspace() or character.isalpha()) and bool(_alone(character))
