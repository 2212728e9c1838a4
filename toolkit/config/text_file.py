"""Read a text file that a person wrote; every reason why it cannot be read is one clear error.

Commands that change such a file, from what it says, take turns.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from toolkit.errors import InputError
from toolkit.regular import open_regular

# A change takes milliseconds. A lock that is held for longer is another program's: of `flock DIRECTORY`, for example.
_TURN_SECONDS = 5.0
_TICK_SECONDS = 0.01


def read_text(path: Path, *, limit: int, hint: str = "") -> str:
    """Return the text of the UTF-8 file at `path`, at most `limit` bytes.

    Raises InputError where it is missing (with `hint`), no regular file, not readable, larger than
    `limit`, not UTF-8 or binary.
    """
    text = decoded(path, read_bytes(path, limit=limit, hint=hint))
    check_characters(path, text)
    return text


def decoded(path: Path, data: bytes) -> str:
    """Return the text of `data`, the content of the file at `path`; raises InputError where it is not UTF-8."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path}:{line}: byte {error.start} is not UTF-8 text", hint="save the file as UTF-8"
        ) from None


def check_characters(path: Path, text: str) -> None:
    """Raise InputError where `text`, which the file `path` has or gets, has a control character."""
    for number, line_text in enumerate(text.split("\n"), start=1):
        column = _control_character(line_text)
        if column:
            raise InputError(
                f"{path}:{number}:{column}: control character {line_text[column - 1]!r}; "
                "this is no text file",
                hint="remove it, or name another file",
            )


@contextmanager
def in_turn(path: Path) -> Iterator[None]:
    """Let one command at a time read the file at `path` and change it.

    The lock is on its directory, so that it leaves no file behind. Where the file system has no locks the context is
    entered without one.
    """
    try:
        handle = os.open(
            Path(os.path.realpath(path)).parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        )
    except (OSError, ValueError):
        # The writer of the file gets the reason.
        yield
        return
    try:
        _wait_for_turn(handle)
        yield
    finally:
        os.close(handle)


def _wait_for_turn(handle: int) -> None:
    until = time.monotonic() + _TURN_SECONDS
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                return
            time.sleep(_TICK_SECONDS)
        except OSError:
            return
        else:
            return


def read_bytes(path: Path, *, limit: int, hint: str = "") -> bytes:
    """Return the content of the file at `path`, at most `limit` bytes.

    Raises InputError where it is missing (with `hint`), no regular file, not readable, or larger than `limit`.
    """
    try:
        with open(path, "rb", opener=open_regular) as file:
            data = file.read(limit + 1)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist", hint=hint) from None
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.EISDIR):
            what = "a directory" if path.is_dir() else "not a regular file"
            raise InputError(f"{path} is {what}", hint="name a file") from None
        raise InputError(
            f"{path} cannot be read: {error.strerror}", hint="check the path and its permissions"
        ) from None
    except ValueError:
        raise InputError(f"{str(path)!r} is not a path", hint="name a file") from None
    if len(data) > limit:
        raise InputError(
            f"{path} is larger than {limit / 2**20:g} MiB; this is not the file that was meant",
            hint="name another file",
        )
    return data


def _control_character(line: str) -> int:
    """Return the 1-based column of the first character that does not belong in a text, else 0.

    Other line ends than LF and CR LF count too, because not every reader takes them for line ends.
    """
    line = line.removesuffix("\r")
    if line.isprintable():
        return 0
    for column, character in enumerate(line, start=1):
        code = ord(character)
        if (code < 0x20 and character != "\t") or 0x7F <= code < 0xA0 or code in (0x2028, 0x2029):
            return column
    return 0
