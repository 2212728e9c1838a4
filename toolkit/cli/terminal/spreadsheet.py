"""Rows as CSV for spreadsheets, which take some texts for formulas and compute them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

# The beginnings of a formula. A dash alone, the key of requests without one, is no formula.
_BEGINS = ("=", "+", "@", "-", "\t", "\r")


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a header and rows as CSV; a text that is no number and begins like a formula has a `'` before it."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_cell(each) for each in row] for row in rows)
    return out.getvalue()


def _cell(value: object) -> object:
    if not isinstance(value, str) or len(value) < 2 or value[0] not in _BEGINS:
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value
