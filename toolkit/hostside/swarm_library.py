"""libtorrent on this host, unpacked from a wheel that the ops machine sends, for the swarm alone.

Root loads it. So it counts only with exactly the files of its wheel, by the seal that was made as it was unpacked; a
library that was changed, or has a compiled module beside a file, is sent and unpacked anew.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from typing import BinaryIO

import seals
from directory import READABLE, make_own, permit
from wire import Document

_NAME = re.compile(r"libtorrent-[0-9a-z.-]+")


def libraries(root: str) -> list[str]:
    """Return the names of the unpacked libraries that are as their wheels had them."""
    try:
        names = sorted(os.listdir(os.path.join(root, "bin")))
    except OSError:
        return []
    return [name for name in names if _NAME.fullmatch(name) and _is_whole(root, name)]


def library_path(root: str, name: str) -> str:
    """Return the directory of a library, for `sys.path`; raises ValueError where `name` is not a library's name."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of a library")
    return os.path.join(root, "bin", name)


def use(root: str, name: str) -> None:
    """Let the library be imported; raises ValueError where it is not as its wheel had it."""
    path = library_path(root, name)
    if not _is_whole(root, name):
        raise ValueError(f"bin/{name} is not as it was unpacked; the next transfer places it anew")
    # A compiled module would be one file more.
    sys.dont_write_bytecode = True
    sys.path.insert(0, path)


def _is_whole(root: str, name: str) -> bool:
    sealed, top = seals.read(root, name), library_path(root, name)
    return (
        bool(sealed)
        and sealed.keys() == {*_files(top)}
        and not any(
            seals.file_fault(os.path.join(top, path), known) for path, known in sealed.items()
        )
    )


def _files(top: str) -> Iterator[str]:
    """Yield the paths below a directory of all that is no directory, links to directories included."""
    for folder, within, names in os.walk(top):
        links = [each for each in within if os.path.islink(os.path.join(folder, each))]
        for each in names + links:
            yield os.path.relpath(os.path.join(folder, each), top)


def unpack(request: Document, stream: BinaryIO) -> Document:
    """Read a wheel of `size` bytes from `stream` and unpack it as `name`; raises ValueError on a wrong digest."""
    final = library_path(request["root"], request["name"])
    wheel = stream.read(request["size"])
    if hashlib.sha256(wheel).hexdigest() != request["sha256"]:
        raise ValueError(f"{request['name']} is not what was pinned when it arrived")
    temporary = tempfile.mkdtemp(prefix=".library-", dir=make_own(request["root"], "bin"))
    try:
        os.chmod(temporary, READABLE)
        new, former = os.path.join(temporary, "new"), os.path.join(temporary, "former")
        with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
            archive.extractall(new)
        permit(new)
        seal = {}
        for path in _files(new):
            with open(os.path.join(new, path), "rb") as file:
                seal[path] = [seals.summary(file)]
        # Another process may have unpacked it meanwhile.
        if not _is_whole(request["root"], request["name"]):
            if os.path.lexists(final):
                os.rename(final, former)
            seals.write(request["root"], request["name"], seal)
            os.rename(new, final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return {}
