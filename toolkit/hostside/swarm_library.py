"""libtorrent on this host, unpacked from a wheel that the ops machine sends, for the swarm alone."""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import tempfile
import zipfile
from typing import BinaryIO

from directory import READABLE, make_own
from wire import Document

_NAME = re.compile(r"libtorrent-[0-9a-z.-]+")


def libraries(root: str) -> list[str]:
    """Return the names of the unpacked libraries."""
    try:
        return sorted(
            name for name in os.listdir(os.path.join(root, "bin")) if _NAME.fullmatch(name)
        )
    except OSError:
        return []


def library_path(root: str, name: str) -> str:
    """Return the directory of a library, for `sys.path`; raises ValueError where `name` is not a library's name."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of a library")
    return os.path.join(root, "bin", name)


def unpack(request: Document, stream: BinaryIO) -> Document:
    """Read a wheel of `size` bytes from `stream` and unpack it as `name`; raises ValueError on a wrong digest."""
    final = library_path(request["root"], request["name"])
    wheel = stream.read(request["size"])
    if hashlib.sha256(wheel).hexdigest() != request["sha256"]:
        raise ValueError(f"{request['name']} is not what was pinned when it arrived")
    temporary = tempfile.mkdtemp(prefix=".library-", dir=make_own(request["root"], "bin"))
    try:
        os.chmod(temporary, READABLE)
        with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
            archive.extractall(temporary)
        if not os.path.isdir(final):
            os.rename(temporary, final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return {}
