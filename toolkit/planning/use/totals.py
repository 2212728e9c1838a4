"""Sums of rows of use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from operator import attrgetter

from toolkit.domain.clients.use import KINDS, PROBE, UseRow

# A choice of `--by`, and the columns by which rows then differ.
GROUPS = {
    "key": ("key",),
    "model": ("model",),
    "release": ("version", "release", "base"),
    "day": ("day",),
    "host": ("host",),
}
_SUMS = ("requests", "tokens_in", "cached", "tokens_out", "reasoning", "unknown", "audio_seconds")
_EMPTY = UseRow("", "", "", "", "", 0, 0, 0, 0, 0, 0, 0)


def columns(groups: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of the groups, each once."""
    return tuple(dict.fromkeys(column for each in groups for column in GROUPS[each]))


def totals(
    rows: Iterable[UseRow],
    by: Sequence[str],
    since: str | None = None,
    until: str | None = None,
) -> tuple[UseRow, ...]:
    """Return the sums of `rows` for each kind, in their order: by the columns `by`, such as `("key", "day")`.

    Only days from `since` to `until` count, both included. Probes are nobody's use and are left out. A history does the
    same by itself, see `History.use`; this is for rows that are there already.
    """
    sums: dict[tuple[object, ...], UseRow] = {}
    for row in rows:
        if row.key == PROBE or (since and row.day < since) or (until and row.day > until):
            continue
        kind = {each: getattr(row, each) for each in KINDS if each in by}
        key = tuple(kind.values())
        known = sums.get(key) or replace(_EMPTY, **kind)
        sums[key] = _plus(known, row)
    return tuple(sorted(sums.values(), key=attrgetter(*KINDS)))


def total(rows: Iterable[UseRow]) -> UseRow:
    """Return the sum of all rows."""
    found = _EMPTY
    for row in rows:
        found = _plus(found, row)
    return found


def _plus(one: UseRow, other: UseRow) -> UseRow:
    return replace(one, **{each: getattr(one, each) + getattr(other, each) for each in _SUMS})
