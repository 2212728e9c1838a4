"""The store of the ops machine: verified snapshots, and the files of unfinished pulls.

    blobs/<sha256>                        every file once, mode 0444
    snapshots/<owner--name>/<revision>/   manifest.json, files/... (hard links to blobs)
    partial/<sha256>/data                 the beginning of a file; the next pull resumes it
    staging/<random>/                     a snapshot that is being put together
    quarantine/                           files whose bytes did not match their pins

A snapshot appears by one rename, complete. A process that works in a directory of `partial` or `staging` holds its
lock (flock). A directory without a lock was left by a killed process.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from toolkit.adapters.disk import FULL, room
from toolkit.adapters.store.files import entries, locked, modified, remove_if_abandoned, size_of
from toolkit.adapters.store.hashing import difference, digest_file
from toolkit.adapters.store.manifest import MANIFEST, StoredSnapshot, read_manifest, snapshot_path
from toolkit.adapters.store.staging import Staging
from toolkit.domain.files.snapshot import FileDigest, Snapshot

KEEP = 7 * 24 * 3600.0
_IN_THE_WAY = (errno.ENOTEMPTY, errno.EEXIST)


@dataclass(frozen=True, slots=True)
class PullRemains:
    """The remains of a pull at `path`, `size` bytes; `kind` names them for people."""

    kind: str
    path: Path
    size: int


class Store:
    """All snapshots under `root`. The first write makes the directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.blobs = root / "blobs"
        self.snapshots = root / "snapshots"
        self.partial = root / "partial"
        self.staging = root / "staging"
        self.quarantined = root / "quarantine"

    def has(self, snapshot: Snapshot) -> bool:
        """Whether the snapshot is complete, by its manifest and the sizes of its files; nothing is hashed.

        The sizes matter because a power cut may truncate files after the manifest was written.
        """
        stored = self.find(snapshot.source, snapshot.revision)
        if stored is None or stored.snapshot.digest != snapshot.digest:
            return False
        return all(size_of(stored.path / file.path) == file.size for file in snapshot.files)

    def path(self, snapshot: Snapshot) -> Path:
        """Return the directory of the snapshot's files, stored or not."""
        return self._home_of(snapshot) / "files"

    def find(self, source: str, revision: str) -> StoredSnapshot | None:
        """Return the stored snapshot of a repository at a revision, or None."""
        stored = read_manifest(self.snapshots / snapshot_path(source, revision))
        return stored if stored is not None and stored.source == source else None

    def list(self) -> tuple[StoredSnapshot, ...]:
        """Return all snapshots, ordered by source and by the time of their pull."""
        found = (read_manifest(each.parent) for each in self.snapshots.glob(f"*/*/{MANIFEST}"))
        stored = (each for each in found if each is not None)
        return tuple(sorted(stored, key=lambda each: (each.source, each.pulled_at)))

    def verify(
        self, snapshot: Snapshot, checked: Callable[[int], None] | None = None
    ) -> tuple[str, ...]:
        """Hash every file; return a line for each that differs from its pin.

        `checked` gets the number of bytes hashed, from several threads.
        """
        directory = self.path(snapshot)

        def compare(file: FileDigest) -> str:
            return _fault_of(directory / file.path, file, checked)

        with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as threads:
            return tuple(line for line in threads.map(compare, snapshot.files) if line)

    def withdraw(self, snapshot: Snapshot) -> tuple[Path, ...]:
        """Remove a snapshot that failed `verify`; return where its bad files went in the quarantine.

        Good files stay as blobs, so that the next pull fetches the bad ones alone.
        """
        moved: list[Path] = []
        for file in snapshot.files:
            blob = self.blobs / file.sha256
            if blob.exists() and _fault_of(blob, file):
                # Another command may have put it aside while this one read it.
                with suppress(FileNotFoundError):
                    moved.append(self.quarantine(file, blob))
        self._drop(self._home_of(snapshot))
        return tuple(moved)

    def remove(self, snapshot: Snapshot) -> int:
        """Remove the snapshot and the files that no other snapshot uses; return the bytes freed."""
        self._drop(self._home_of(snapshot))
        freed = 0
        for name in {file.sha256 for file in snapshot.files}:
            blob = self.blobs / name
            with suppress(FileNotFoundError):
                about = blob.stat()
                # A concurrent pull may link the blob after this check; its own link keeps the bytes.
                if about.st_nlink == 1:
                    blob.unlink()
                    freed += about.st_size
        return freed

    def sweep(self, now: float | None = None) -> int:
        """Remove the leftovers of dead processes; return their number. `now` is in seconds since the epoch.

        The beginning of a file stays for a week, because a pull can resume it, unless the whole file has come.
        Files in quarantine stay for a week as well.
        """
        now = time.time() if now is None else now
        removed = 0
        for wrong in entries(self.quarantined):
            if now - modified(wrong) > KEEP:
                wrong.unlink(missing_ok=True)
                removed += 1
        for directory in entries(self.staging):
            removed += remove_if_abandoned(directory, directory)
        for directory in entries(self.partial):
            data = directory / "data"
            old = now - modified(data if data.exists() else directory) > KEEP
            if old or not data.exists() or (self.blobs / directory.name).exists():
                removed += remove_if_abandoned(directory, directory)
            else:
                for litter in entries(directory):
                    removed += litter != data and remove_if_abandoned(directory, litter)
        return removed

    def leftovers(
        self, pinned: Collection[str] = (), *, full: bool, now: float | None = None
    ) -> tuple[PullRemains, ...]:
        """Return files of no snapshot; where the disk is `full`, also what `sweep` keeps for a while.

        A pull that was given up, or a bundle that had links to the files of a removed snapshot, leaves such files. They
        count after a week, at once where the disk is full. Files with a digest in `pinned` stay: a pull may go on.
        """
        found = [
            PullRemains("the unused file", blob, size_of(blob))
            for blob in self._orphans(pinned, now, full)
        ]
        if full:
            found += [
                PullRemains("the unfinished download", directory, size_of(directory / "data"))
                for directory in entries(self.partial)
            ]
            found += [
                PullRemains("the quarantined file", each, size_of(each))
                for each in entries(self.quarantined)
            ]
        return tuple(found)

    def clear(self, leftovers: Iterable[PullRemains]) -> int:
        """Remove leftovers, unless a living pull holds them; return the bytes freed."""
        freed = 0
        for each in leftovers:
            if each.path.is_dir():
                freed += max(each.size, 0) if remove_if_abandoned(each.path, each.path) else 0
            elif each.path.parent != self.blobs or _is_alone(each.path):
                each.path.unlink(missing_ok=True)
                freed += max(each.size, 0)
        return freed

    def _orphans(self, pinned: Collection[str], now: float | None, full: bool) -> Iterator[Path]:
        """Yield the files that no snapshot has, neither stored nor staged nor in a bundle."""
        needed = {file.sha256 for each in self.list() for file in each.snapshot.files}
        since = time.time() if now is None else now
        for blob in entries(self.blobs):
            if blob.name in needed or blob.name in pinned:
                continue
            with suppress(OSError):
                about = blob.stat()
                # A link that went changes the time of the status alone.
                old = since - max(about.st_mtime, about.st_ctime) > KEEP
                if about.st_nlink == 1 and (full or old):
                    yield blob

    def free_space(self) -> int:
        """Return the bytes that an ordinary user can still write to the store's file system."""
        return room(self.root).free

    def free_files(self) -> int | None:
        """Return the number of files that the store's file system still takes, None where it has no limit."""
        return room(self.root).files

    def has_blob(self, file: FileDigest) -> bool:
        """Whether the file's bytes are in the store, whatever snapshot they came with."""
        return size_of(self.blobs / file.sha256) == file.size

    def partial_size(self, file: FileDigest) -> int:
        """Return how many bytes of the file an interrupted pull has left."""
        return max(size_of(self.partial / file.sha256 / "data"), 0)

    @contextmanager
    def claim(self, file: FileDigest, waiting: Callable[[], None]) -> Iterator[Path | None]:
        """Hold the right to fetch a file; yields the path to write, or None if the store has the file by now.

        While another process fetches the same file, `waiting` is called five times a second.
        """
        directory = self.partial / file.sha256
        while True:
            if self.has_blob(file):
                yield None
                return
            with locked(directory) as mine:
                if mine and self.has_blob(file):
                    shutil.rmtree(directory, ignore_errors=True)
                elif mine:
                    try:
                        yield directory / "data"
                    finally:
                        if size_of(directory / "data") <= 0:
                            shutil.rmtree(directory, ignore_errors=True)
                    return
            if not mine:
                waiting()
                time.sleep(0.2)

    def quarantine(self, file: FileDigest, path: Path) -> Path:
        """Move the file at `path`, whose bytes are not those of `file`, to the quarantine; return its new path."""
        self.quarantined.mkdir(parents=True, exist_ok=True)
        name = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{file.sha256[:12]}"
        kept = self.quarantined / f"{name}-{secrets.token_hex(2)}-{Path(file.path).name}"
        path.rename(kept)
        return kept

    @contextmanager
    def stage(self, snapshot: Snapshot) -> Iterator[Staging]:
        """Yield a staging area for the snapshot. Without a commit, the end of the block removes it."""
        while True:
            directory = self.staging / secrets.token_hex(8)
            with locked(directory) as mine:
                if mine:
                    try:
                        publish = partial(self._publish, snapshot)
                        yield Staging(snapshot, directory, self.blobs, publish)
                    finally:
                        shutil.rmtree(directory, ignore_errors=True)
                    return

    def _home_of(self, snapshot: Snapshot) -> Path:
        """Return the directory of the snapshot's manifest and files."""
        return self.snapshots / snapshot_path(snapshot.source, snapshot.revision)

    def _publish(self, snapshot: Snapshot, staged: Path) -> Path:
        """Move the staged, verified snapshot to its home; return that."""
        home = self._home_of(snapshot)
        while True:
            home.parent.mkdir(parents=True, exist_ok=True)
            try:
                staged.rename(home)
            except OSError as error:
                if self.has(snapshot):
                    return home
                # The obstacle may have gone by now, and an empty directory above with it.
                passing = error.errno in _IN_THE_WAY or (
                    error.errno == errno.ENOENT and staged.exists()
                )
                if not passing and not home.exists():
                    raise
                # The directory there is incomplete or of another pin.
                self._drop(home)
                continue
            return home

    def _drop(self, directory: Path) -> None:
        """Rename a directory out of sight, then remove it, so that no reader sees half of it."""
        trash = self.staging / secrets.token_hex(8)
        try:
            self.staging.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):
                directory.rename(trash)
        except OSError as error:
            if error.errno not in FULL:
                raise
            # A full disk has no place for another name. Without its manifest the snapshot is none.
            (directory / MANIFEST).unlink(missing_ok=True)
            trash = directory
        shutil.rmtree(trash, ignore_errors=True)
        with suppress(OSError):
            directory.parent.rmdir()


def _is_alone(blob: Path) -> bool:
    """Whether a file of the store has no other link: a snapshot, a staged one or a bundle has one each."""
    try:
        return blob.stat().st_nlink == 1
    except OSError:
        return False


def _fault_of(path: Path, file: FileDigest, checked: Callable[[int], None] | None = None) -> str:
    """Return how the content at `path` differs from the pin of `file`, or why it cannot be read; empty otherwise."""
    try:
        found = digest_file(path, file.path, checked)
    except OSError as error:
        return f"{file.path}: {error.strerror}"
    return difference(file, found)
