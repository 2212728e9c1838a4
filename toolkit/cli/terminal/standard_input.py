"""Read a line or a document from standard input, given by a person or a script."""

from __future__ import annotations

import sys

from toolkit.errors import InputError


def read_input(what: str, limit: int, *, hint: str) -> str:
    """Return the text on standard input, of at most `limit` bytes, without the mark of its encoding; `what` names it.

    Raises InputError, with `hint`, where standard input is closed, has more, or is not UTF-8.
    """
    return _text(_bytes(what, limit, hint, line=False), what, limit, hint)


def read_line(what: str, limit: int, *, hint: str) -> str:
    """Return the first line on standard input without its end, and raise as `read_input` does."""
    return _text(_bytes(what, limit, hint, line=True), what, limit, hint).rstrip("\r\n")


def _bytes(what: str, limit: int, hint: str, *, line: bool) -> bytes:
    if sys.stdin is None:
        raise InputError(f"there is no standard input to read {what} from", hint=hint)
    read = sys.stdin.buffer.readline if line else sys.stdin.buffer.read
    return read(limit + 1)


def _text(read: bytes, what: str, limit: int, hint: str) -> str:
    if len(read) > limit:
        raise InputError(f"{what} on standard input has more than {limit:,} bytes", hint=hint)
    try:
        return read.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{what} on standard input: byte {error.start} is not UTF-8 text", hint=hint
        ) from None
