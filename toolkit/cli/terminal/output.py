"""All output of the command line: tables for people, JSON for programs."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

import click

from toolkit.cli.terminal.table import folded_line, has_colours, table_lines, terminal_width
from toolkit.errors import InputError, ToolkitError

# A colour of the toolkit's own, which stays, or a character by which a text orders a terminal about, such as to conceal
# all that follows, turns its direction, or ends a line for some readers.
_CONTROL = re.compile(
    r"(\x1b\[(?:[01]|3[1-7]|9[0-7])m)|"
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"
)
# Characters that JSON may have as they are, and that order a terminal about, or end a line for some readers.
_UNSAFE_IN_JSON = re.compile(r"[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def require_one_form(*, csv: bool, json: bool) -> None:
    """Raise InputError where --csv and --json are both given."""
    if csv and json:
        raise InputError("--csv and --json exclude each other", hint="give one of the two")


def say(text: str = "") -> None:
    """Print lines of the result to standard output, folded between words where the terminal is narrower."""
    _print(folded_text(without_orders(text), terminal_width()))


def say_whole(text: str) -> None:
    """Print text that others read or copy, as it is; without colours where they are not wanted."""
    _print(without_orders(text, sys.stdout))


def _print(text: str) -> None:
    click.echo(text if has_colours() else click.unstyle(text))


def say_file(text: str) -> None:
    """Print the content of a file of its own form, which is UTF-8 in any locale; a terminal gets no orders by it."""
    sys.stdout.flush()
    shown = without_orders(text, sys.stdout)
    sys.stdout.buffer.write(shown.encode("utf-8", "backslashreplace"))
    sys.stdout.buffer.flush()


def note(text: str) -> None:
    """Print a remark or progress to standard error, which leaves results clean for pipes; folded as by `say`."""
    shown = without_orders(text)
    click.echo(folded_text(shown, terminal_width(errors=True)), err=True)


def without_orders(text: str, stream: TextIO | None = None) -> str:
    """Return the text with escapes for all control characters but line ends, tabs and colours.

    With a `stream` that is no terminal the text stays as it is, for whoever copies it. Models, engines and hosts say
    what they like. Their text must not set a title, fill the clipboard or write over lines, and what is written for
    people reaches a terminal through `head`, `watch` and the log of a timer too.
    """
    if stream is not None and not stream.isatty():
        return text
    return _CONTROL.sub(lambda found: found[1] or ascii(found[0])[1:-1], text)


def folded_text(text: str, width: int) -> str:
    """Return lines folded between words, so that none has more than `width` columns."""
    return "\n".join(part for line in text.split("\n") for part in folded_line(line, width))


def table(headers: Sequence[str], rows: Sequence[Sequence[object]], width: int = 0) -> None:
    """Print rows under headers in lines of at most `width` columns, and of no more than the terminal has."""
    most = min(width, terminal_width()) if width else terminal_width()
    for line in table_lines(headers, rows, most, colours=has_colours()):
        say_whole(without_orders(line))


def print_json(data: Mapping[str, Any], failure: ToolkitError | None = None) -> None:
    """Print `data` as the one JSON document of a command; raise a `failure`, which is printed with `data`."""
    if failure:
        failure.document = data
        raise failure
    sys.stdout.write(f"{_json_text(data, indent=2)}\n")


def print_json_line(data: Mapping[str, Any]) -> None:
    """Print one of many JSON documents, in a line of its own."""
    say_whole(_json_text(data))


def _json_text(data: Mapping[str, Any], indent: int | None = None) -> str:
    """Return the document, with JSON's escapes for characters that no terminal should get as they are."""
    text = json.dumps(data, indent=indent, ensure_ascii=_few_characters())
    return _UNSAFE_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _few_characters() -> bool:
    """Whether the locale has few characters: the others must be JSON's escapes then, not those of the stream."""
    return sys.stdout.encoding.lower().replace("-", "") != "utf8"
