"""Tables for people: aligned columns that fit the terminal, long cells folded below, states in colour.

Pure but for `terminal_width` and `has_colours`, which read the environment and the terminal.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TextIO, TypeGuard

import click

from toolkit.cli.terminal.columns import columns as columns_of
from toolkit.cli.terminal.columns import folded, padded

WIDTH = 80
_ENDLESS = 100_000
_GAP = 2
_DEEPER = 4
# A narrower column breaks most words; below it each row becomes a list of its own.
_NARROW = 6
# A longer word is a path, a digest or an address, and may break. The id of a command, which people type, has 16.
_WORD = 16
# Half of a number is another number.
_NUMBER = re.compile(r"[-+]?(?:0|[1-9][0-9,]*)(?:\.[0-9]+)?")
_TONES = {
    "green": {"ok", "serving", "live", "yes", "fits", "done", "passed", "succeeded"},
    "yellow": {"warn", "starting", "canary", "standby", "dozing", "drifted", "running", "waiting"},
    "red": {"fail", "failed", "error", "no", "missing", "stopped", "unreachable", "damaged"},
}
_TONE_OF = {word: tone for tone, words in _TONES.items() for word in words}


def terminal_width(*, errors: bool = False) -> int:
    """Return the columns of `COLUMNS`, else of the terminal of standard output, or of that for `errors`.

    In a pipe a row is one line, for `grep` and `awk`.
    """
    stream = sys.stderr if errors else sys.stdout
    if not os.environ.get("COLUMNS") and not _is_terminal(stream):
        return _ENDLESS
    columns = shutil.get_terminal_size((0, 0)).columns
    if not columns and _is_terminal(stream):
        # Python asks the terminal of standard output alone, which may be a pipe.
        with suppress(OSError):
            columns = os.get_terminal_size(stream.fileno()).columns
    return max(columns or WIDTH, 20)


def has_colours() -> bool:
    """Return whether standard output takes colours: a terminal, without `NO_COLOR` and `TERM=dumb`."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return _is_terminal(sys.stdout)


def _is_terminal(stream: TextIO | None) -> TypeGuard[TextIO]:
    return stream is not None and stream.isatty()


def table_lines(
    headers: Sequence[str], rows: Sequence[Sequence[object]], width: int, *, colours: bool = False
) -> list[str]:
    """Return `rows` under `headers` as lines of at most `width` columns.

    A cell that is too long goes on in the lines below, in its column. Where the columns are too many for `width`, each
    row is a list of `HEADER value`.
    """
    cells = [[_plain(cell) for cell in row] for row in rows]
    widths = _fitted(headers, cells, width)
    if widths is None:
        return _listed(headers, cells, width, colours)
    lines = [_bold(line, colours) for line in _folded(headers, widths, colours=False)]
    for row in cells:
        lines += _folded(row, widths, colours)
    return lines


def folded_line(text: str, width: int) -> list[str]:
    """Return `text` as lines of at most `width` columns, folded between words; further lines stand deeper.

    A longer word is a path, an address or a digest, which people copy: it stays whole, as does a line with colours.
    """
    if columns_of(text) <= width or "\x1b" in text:
        return [text]
    words = text.lstrip()
    first = text.removesuffix(words)
    deeper = " " * min(len(first) + _DEEPER, width // 2)
    return folded(words, width, first=first, later=deeper, whole=True)


def _plain(cell: object) -> str:
    return " ".join(str(cell).splitlines())


def _fitted(headers: Sequence[str], cells: Sequence[Sequence[str]], width: int) -> list[int] | None:
    """Return a width for each column, taken from the widest first; None where `width` is too small for all.

    Columns keep their longest word where that leaves room enough, and their longest number in any case.
    """
    columns = list(zip(headers, *cells, strict=True))
    widths = [max(map(columns_of, column)) for column in columns]
    room = width - _GAP * (len(widths) - 1)
    for keep in (_longest_word, _least):
        least = [min(each, keep(column)) for each, column in zip(widths, columns, strict=True)]
        if sum(least) <= room:
            break
    else:
        return None
    while sum(widths) > room:
        spare = [each - low for each, low in zip(widths, least, strict=True)]
        widest = max((each for each, left in zip(widths, spare, strict=True) if left), default=0)
        index = next(i for i, each in enumerate(widths) if each == widest and spare[i])
        widths[index] -= 1
    return widths


def _longest_word(column: Sequence[str]) -> int:
    words = [columns_of(word) for cell in column for word in cell.split()]
    return max(_least(column), *(each for each in words if each <= _WORD), 0)


def _least(column: Sequence[str]) -> int:
    numbers = [word for cell in column[1:] for word in cell.split() if _NUMBER.fullmatch(word)]
    return max(len(column[0]), _NARROW, *map(len, numbers))


def _folded(row: Sequence[str], widths: Sequence[int], colours: bool) -> list[str]:
    """Return the lines of one row."""
    parts = [_wrapped(cell, most) for cell, most in zip(row, widths, strict=True)]
    tones = [_TONE_OF.get(cell.split(",")[0]) if colours else None for cell in row]
    lines = []
    for index in range(max(map(len, parts))):
        words = [part[index] if index < len(part) else "" for part in parts]
        last = max((i for i, word in enumerate(words) if word), default=0)
        shown = [
            click.style(word, fg=tone) + padded(word, most if i < last else 0)[len(word) :]
            if tone
            else padded(word, most if i < last else 0)
            for i, (word, most, tone) in enumerate(zip(words, widths, tones, strict=True))
        ]
        lines.append((" " * _GAP).join(shown[: last + 1]))
    return lines


def _wrapped(cell: str, most: int) -> list[str]:
    if columns_of(cell) <= most:
        return [cell]
    return folded(cell, most) or [""]


def _listed(
    headers: Sequence[str], cells: Sequence[Sequence[str]], width: int, colours: bool
) -> list[str]:
    """Return each row as lines of `HEADER value`, with an empty line between rows."""
    first = max(map(columns_of, headers))
    lines: list[str] = []
    for row in cells:
        if lines:
            lines.append("")
        for header, cell in zip(headers, row, strict=True):
            if cell:
                lines += _folded((header, cell), (first, max(width - first - _GAP, 1)), colours)
    return lines or list(headers)


def _bold(line: str, colours: bool) -> str:
    return click.style(line, bold=True) if colours else line
