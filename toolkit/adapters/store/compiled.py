"""The compiled trees that this ops machine keeps, for other hosts and for bundles.

    <home>/compiled/NAME/        the files of a tree
    <home>/compiled/NAME.json    {"engine": id of the engine lock}

    <home>/compiled/.RANDOM/     a tree that a command, which has locked the directory, is taking in

A tree is hashed whenever it is found: one that has changed is removed, and counts as none. Several commands may take in
the same tree at once.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from toolkit.adapters.store.files import locked, modified, remove_if_abandoned
from toolkit.adapters.store.hashing import digest_file
from toolkit.domain.engines.compiled import CompiledTree
from toolkit.errors import IntegrityError
from toolkit.regular import read_regular

_MOST_TREES = 64


@dataclass(frozen=True, slots=True)
class StoredTree:
    """A tree in a directory of this machine, and the engine lock that made it."""

    tree: CompiledTree
    directory: Path
    engine: str


class CompiledTrees:
    """The compiled trees below `home`."""

    def __init__(self, home: Path) -> None:
        self._top = home / "compiled"

    def find(self, kind: str) -> StoredTree | None:
        """Return the tree of a kind (WHAT.WHERE), or None."""
        return next(iter(self._all(f"{kind}.*.json")), None)

    def of_engines(self, engines: Iterable[str]) -> tuple[StoredTree, ...]:
        """Return the trees that engines with these locks have compiled."""
        wanted = set(engines)
        return tuple(each for each in self._all("*.json") if each.engine in wanted)

    def has(self, name: str) -> bool:
        """Whether a tree of this name is here."""
        return (self._top / f"{name}.json").is_file()

    def take_in(self, tree: CompiledTree, engine: str, data: Iterable[bytes]) -> StoredTree:
        """Keep a tree whose files' bytes are `data`, one file after the other.

        Raises IntegrityError where they are not those of its digests; then nothing is kept.
        """
        if words := tree.fault():
            raise _refused(tree, words)
        place = self._top / tree.name
        with self._workplace() as fresh:
            _write(tree, fresh, data)
            with self._alone():
                shutil.rmtree(place, ignore_errors=True)
                fresh.rename(place)
                note = json.dumps({"engine": engine}) + "\n"
                (self._top / f"{tree.name}.json").write_text(note)
                self._bound()
        return StoredTree(tree, place, engine)

    def _all(self, pattern: str) -> Iterable[StoredTree]:
        for note in sorted(self._top.glob(pattern)):
            name = note.name.removesuffix(".json")
            if stored := self._read(name) or self._settled(name):
                yield stored

    def _read(self, name: str) -> StoredTree | None:
        """Return the tree of this name if it is whole."""
        directory = self._top / name
        try:
            paths = sorted(each for each in directory.rglob("*") if each.is_file())
            digests = (digest_file(each, each.relative_to(directory).as_posix()) for each in paths)
            tree = CompiledTree(name, tuple(digests))
            engine = str(json.loads(read_regular(self._top / f"{name}.json"))["engine"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        return StoredTree(tree, directory, engine) if engine and not tree.fault() else None

    def _settled(self, name: str) -> StoredTree | None:
        """Read a tree while no other command puts it there, and remove it if it is not whole even then."""
        with self._alone():
            stored = self._read(name)
            if stored is None:
                self._remove(name)
            return stored

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the lock under which trees appear and go."""
        handle = os.open(self._top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    @contextmanager
    def _workplace(self) -> Iterator[Path]:
        """Yield an empty directory of this command alone; those of killed commands go."""
        for each in self._top.glob(".*"):
            if each.is_dir():
                remove_if_abandoned(each, each)
        while True:
            fresh = self._top / f".{secrets.token_hex(8)}"
            with locked(fresh) as mine:
                # Another command may take the directory for an abandoned one before it is locked.
                if not mine:
                    continue
                try:
                    yield fresh
                finally:
                    shutil.rmtree(fresh, ignore_errors=True)
                return

    def _bound(self) -> None:
        """Remove the oldest trees beyond the number that is kept."""
        # A note that another command has just removed counts as the oldest.
        notes = sorted(self._top.glob("*.json"), key=modified)
        for note in notes[:-_MOST_TREES]:
            self._remove(note.name.removesuffix(".json"))

    def _remove(self, name: str) -> None:
        (self._top / f"{name}.json").unlink(missing_ok=True)
        shutil.rmtree(self._top / name, ignore_errors=True)


def _write(tree: CompiledTree, directory: Path, data: Iterable[bytes]) -> None:
    """Write the tree's files. Raises IntegrityError where the data is not theirs."""
    stream = _Stream(data)
    for file in tree.files:
        target = directory / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        summary, left = hashlib.sha256(), file.size
        with target.open("xb") as opened:
            while left and (part := stream.read(left)):
                summary.update(part)
                opened.write(part)
                left -= len(part)
        if left or summary.hexdigest() != file.sha256:
            raise _refused(tree, f"{file.path} is not what its digest says")


class _Stream:
    """Bytes that come in parts, read in other parts."""

    def __init__(self, data: Iterable[bytes]) -> None:
        self._data, self._rest = iter(data), b""

    def read(self, most: int) -> bytes:
        """Return up to `most` of the next bytes; none at the end."""
        while not self._rest:
            part = next(self._data, None)
            if part is None:
                return b""
            self._rest = part
        found, self._rest = self._rest[:most], self._rest[most:]
        return found


def _refused(tree: CompiledTree, words: str) -> IntegrityError:
    return IntegrityError(
        f"the compiled tree {tree.name[:33]} is not kept: {words}",
        hint="the next start compiles anew",
    )
