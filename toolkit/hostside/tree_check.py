"""Compare the files of a snapshot or an engine on this host with what was put there.

A snapshot is named by the digest of its files, so nothing else is needed to know whether they are right. An engine has
no such name: its files are compared with the digests that were taken right after its installation.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Iterator
from typing import Any

import seals
from directory import open_plain, permit, read_text
from documents import digests
from snapshots import tree_name
from wire import Document, Report

_HASHERS = 4
_DIGEST = re.compile("[0-9a-f]{64}")
# Each environment of Python has this link to its own directory. Seals of older toolkits lack links to directories.
_OWN_LINK = ("lib64", "lib")


def hash_files(request: Document, report: Report) -> Document:
    """Hash a snapshot. Result: {"files": {path: {"size", "sha256"}}, "faults": {path: words}}.

    `faults` has wrong owners, permissions and kinds of files and directories, by their path in the snapshot.
    """
    tree = _Tree(request["root"], "snapshots", request["digest"])
    tree.read(report, trusting=False)
    tree.seal()
    return {"files": tree.files, "faults": tree.faults}


def check(request: Document, report: Report) -> Document:
    """Look whether a snapshot may be served. Result: {"faults": [words...], "hashed": bytes}.

    Files that have not changed since they were hashed are not hashed again.
    """
    tree = _Tree(request["root"], "snapshots", request["digest"])
    if not os.path.isdir(tree.top):
        return {"faults": ["it is not there"], "hashed": 0}
    # An older toolkit, run with a narrow umask, may have closed it. A file whose permissions change is hashed again.
    permit(tree.top)
    hashed = tree.read(report, trusting=True)
    tree.seal()
    faults = [f"{path}: {words}" for path, words in sorted(tree.faults.items())]
    return {"faults": faults + _wrong_files(tree, request["digest"]), "hashed": hashed}


def wrong_files(root: str, digest: str) -> list[str]:
    """Return in words the files of a snapshot that have another content than was put there.

    Files that have not changed since they were hashed are not hashed again.
    """
    tree = _Tree(root, "snapshots", digest)
    tree.read(lambda _: None, trusting=True)
    tree.seal()
    return _wrong_files(tree, digest)


def wrong_tree(root: str, kind: str, name: str) -> list[str]:
    """Return in words what is wrong with a tree whose name ends with the digest of its files: content, owner, modes."""
    tree = _Tree(root, kind, name)
    tree.read(lambda _: None, trusting=True)
    tree.seal()
    faults = [f"{path}: {words}" for path, words in sorted(tree.faults.items())]
    if digest_of(tree.files) != name.rpartition(".")[2]:
        faults.append("its files do not have the digest that it is named by")
    return faults


def seal_engine(request: Document, report: Report) -> Document:
    """Note the digests of an engine's files, right after its installation. Result: {"files": count}."""
    root, name = request["root"], tree_name(request["name"])
    seal = engine_seal(root, name, os.path.join(root, "engines", name), report)
    keep_engine_seal(root, name, seal)
    return {"files": len(seal)}


def engine_seal(root: str, name: str, top: str, report: Report) -> Document:
    """Return the digests of the files of the engine `name` as it lies at `top`."""
    # The installer leaves a lock that every user may write to.
    permit(top)
    tree = _Tree(root, "engines", name, top)
    tree.read(report, trusting=False)
    return tree.states


def keep_engine_seal(root: str, name: str, seal: Document) -> None:
    """Write down the digests of an engine that was just installed."""
    if seal:
        seals.write(root, f"engines-{name}", seal)


def check_engine(request: Document, report: Report) -> Document:
    """Compare an engine with its seal. Result: {"sealed", "faults": [words...], "files": count, "bytes": hashed}.

    An engine has 50,000 files, so those that have not changed since are not hashed again. Without a seal there is
    nothing to compare with, and `sealed` is false.
    """
    tree = _Tree(request["root"], "engines", request["name"])
    known = tree.known
    if not known:
        # One that is there says nothing where it cannot be read, and today's digests are no proof in its place.
        lost = os.path.lexists(seals.path(request["root"], tree.seal_name))
        faults = ["the digests of its installation cannot be read"] if lost else []
        return {"sealed": lost, "faults": faults, "files": 0, "bytes": 0}
    size, found = tree.read(report, trusting=True), tree.faults
    for path in known.keys() | tree.files.keys():
        if path not in tree.files:
            found[path] = "missing"
        elif path not in known:
            if (path, tree.files[path]["sha256"]) != _OWN_LINK:
                found[path] = "was not installed with it"
        elif known[path][-1:] != [tree.files[path]["sha256"]]:
            found[path] = "was changed"
    return {
        "sealed": True,
        "faults": [f"{path}: {words}" for path, words in sorted(found.items())],
        "files": len(tree.files),
        "bytes": size,
    }


