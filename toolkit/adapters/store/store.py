"""The store of the ops machine: verified snapshots, and everything on the way to one.

    blobs/<sha256>                        every file once, mode 0444
    snapshots/<owner--name>/<revision>/   manifest.json, files/... (hard links to blobs)
    partial/<sha256>/data                 the beginning of a file, resumed by the next pull
    staging/<random>/                     a snapshot that is being put together
    quarantine/                           files whose bytes were not those pinned

A snapshot appears by one rename, complete. Whoever works in a directory of `partial` or `staging`
holds its lock (flock), so what a killed process left is told from what a living one uses.
"""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from toolkit.adapters.store.files import entries, locked, modified, remove_if_abandoned, size_of
from toolkit.adapters.store.hashing import difference, digest_file
from toolkit.adapters.store.manifest import (
    MANIFEST,
    StoredSnapshot,
    read_manifest,
    snapshot_place,
)
from toolkit.adapters.store.staging import Staging
from toolkit.domain.snapshot import FileDigest, Snapshot

KEEP = 7 * 24 * 3600.0


class Store:
    """All snapshots under `root`, which is made when first written to."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.blobs = root / "blobs"
        self.snapshots = root / "snapshots"
        self.partial = root / "partial"
        self.staging = root / "staging"
        self.quarantined = root / "quarantine"

    def has(self, snapshot: Snapshot) -> bool:
        """Whether the snapshot is there, by its manifest and the files' sizes; nothing is hashed.

        Sizes are looked at because a power cut may leave files short that a manifest vouches for.
        """
        stored = self.find(snapshot.source, snapshot.revision)
        if stored is None or stored.snapshot.digest != snapshot.digest:
            return False
        return all(size_of(stored.path / file.path) == file.size for file in snapshot.files)

    def path(self, snapshot: Snapshot) -> Path:
        """Return the directory that holds (or will hold) the snapshot's files."""
        return self.place_of(snapshot.source, snapshot.revision) / "files"

    def find(self, source: str, revision: str) -> StoredSnapshot | None:
        """Return the snapshot of a repository at a revision, if it is there."""
        stored = read_manifest(self.place_of(source, revision))
        return stored if stored is not None and stored.source == source else None

    def list(self) -> tuple[StoredSnapshot, ...]:
        """Return all snapshots, ordered by source, the latest pulled last."""
        found = (read_manifest(each.parent) for each in self.snapshots.glob(f"*/*/{MANIFEST}"))
        stored = (each for each in found if each is not None)
        return tuple(sorted(stored, key=lambda each: (each.source, each.pulled_at)))

    def verify(
        self, snapshot: Snapshot, checked: Callable[[int], None] | None = None
    ) -> tuple[str, ...]:
        """Hash every file again, in threads, and say what differs, a line per file; () is good.

        `checked` gets the bytes hashed, from several threads.
        """
        place = self.path(snapshot)

        def compare(file: FileDigest) -> str:
            try:
                found = digest_file(place / file.path, file.path, checked)
            except OSError as error:
                return f"{file.path}: {error.strerror}"
            return difference(file, found)

        with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as threads:
            return tuple(line for line in threads.map(compare, snapshot.files) if line)

    def withdraw(self, snapshot: Snapshot) -> tuple[Path, ...]:
        """Make a snapshot unusable that `verify` found wrong; return where its bad files went.

        Good files stay as blobs, so that the next pull fetches the bad ones alone.
        """
        moved: list[Path] = []
        for file in snapshot.files:
            blob = self.blobs / file.sha256
            if blob.exists() and difference(file, digest_file(blob, file.path)):
                moved.append(self._move_to_quarantine(blob, file))
        self.drop(self.place_of(snapshot.source, snapshot.revision))
        return tuple(moved)

    def remove(self, snapshot: Snapshot) -> int:
        """Remove the snapshot and the files nothing else uses; return the bytes that became free."""
        self.drop(self.place_of(snapshot.source, snapshot.revision))
        return self._drop_unused_blobs({file.sha256 for file in snapshot.files})

    def sweep(self, now: float | None = None) -> int:
        """Remove what dead processes left; return how many things went.

        Beginnings of files stay, since a pull can go on with them, unless a week old or finished.
        What was put aside as wrong stays as long. `now` is in epoch seconds.
        """
        now = time.time() if now is None else now
        removed = 0
        for wrong in entries(self.quarantined):
            if now - modified(wrong) > KEEP:
                wrong.unlink(missing_ok=True)
                removed += 1
        for place in entries(self.staging):
            removed += remove_if_abandoned(place, place)
        for place in entries(self.partial):
            data = place / "data"
            old = now - modified(data if data.exists() else place) > KEEP
            if old or not data.exists() or (self.blobs / place.name).exists():
                removed += remove_if_abandoned(place, place)
            else:
                for litter in entries(place):
                    removed += litter != data and remove_if_abandoned(place, litter)
        return removed

    def free_space(self) -> int:
        """Return the bytes an ordinary user can still write here."""
        place = self.root
        while not place.exists():
            place = place.parent
        return shutil.disk_usage(place).free

    def has_blob(self, file: FileDigest) -> bool:
        """Whether the file's bytes are there, from whichever snapshot."""
        return size_of(self.blobs / file.sha256) == file.size

    def partial_size(self, file: FileDigest) -> int:
        """Return how many bytes of the file an earlier pull left."""
        return max(size_of(self.partial / file.sha256 / "data"), 0)

    @contextmanager
    def claim(self, file: FileDigest, waiting: Callable[[], None]) -> Iterator[Path | None]:
        """Hold the right to fetch a file: yields where to write it, or None if it is there by now.

        While another process fetches the same file, `waiting` is called five times a second.
        """
        place = self.partial / file.sha256
        while True:
            if self.has_blob(file):
                yield None
                return
            with locked(place) as mine:
                if mine and self.has_blob(file):
                    shutil.rmtree(place, ignore_errors=True)
                elif mine:
                    try:
                        yield place / "data"
                    finally:
                        if size_of(place / "data") <= 0:
                            shutil.rmtree(place, ignore_errors=True)
                    return
            if not mine:
                waiting()
                time.sleep(0.2)

    def quarantine(self, file: FileDigest, data: Path) -> Path:
        """Take the claimed file away, since its bytes are wrong; return where it lies."""
        return self._move_to_quarantine(data, file)

    @contextmanager
    def stage(self, snapshot: Snapshot) -> Iterator[Staging]:
        """Put a snapshot together; what is not committed at the end of the block goes away."""
        while True:
            place = self.staging / secrets.token_hex(8)
            with locked(place) as mine:
                if mine:
                    try:
                        yield Staging(snapshot, place, self.blobs, self)
                    finally:
                        shutil.rmtree(place, ignore_errors=True)
                    return

    def place_of(self, source: str, revision: str) -> Path:
        """Return the directory of a snapshot's manifest and files."""
        return self.snapshots / snapshot_place(source, revision)

    def _move_to_quarantine(self, path: Path, file: FileDigest) -> Path:
        self.quarantined.mkdir(parents=True, exist_ok=True)
        name = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{file.sha256[:12]}"
        kept = self.quarantined / f"{name}-{secrets.token_hex(2)}-{Path(file.path).name}"
        path.rename(kept)
        return kept

    def drop(self, place: Path) -> None:
        """Take a directory out of sight at once, then remove it."""
        self.staging.mkdir(parents=True, exist_ok=True)
        trash = self.staging / secrets.token_hex(8)
        with suppress(FileNotFoundError):
            place.rename(trash)
            shutil.rmtree(trash, ignore_errors=True)
        with suppress(OSError):
            place.parent.rmdir()

    def _drop_unused_blobs(self, names: set[str]) -> int:
        freed = 0
        for name in names:
            blob = self.blobs / name
            with suppress(FileNotFoundError):
                about = blob.stat()
                # A pull that links it at this very moment keeps its own link, which is enough.
                if about.st_nlink == 1:
                    blob.unlink()
                    freed += about.st_size
        return freed
