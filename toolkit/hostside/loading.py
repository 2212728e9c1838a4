"""Load the modules of this directory and nothing else in their place, where it is a copy on a host: root runs them.

A compiled module that Python finds beside its source (`__pycache__`) stands for it by size and time alone, so none is
read or written here. A module is compiled from its text, or comes from the file `COMPILED` of a copy on a host, see
`keep_compiled.py`: that counts only as root wrote it, for root alone. Of the directory's files only those count whose
name is that of no standard module, and no directories and no libraries. The ops machine's own package is loaded as its
other modules are.
"""

from __future__ import annotations

import hashlib
import json
import marshal
import os
import stat
import sys
from collections.abc import Collection, Mapping, Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import MAGIC_NUMBER
from types import CodeType, ModuleType
from typing import Any, NoReturn

PLACE = os.path.dirname(os.path.abspath(__file__))
COMPILED = f"compiled-{sys.implementation.cache_tag}"
# No such file is larger.
_MOST_BYTES = 16 * 2**20
# Whether this is a copy without compiled modules that count.
lacking = False


class _Sibling(SourceFileLoader):
    """Loads a module from its text, or from `kept`: its size, time and code as they were when it was compiled."""

    def __init__(self, name: str, path: str, kept: Sequence[Any]) -> None:
        super().__init__(name, path)
        self._kept = kept

    def path_stats(self, path: str) -> NoReturn:
        """Raise OSError: for Python, the source is then of an unknown time, with which no compiled module agrees."""
        raise OSError(path)

    def get_code(self, fullname: str) -> CodeType | None:
        """Return the module's code."""
        if self._kept:
            size, changed, code = self._kept
            seen = os.stat(self.path)
            if (size, changed) == (seen.st_size, seen.st_mtime_ns):
                found: CodeType = marshal.loads(code)  # noqa: S302 (root wrote it, see `kept`)
                return found
        return super().get_code(fullname)


class _Siblings:
    """Finds the modules of this directory."""

    def __init__(self) -> None:
        files = [each for each in os.listdir(PLACE) if each.endswith(".py")]
        self._names = {each[: -len(".py")] for each in files}.difference(standard())
        self.kept = kept(PLACE)

    def find_spec(
        self, name: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the specification of a module, None for one that is none of these."""
        if name not in self._names:
            return None
        file = os.path.join(PLACE, f"{name}.py")
        spec = ModuleSpec(name, _Sibling(name, file, self.kept.get(name, ())), origin=file)
        spec.has_location = True
        return spec


def standard() -> Collection[str]:
    """Return the names of the standard library's modules; Python 3.9 does not know them."""
    if hasattr(sys, "stdlib_module_names"):
        return sys.stdlib_module_names
    top = os.path.dirname(os.__file__)
    places = [each for each in (top, os.path.join(top, "lib-dynload")) if os.path.isdir(each)]
    files = [each.partition(".")[0] for place in places for each in os.listdir(place)]
    return {*sys.builtin_module_names, *files}


def kept(place: str) -> Mapping[str, Sequence[Any]]:
    """Return what a copy keeps compiled; nothing where that is not as root wrote and sealed it, for root alone."""
    directory, name = os.path.split(place)
    try:
        sealed = _own(os.path.join(os.path.dirname(directory), "seals", f"{name}.json"))
        text = _own(os.path.join(place, COMPILED))
        known = json.loads(sealed)[COMPILED]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
    if [hashlib.sha256(text).hexdigest()] != known or not text.startswith(MAGIC_NUMBER):
        return {}
    found: Mapping[str, Sequence[Any]] = marshal.loads(text[len(MAGIC_NUMBER) :])  # noqa: S302
    return found


def _own(path: str) -> bytes:
    """Return a file's content; raises OSError where others than root may read it, or it has another name."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(handle, "rb") as file:
        seen = os.fstat(handle)
        own = seen.st_uid in (0, os.geteuid()) and not seen.st_mode & 0o077
        if not (stat.S_ISREG(seen.st_mode) and seen.st_nlink == 1 and own):
            raise OSError(path)
        return file.read(_MOST_BYTES)


def load_siblings() -> None:
    """Have the modules of this directory found before any other."""
    if is_copy(PLACE):
        siblings = _Siblings()
        sys.meta_path.insert(0, siblings)
        globals()["lacking"] = not siblings.kept
    else:
        sys.path.insert(0, PLACE)


def is_copy(place: str) -> bool:
    """Return whether a directory is where a host has its side of the toolkit: `<root>/bin/NAME`."""
    return os.path.basename(os.path.dirname(place)) == "bin"
