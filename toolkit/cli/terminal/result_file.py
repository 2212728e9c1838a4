"""Write a result to the file that a person names with --output, or to standard output for `-`."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from toolkit.cli.terminal.output import say_file
from toolkit.config.paths import absolute, expanded, permissions
from toolkit.errors import InputError, ToolkitError

STANDARD_OUTPUT = Path("-")
_OPTION = "--output"


def write_result(path: Path, text: str) -> None:
    """Write `text` to `path`; raises ToolkitError on a full disk, and InputError where the place takes nothing.

    A file is replaced whole or not at all, and keeps its permissions. A device, a pipe, and what /dev and /proc have
    names for, such as /dev/stdout, is written to as it is.
    """
    from toolkit.adapters.store.files import replace_text

    if path == STANDARD_OUTPUT:
        say_file(text)
        return
    path = expanded(path)
    try:
        if _is_file(path):
            target = absolute(path)
            replace_text(target, text, mode=permissions(target))
        else:
            with path.open("w", encoding="utf-8", newline="") as file:
                file.write(text)
    except OSError as error:
        raise _cannot_write(path, error) from error


def require_place(path: Path, *, as_json: bool = False, option: str = _OPTION) -> None:
    """Refuse a place of a result before the work on it begins; raises InputError as `write_result` would.

    With `as_json`, standard output has a document already. `option` names the place on the command line.
    """
    if path == STANDARD_OUTPUT:
        if as_json:
            raise InputError(
                "--output - and --json both write to standard output", hint="--output FILE"
            )
        return
    path = expanded(path)
    kind = errno.EISDIR if path.is_dir() else 0
    if not kind and not path.parent.is_dir():
        kind = errno.ENOENT
    if not kind and not os.access(_written(path), os.W_OK):
        kind = errno.EACCES
    if kind:
        raise _cannot_write(path, OSError(kind, os.strerror(kind)), option)


def _is_file(path: Path) -> bool:
    """Whether a file may be put in the place of `path`: where there is one, or nothing yet."""
    top = path.absolute().parts[1:2]
    return top not in (("dev",), ("proc",)) and (path.is_file() or not path.exists())


def _written(path: Path) -> Path:
    """Return the path that must be writable: the directory of a new file, or a pipe or device itself."""
    return absolute(path).parent if _is_file(path) else path


def _cannot_write(path: Path, error: OSError, option: str = _OPTION) -> ToolkitError:
    from toolkit.adapters.disk import FULL, fault_of

    if error.errno in FULL:
        return fault_of(OSError(error.errno, error.strerror, str(path)))
    words = f"{path} cannot be written: {error.strerror or error}"
    return InputError(words, hint=f"{option} FILE, in a directory that you may write to")
