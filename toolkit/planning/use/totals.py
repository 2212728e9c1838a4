"""Sums of rows of use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from toolkit.domain.clients.use import SUMS, UseRow

# A choice of `--by`, and the columns by which rows then differ.
GROUPS = {
    "key": ("key",),
    "model": ("model",),
    "release": ("version", "release", "base"),
    "day": ("day",),
    "host": ("host",),
}
_EMPTY = UseRow("", "", "", "", "", 0, 0, 0, 0, 0, 0, 0)


def columns(groups: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of the groups, each once."""
    return tuple(dict.fromkeys(column for each in groups for column in GROUPS[each]))


def total(rows: Iterable[UseRow]) -> UseRow:
    """Return the sum of all rows."""
    found = _EMPTY
    for row in rows:
        found = replace(found, **{each: getattr(found, each) + getattr(row, each) for each in SUMS})
    return found
