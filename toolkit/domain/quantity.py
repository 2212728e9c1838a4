"""Sizes and durations: as text for users, as bytes and seconds in code."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache

_UNITS = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
_SIZE = re.compile(r"\s*([0-9]{1,18}(?:\.[0-9]{1,18})?)\s*([kKMGT]i?B|B)\s*")


class Size(int):
    """A number of bytes, and the text by which a person wrote it, empty where nobody did.

    Equal numbers are equal sizes, however they were written.
    """

    written: str

    def __new__(cls, size: int, written: str = "") -> Size:
        made = super().__new__(cls, size)
        made.written = written
        return made


def parse_size(text: str) -> Size:
    """Return the number of bytes in `text`, such as `15.2GB` or `16GiB`, with the text itself.

    Raises ValueError where the text is not a number followed by B, kB, MB, GB, TB, KiB, MiB, GiB or TiB.
    """
    found = _SIZE.fullmatch(text)
    if found is None or found[2] not in _UNITS:
        raise ValueError(f"{text[:60]!r} is not a size; write it like 16GiB or 500MB")
    return Size(int(float(found[1]) * _UNITS[found[2]]), found[1] + found[2])


def part_of(size: int, parts: int) -> int:
    """Return each of so many equal parts of `size`, rounded down; one part is the size as it was written."""
    return size if parts == 1 else size // parts


def format_size(size: int) -> str:
    """Return `size` bytes in decimal units with three significant digits: `15.2 GB`."""
    for unit in ("TB", "GB", "MB", "kB"):
        count = size / _UNITS[unit]
        # A number that rounds to 1000 of this unit is shown as 1 of the next unit.
        if count >= 0.9995 and size >= 1000:
            return f"{count:.3g} {unit}" if count < 999.5 else f"{count:.0f} {unit}"
    return f"{size} B"


def written_size(size: int) -> str:
    """Return `size` bytes as a person wrote them: `3GiB` stays `3GiB`, `1536MiB` stays `1536MiB`.

    A size that nobody wrote gets the shortest text whose value is exactly `size`, so nothing is rounded.
    """
    if isinstance(size, Size) and size.written:
        return size.written
    return _shortest(int(size))


# Each comparison of two releases asks it of their memory, and a change compares hundreds of times.
@lru_cache(maxsize=256)
def _shortest(size: int) -> str:
    texts = [f"{size / number:.10g}{unit}" for unit, number in _UNITS.items()]
    exact = [text for text in texts if _SIZE.fullmatch(text) and parse_size(text) == size]
    return min(exact, key=len, default=f"{size}B")


def stated_size(size: int) -> str:
    """Return `size` bytes beside other sizes: `3GiB (3.22 GB)` where a person wrote it so, else `16 GB`."""
    written, plain = written_size(size), format_size(size)
    stated = isinstance(size, Size) and size.written and size.written != plain.replace(" ", "")
    return f"{written} ({plain})" if stated or written.endswith("iB") else plain


def format_seconds(seconds: float) -> str:
    """Return a duration for users: `0.4 s`, `38 s`, `4 min 05 s`, `2 h 10 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def format_brief(seconds: float) -> str:
    """Return a brief time with its whole value: `50 ms`, `2 s`, `2.5 s`."""
    return f"{seconds * 1000:g} ms" if seconds < 1 else f"{seconds:g} s"


def format_age(seconds: float) -> str:
    """Return a long duration for users: whole days from two days on, `34 d`, else as `format_seconds`."""
    return f"{seconds // 86_400:,.0f} d" if seconds >= 2 * 86_400 else format_seconds(seconds)


def format_number(value: Decimal, digits: int) -> str:
    """Return a number with so many digits that count, all that stand before its point, and no power of ten."""
    return f"{value:,.0f}" if value >= 10**digits else f"{Decimal(f'{value:.{digits}g}'):f}"
