"""A parser of bytes from outside: its name, how it is run, good inputs and the errors that it may raise."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any

from toolkit.errors import ToolkitError

REPOSITORY = Path(__file__).parents[2]
# The directory of the files that are read, see conftest.py: to make one for each input takes longer than most parsers.
place = Path()


@contextmanager
def importable(directory: Path) -> Iterator[None]:
    """Let modules be imported from the directory."""
    sys.path.insert(0, str(directory))
    try:
        yield
    finally:
        sys.path.pop(0)


def hostside() -> AbstractContextManager[None]:
    """Let the modules of the program on hosts import each other by bare names."""
    return importable(REPOSITORY / "toolkit" / "hostside")


A, B = "a" * 64, "b" * 64


@dataclass(frozen=True)
class Parser:
    """`run` takes bytes; it returns a value that can be printed as JSON, or raises one of `errors`."""

    name: str
    run: Callable[[bytes], Any]
    seeds: tuple[bytes, ...]
    errors: tuple[type[Exception], ...] = (ToolkitError,)
    # In CI such a parser gets a tenth of the inputs.
    slow: bool = False


def written(name: str, data: bytes) -> Path:
    """Write an input to the file of this name, in the place of the one before; return its path."""
    path = place / name
    # Some file systems write a file that is emptied and filled again to the disk at once.
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    return path


def packed(value: Any) -> bytes:
    return json.dumps(value).encode()


def plain(value: Any) -> Any:
    """Return the value as JSON has it."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return value


def words(data: bytes) -> str:
    return data.decode(errors="replace")
