"""The differences between two texts, line by line. A router with a former state of a file is sent them alone."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from itertools import groupby
from typing import Any

# From this line of the former text, up to that one, these lines instead.
Splice = tuple[int, int, str]


def file_edits(former: Mapping[str, str], files: Mapping[str, str]) -> dict[str, Any]:
    """Return for each file that has a former state how it becomes the one in `files`.

    `of` is the sha256 hex of the former text, so that a host where another text stands refuses.
    """
    return {
        name: {"of": digest_of(former[name]), "splices": splices(former[name], text)}
        for name, text in files.items()
        if name in former
    }


def splices(former: str, text: str) -> list[Splice]:
    """Return the replacements of lines of `former` that make it `text`, from its end to its beginning."""
    if former == text:
        return []
    old, new = former.splitlines(keepends=True), text.splitlines(keepends=True)
    if len(old) == len(new):
        return _rows(old, new)
    return [_middle(old, new)]


def digest_of(text: str) -> str:
    """Return the sha256 hex of a text."""
    return sha256(text.encode()).hexdigest()


def _rows(old: list[str], new: list[str]) -> list[Splice]:
    """Return the differences of texts with the same number of lines, such as those of two sets of weights."""
    apart = [at for at, (before, after) in enumerate(zip(old, new, strict=True)) if before != after]
    found = []
    for _, run in groupby(enumerate(apart), lambda pair: pair[1] - pair[0]):
        rows = [at for _, at in run]
        found.append((rows[0], rows[-1] + 1, "".join(new[rows[0] : rows[-1] + 1])))
    return found[::-1]


def _middle(old: list[str], new: list[str]) -> Splice:
    """Return the part between the lines that both texts begin with and those that both end with."""
    most = min(len(old), len(new))
    head = next((at for at in range(most) if old[at] != new[at]), most)
    tail = next((at for at in range(most - head) if old[-1 - at] != new[-1 - at]), most - head)
    return head, len(old) - tail, "".join(new[head : len(new) - tail])
