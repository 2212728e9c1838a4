"""All output of the command line: tables for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from toolkit.errors import ToolkitError


def say(text: str = "") -> None:
    """Print a line of the result to standard output."""
    click.echo(text)


def note(text: str) -> None:
    """Print a remark or progress to standard error, which leaves results clean for pipes."""
    click.echo(text, err=True)


def table(headers: Sequence[str], rows: Sequence[Sequence[object]], width: int = 0) -> None:
    """Print rows under headers in aligned columns; with a `width`, cut the widest cells so that lines fit into it."""
    cells = [[str(header) for header in headers], *[[str(cell) for cell in row] for row in rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headers))]
    while width and sum(widths) + 2 * (len(widths) - 1) > width and max(widths) > 1:
        widths[widths.index(max(widths))] -= 1
    cells = [[_cut(cell, most) for cell, most in zip(row, widths, strict=True)] for row in cells]
    for index, row in enumerate(cells):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        say(click.style(line.rstrip(), bold=True) if index == 0 else line.rstrip())


def _cut(cell: str, most: int) -> str:
    return cell if len(cell) <= most else f"{cell[: most - 1]}…"


def print_json(data: Mapping[str, Any], failure: ToolkitError | None = None) -> None:
    """Print `data` as the one JSON document of a command; raise a `failure`, which is printed with `data`."""
    if failure:
        failure.document = data
        raise failure
    json.dump(data, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")
