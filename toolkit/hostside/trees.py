"""Trees of files on this host (snapshots, wheelhouses, what engines have compiled): survey, check and publish them.

    <root>/<kind>/<name>                       a complete tree; it appears by one rename
    <root>/<kind>/.digests/<name>.json         path -> [size, sha256] of a tree, so that other trees can link its files
    <root>/<kind>/.<name>.partial/checked/     files whose sha256 this host has verified
    <root>/<kind>/.<name>.partial/incoming/    files on their way, each from its start
    <root>/<kind>/.<name>.partial/swarm/       files on their way in pieces

The dot-directory survives an interrupted run: the next run uses what is right in it and replaces the rest.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import IO

import seals
from directory import Directory, lock_file, make_own, open_plain, permit, read_text, take_lock
from documents import digests
from swarm_library import libraries
from wire import Document, Report

KINDS = ("snapshots", "wheelhouse", "compiled")
# Bytes that must stay free, for the file system and for other writes while a tree arrives.
SPARE = 64 * 2**20
_CHUNK = 2**20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


@dataclass(frozen=True)
class File:
    """A wanted file; `path` is relative to the tree, `size` in bytes."""

    path: str
    size: int
    sha256: str


class Arrival:
    """A tree on its way to this host; raises ValueError where a name in the request leads out of it."""

    def __init__(self, request: Document) -> None:
        kind, name = request["kind"], request["name"]
        if kind not in KINDS or not _NAME.fullmatch(name):
            raise ValueError(f"{kind}/{name} is not the name of a tree")
        self.files = [File(*each) for each in request["files"]]
        for file in self.files:
            parts = file.path.split("/")
            if "" in parts or "." in parts or ".." in parts or "\0" in file.path:
                raise ValueError(f"{file.path!r} does not lie in a tree")
        self.root, self.kind, self.name = request["root"], kind, name
        self.parent = os.path.join(self.root, kind)
        self.final = os.path.join(self.parent, name)
        self.staging = os.path.join(self.parent, f".{name}.partial")
        self.checked = os.path.join(self.staging, "checked")
        self.incoming = os.path.join(self.staging, "incoming")
        self.swarm = os.path.join(self.staging, "swarm")
        self.digests = os.path.join(self.parent, ".digests")

    def missing(self) -> list[File]:
        """Return the files that are not among the checked ones."""
        return [f for f in self.files if not os.path.exists(os.path.join(self.checked, f.path))]

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Make and lock the staging directory; raises ValueError while another process holds it."""
        make_own(self.root, self.kind, f".{self.name}.partial")
        with open(lock_file(os.path.join(self.staging, "lock")), "w") as lock:
            if not take_lock(lock.fileno(), 0.05):
                raise ValueError(f"another command is bringing {self.name} to this host")
            yield


def survey(request: Document, report: Report) -> Document:
    """Report which files of a tree this host lacks, after linking those that its other trees have.

    Result: {"present": True}, or {"missing": [path...], "arrived": {path: bytes}, "incoming": directory,
    "swarm": whether a swarm has left pieces, "rsync": whether it is installed, "python": "3.11", "machine": ...,
    "libraries": [name...]}.
    Raises ValueError where the disk has no room for the rest, also once these pieces are gone.
    """
    tree = Arrival(request)
    if os.path.isdir(tree.final):
        permit(tree.final)
        return {"present": True}
    with tree.locked():
        _recheck(tree, report)
        _link_shared(tree, report)
        missing = tree.missing()
        arrived = {}
        for file in missing:
            with contextlib.suppress(OSError):
                arrived[file.path] = os.stat(os.path.join(tree.incoming, file.path)).st_size
        require_room(tree, missing, tree.incoming, freed=_own_bytes(tree.swarm))
    return {
        "missing": [file.path for file in missing],
        "arrived": arrived,
        "incoming": tree.incoming,
        "swarm": os.path.isdir(tree.swarm),
        "rsync": shutil.which("rsync") is not None,
        "python": f"{sys.version_info[0]}.{sys.version_info[1]}",
        "machine": os.uname().machine,
        "libraries": libraries(request["root"]),
    }


def drop_swarm(request: Document, report: Report) -> Document:
    """Remove the pieces that a swarm has left: what comes another way needs their room."""
    tree = Arrival(request)
    with tree.locked():
        shutil.rmtree(tree.swarm, ignore_errors=True)
    return {}


def finish(request: Document, report: Report) -> Document:
    """Check the files in `incoming` and publish the tree. Result: {"wrong": [path...]}.

    Wrong files are removed, and the tree is published only without any.
    """
    tree = Arrival(request)
    with tree.locked():
        wrong = accept(tree, tree.incoming, report)
        if not wrong:
            publish(tree)
    return {"wrong": wrong}


def accept(tree: Arrival, source: str, report: Report) -> list[str]:
    """Move the missing files of `tree` from the directory `source` to the checked files.

    Returns the paths of absent and of wrong files; the latter are removed.
    """

    def take(file: File) -> str:
        path = os.path.join(source, file.path)
        if not is_right(path, file):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            return file.path
        keep(tree, path, file)
        report({"checked": file.path, "bytes": file.size})
        return ""

    with ThreadPoolExecutor(_workers()) as pool:
        return [path for path in pool.map(take, tree.missing()) if path]


