"""The leftovers on this host of commands and installations that were cut short, and their removal.

    snapshots, wheelhouse, compiled    .NAME.partial: a tree on its way; its receiver holds the lock in it
    snapshots, engines, compiled       .NAME.removed: a tree on its way out
    wheelhouse                         NAME: packages that came for one installation, which removes them at its end
    engines                            NAME without its stamp, .NAME.anew, .cache: an installation
    compiled, compiling                .PROGRAM.partial, .new, .former: a copy of what a replica compiled
    bin                                .library-*, hostside-*.*: a library or a host's side that is being unpacked

The deployment lock keeps other commands away while this is removed. A process that works without it shows by the lock
in its tree, or by changes within the last minute. Whether a later command could go on with what is there is for the ops
machine to know.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from collections import Counter
from collections.abc import Iterator

import deployment_lock
import seals
from directory import NotSafe, is_locked, require_own
from wire import Document

TRANSFER, REMOVAL, PACKAGES = "transfer", "removal", "packages"
INSTALLATION, COPY = "installation", "copy"
# Seconds after its last change in which something may still be written.
QUIET = 60.0
_NAME = r"[A-Za-z0-9][A-Za-z0-9._+-]*"
# Directory below the root -> patterns of names, each with what the name stands for. The first one that fits counts.
_KINDS = {
    "snapshots": ((rf"\.({_NAME})\.partial", TRANSFER), (rf"\.({_NAME})\.removed", REMOVAL)),
    "wheelhouse": ((rf"\.({_NAME})\.partial", TRANSFER), (rf"({_NAME})", PACKAGES)),
    "engines": (
        (rf"\.({_NAME})\.removed", REMOVAL),
        (rf"\.({_NAME})\.anew", INSTALLATION),
        (r"\.cache()", INSTALLATION),
        (rf"({_NAME})", INSTALLATION),
    ),
    "compiled": ((rf"\.({_NAME})\.partial", TRANSFER), (rf"\.({_NAME})\.removed", REMOVAL)),
    "compiling": ((rf"\.({_NAME})\.(?:new|former)", COPY),),
    "bin": ((r"\.library-.*()", COPY), (r"hostside-[0-9a-f]{16}\.[0-9A-Za-z]{6}()", COPY)),
}

Inode = tuple[int, int]


def find(root: str) -> Document:
    """Return {"leftovers": [{"path", "kind", "of", "bytes", "age", "busy"}...]}, `path` below the root.

    `of` is the snapshot, engine or program that it belongs to; `bytes` what its removal frees together with that of the
    others; `age` the seconds since it last changed; `busy` says in words why it must stay, empty where it need not.
    """
    seen = [(path, kind, of, *_walked(os.path.join(root, path))) for path, kind, of in _all(root)]
    # A file with a name outside of them stays; one with names in several of them is freed with the last.
    names = Counter(inode for *_, files in seen for inode, _, _ in files)
    told: set[Inode] = set()
    found = []
    for path, kind, of, changed, files in seen:
        size = 0
        for inode, links, there in files:
            if inode not in told and links <= names[inode]:
                told.add(inode)
                size += there
        age = time.time() - changed
        busy = _busy(os.path.join(root, path), kind, age)
        entry = {"path": path, "kind": kind, "of": of, "bytes": size, "busy": busy}
        found.append({**entry, "age": max(0.0, age)})
    return {"leftovers": found}


def remove(root: str, paths: list[str], holder: str) -> Document:
    """Remove those of `paths` that are leftovers; return {"freed": bytes, "kept": {path: why}}.

    `holder` is the token of the deployment lock, which the caller must hold.
    """
    deployment_lock.require(root, holder)
    freed, kept = 0, {}
    for each in find(root)["leftovers"]:
        path = each["path"]
        if path not in paths:
            continue
        why = each["busy"] or _removed(os.path.join(root, path))
        if why:
            kept[path] = why
            continue
        freed += each["bytes"]
        kind = path.split("/")[0]
        if each["of"] and not os.path.lexists(os.path.join(root, kind, each["of"])):
            seals.remove(root, f"{kind}-{each['of']}")
    return {"freed": freed, "kept": kept}


def _all(root: str) -> Iterator[tuple[str, str, str]]:
    """Yield path, kind and owner of each leftover."""
    for directory, patterns in _KINDS.items():
        for name in _directories(os.path.join(root, directory)):
            matches = ((re.fullmatch(pattern, name), kind) for pattern, kind in patterns)
            found, kind = next((each for each in matches if each[0]), (None, ""))
            place = os.path.join(root, directory, name)
            if found and not _is_whole_engine(place, directory, name):
                yield f"{directory}/{name}", kind, found.group(1)


def _directories(place: str) -> list[str]:
    """Return the names of the directories in `place`, without links; none where it cannot be read."""
    try:
        names = sorted(os.listdir(place))
    except OSError:
        return []
    paths = ((name, os.path.join(place, name)) for name in names)
    return [name for name, path in paths if os.path.isdir(path) and not os.path.islink(path)]


def _is_whole_engine(place: str, directory: str, name: str) -> bool:
    if directory != "engines" or name.startswith("."):
        return False
    try:
        os.stat(os.path.join(place, ".complete"))
    except FileNotFoundError:
        return False
    except OSError:
        # The disk does not tell, and an engine that may be whole is no leftover.
        return True
    return True


def _walked(top: str) -> tuple[float, list[tuple[Inode, int, int]]]:
    """Return when a tree last changed, and inode, number of names and bytes of each name of a file in it."""
    changed, files = 0.0, []
    for folder, _, names in os.walk(top):
        for path in (folder, *(os.path.join(folder, name) for name in names)):
            with contextlib.suppress(OSError):
                seen = os.lstat(path)
                changed = max(changed, seen.st_mtime)
                if path != folder:
                    files.append(((seen.st_dev, seen.st_ino), seen.st_nlink, seen.st_size))
    return changed, files


def _busy(place: str, kind: str, age: float) -> str:
    if kind == REMOVAL:
        return ""
    if kind == TRANSFER and _is_locked(os.path.join(place, "lock")):
        return "a transfer is running"
    # A time in the future is from before the clock was set back.
    return "it is still changing" if abs(age) < QUIET else ""


def _is_locked(path: str) -> bool:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        return is_locked(handle)
    finally:
        os.close(handle)


def _removed(place: str) -> str:
    """Remove a tree; return in words why a part of it is still there, empty where none is."""
    try:
        require_own(os.path.dirname(place))
    except NotSafe as error:
        return str(error)
    shutil.rmtree(place, ignore_errors=True)
    return "a part of it cannot be removed" if os.path.lexists(place) else ""