def _wrong_files(tree: _Tree, digest: str) -> list[str]:
    """Return the files that are not the snapshot's, by name where a list of its files came with them."""
    # The names of tests' snapshots are no digests.
    if not _DIGEST.fullmatch(digest) or digest_of(tree.files) == digest:
        return []
    listing = os.path.join(os.path.dirname(tree.top), ".digests", f"{digest}.json")
    listed = digests(read_text(listing))
    wrong = [
        f"{path}: not what was pinned" if path in tree.files else f"{path}: missing"
        for path, (_, sha256) in sorted(listed.items())
        if tree.files.get(path, {}).get("sha256") != sha256
    ]
    return wrong or ["its files do not have the digest that it is named by"]


def digest_of(files: dict[str, Document]) -> str:
    """Return the digest over a tree's files, as `digest_of_files` does on the ops machine."""
    return seals.summary_of({path: [each["sha256"]] for path, each in files.items()})


class _Tree:
    """The files of a tree as they are: `files` is path -> {"size", "sha256"}, `faults` path -> words.

    `states` is path -> what its seal notes of a file, without those that changed while they were read.
    """

    def __init__(self, root: str, kind: str, name: str, top: str = "") -> None:
        """`top` is where it lies, if not in its own place."""
        self.root, self.seal_name = root, f"{kind}-{tree_name(name)}"
        self.top = top or os.path.join(root, kind, name)
        self._is_engine = kind == "engines"
        self.known: dict[str, list[Any]] = seals.read(root, self.seal_name)
        self.files: dict[str, Document] = {}
        self.faults: dict[str, str] = {}
        self.states: dict[str, list[Any]] = {}
        self._guard = threading.Lock()

    def read(self, report: Report, *, trusting: bool) -> int:
        """Read all files; return how many bytes were hashed. With `trusting`, unchanged files keep their digests."""
        paths, hashed = list(self._walk()), [0]

        def work() -> None:
            while True:
                with self._guard:
                    if not paths:
                        return
                    path = paths.pop()
                count = self._read(path, trusting)
                with self._guard:
                    hashed[0] += count
                    report({"file": path, "bytes": self.files[path]["size"]})

        workers = [threading.Thread(target=work) for _ in range(min(_HASHERS, os.cpu_count() or 1))]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return hashed[0]

    def seal(self) -> None:
        """Note the digests with what shows a change of a file."""
        if self.states != self.known and os.path.isdir(self.top):
            seals.write(self.root, self.seal_name, self.states)

    def _walk(self) -> Iterator[str]:
        """Yield the path of each file and each link in the tree, and note faults of directories."""
        for folder, below, names in os.walk(self.top):
            with contextlib.suppress(OSError):
                if words := seals.fault(os.lstat(folder), readable=True):
                    self.faults[os.path.relpath(folder, self.top)] = words
            # os.walk lists a link to a directory among the directories and does not enter it.
            links = [name for name in below if os.path.islink(os.path.join(folder, name))]
            for name in links + names:
                yield os.path.relpath(os.path.join(folder, name), self.top)

    def _read(self, path: str, trusting: bool) -> int:
        entry: Document = {"size": 0, "sha256": ""}
        try:
            with open(open_plain(os.path.join(self.top, path)), "rb", buffering=0) as file:
                before = os.fstat(file.fileno())
                entry["size"], known = before.st_size, self.known.get(path)
                same = known is not None and known[:-1] == seals.state(before)
                # A package may bring a file that is for root alone, which no replica reads.
                if words := seals.fault(before, readable=not (self._is_engine and same)):
                    self.faults[path] = words
                if trusting and known and same:
                    entry["sha256"], self.states[path] = known[-1], known
                    return 0
                summary = seals.summary(file)
                entry["sha256"] = summary
                if seals.state(os.fstat(file.fileno())) == seals.state(before):
                    self.states[path] = [*seals.state(before), summary]
                return before.st_size
        except OSError as error:
            entry["sha256"] = self._unread(path, error)
            return 0
        finally:
            self.files[path] = entry

    def _unread(self, path: str, error: OSError) -> str:
        """Note that a file cannot be read; return the target of a link, which an engine may have."""
        full = os.path.join(self.top, path)
        if self._is_engine and os.path.islink(full):
            self.states[path] = [os.readlink(full)]
            return os.readlink(full)
        self.faults[path] = error.strerror or "it is no regular file"
        return ""