def keep(tree: Arrival, path: str, file: File) -> None:
    """Move a verified file to the checked files."""
    os.rename(path, _settled(tree, path, file))


def link(tree: Arrival, path: str, file: File) -> None:
    """Link a verified file into the checked files."""
    os.link(path, _settled(tree, path, file))


def publish(tree: Arrival) -> None:
    """Make the tree appear. All its files must be checked."""
    with Directory(make_own(tree.root, tree.kind, ".digests")) as digests:
        listed = {each.path: [each.size, each.sha256] for each in tree.files}
        digests.write(f"{tree.name}.json", json.dumps(listed))
    permit(tree.checked)
    os.rename(tree.checked, tree.final)
    handle = os.open(tree.parent, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)
    shutil.rmtree(tree.staging)
    if tree.kind in ("snapshots", "compiled"):
        # After the removal, which takes a name from each file and so renews a time of it.
        known = {}
        for each in tree.files:
            there = os.stat(os.path.join(tree.final, each.path))
            known[each.path] = [*seals.state(there), each.sha256]
        seals.write(tree.root, f"{tree.kind}-{tree.name}", known)


def is_right(path: str, file: File) -> bool:
    """Whether the file at `path` has the size and the sha256 of `file`; reads it from the disk."""
    try:
        if os.stat(path).st_size != file.size:
            return False
        summary = hashlib.sha256()
        with open(open_plain(path), "rb", buffering=0) as opened:
            digest_into(summary, opened)
    except OSError:
        return False
    return summary.hexdigest() == file.sha256


def digest_into(summary: hashlib._Hash, file: IO[bytes]) -> None:
    """Add the bytes from the file's position to its end to `summary`."""
    buffer = bytearray(_CHUNK)
    view = memoryview(buffer)
    while True:
        count = file.readinto(buffer)  # type: ignore[attr-defined]
        if not count:
            return
        summary.update(view[:count])


def _settled(tree: Arrival, path: str, file: File) -> str:
    """Sync the file at `path` to the disk; return its path among the checked files."""
    target = os.path.join(tree.checked, file.path)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    os.chmod(path, 0o444)
    with open(path, "rb") as written:
        os.fsync(written.fileno())
    return target


def _recheck(tree: Arrival, report: Report) -> None:
    """Remove checked files of an interrupted run that are not wanted or that a power cut has damaged."""

    def check(file: File) -> None:
        path = os.path.join(tree.checked, file.path)
        if os.path.lexists(path) and not is_right(path, file):
            os.unlink(path)
        report({"checked": file.path})

    os.makedirs(tree.checked, exist_ok=True)
    wanted = {file.path for file in tree.files}
    for folder, _, names in os.walk(tree.checked):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.relpath(path, tree.checked) not in wanted:
                os.unlink(path)
    with ThreadPoolExecutor(_workers()) as pool:
        list(pool.map(check, tree.files))


def _link_shared(tree: Arrival, report: Report) -> None:
    """Hard-link missing files from other trees of this kind. Hash them first, because they may have changed."""
    known = _index(tree)

    def link(file: File) -> None:
        source = known.get((file.size, file.sha256), "")
        if not source or not is_right(source, file):
            return
        target = os.path.join(tree.checked, file.path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        try:
            os.link(source, target)
        except OSError as error:
            # Too many links, or a file system without links: the ops machine sends the file.
            if error.errno not in (errno.EMLINK, errno.EPERM, errno.EOPNOTSUPP):
                raise
        else:
            report({"shared": file.path, "bytes": file.size})

    with ThreadPoolExecutor(_workers()) as pool:
        list(pool.map(link, tree.missing()))


def _index(tree: Arrival) -> dict[tuple[int, str], str]:
    known: dict[tuple[int, str], str] = {}
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(tree.digests):
            index, top = os.path.join(tree.digests, name), os.path.join(tree.parent, name[:-5])
            if not name.endswith(".json"):
                continue
            if not os.path.isdir(top):
                os.unlink(index)
                continue
            for path, (size, sha256) in digests(read_text(index)).items():
                known[size, sha256] = os.path.join(top, path)
    return known


def require_room(tree: Arrival, missing: list[File], directory: str, *, freed: int = 0) -> None:
    """Raise ValueError where the disk has no room for the `missing` files in `directory`, where they are written.

    What is there already of each needs no room again; `freed` bytes are free once the writing begins.
    """
    disk = os.statvfs(tree.staging)
    free = disk.f_bavail * disk.f_frsize + freed
    needed = SPARE
    for file in missing:
        needed += max(0, file.size - _own_size(os.path.join(directory, file.path)))
    if missing and needed > free:
        raise ValueError(
            f"no room in {tree.parent}: {needed / 1e9:.1f} GB needed, {free / 1e9:.1f} GB free"
        )


def _own_bytes(directory: str) -> int:
    """Return the bytes that the removal of the directory frees."""
    return sum(
        _own_size(os.path.join(folder, name))
        for folder, _, names in os.walk(directory)
        for name in names
    )


def _own_size(path: str) -> int:
    """Return the bytes on the disk of a file without another name; 0 where there is no file."""
    try:
        there = os.lstat(path)
    except OSError:
        return 0
    # One that is linked to the checked files is neither written nor freed.
    return there.st_blocks * 512 if there.st_nlink == 1 else 0


def _workers() -> int:
    return min(4, os.cpu_count() or 1)
