"""The compiled modules of a copy of the host's side, kept in one file of root's own: `loading.py` reads it.

    <root>/bin/hostside-DIGEST/compiled-TAG     name -> (size, time, code) of all modules, for one Python
    <root>/seals/hostside-DIGEST.json           compiled-TAG -> [sha256] of that file

To compile what a look needs takes two thirds of a look's processor time. Python's own files of compiled modules would
stand for a source by its size and time alone.
"""

from __future__ import annotations

import contextlib
import marshal
import os
from importlib.util import MAGIC_NUMBER
from typing import Any

import loading
import seals
from directory import Directory, NotSafe, require_own

_LOCK = "compiled.lock"


def keep() -> None:
    """Compile the modules of this copy unless they are kept; where that fails, every start compiles what it needs.

    A host that was never provisioned is left as it is: a look there writes nothing.
    """
    bin_directory, name = os.path.split(loading.PLACE)
    root = os.path.dirname(bin_directory)
    if not loading.lacking or not os.path.isdir(os.path.join(root, "seals")):
        return
    with contextlib.suppress(OSError, NotSafe, TimeoutError):
        require_own(loading.PLACE)
        with Directory(loading.PLACE) as opened, opened.locked(_LOCK, 0):
            text = MAGIC_NUMBER + marshal.dumps(compiled(loading.PLACE))
            # First, so that the file is never without it.
            known = {**seals.read(root, name), loading.COMPILED: [seals.digest(text)]}
            seals.write(root, name, known)
            opened.write(loading.COMPILED, text, 0o600)


def compiled(place: str) -> dict[str, tuple[int, int, bytes]]:
    """Return size, time and code of each module of a directory, by its name."""
    found: dict[str, tuple[int, int, bytes]] = {}
    for each in sorted(os.listdir(place)):
        if each.endswith(".py"):
            path = os.path.join(place, each)
            with open(path, "rb") as file:
                seen, text = os.fstat(file.fileno()), file.read()
            code: Any = compile(text, path, "exec", dont_inherit=True)
            found[each[: -len(".py")]] = (seen.st_size, seen.st_mtime_ns, marshal.dumps(code))
    return found
