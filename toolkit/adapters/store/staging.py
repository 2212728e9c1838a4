"""A snapshot on its way into the store."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from toolkit.adapters.store.manifest import StoredSnapshot, read_manifest, write_manifest
from toolkit.domain.snapshot import FileDigest, Snapshot
from toolkit.errors import SourceError

READ_ONLY = 0o444


class Shelf(Protocol):
    """What staging asks of the store it fills."""

    def has(self, snapshot: Snapshot) -> bool:
        """Whether the snapshot is there, complete."""
        ...

    def has_blob(self, file: FileDigest) -> bool:
        """Whether the file's bytes are there."""
        ...

    def place_of(self, source: str, revision: str) -> Path:
        """Return where the snapshot belongs."""
        ...

    def drop(self, place: Path) -> None:
        """Take a directory away."""
        ...


class Staging:
    """A snapshot on its way into the store."""

    def __init__(self, snapshot: Snapshot, place: Path, blobs: Path, store: Shelf) -> None:
        self._store = store
        self._blobs = blobs
        self._snapshot = snapshot
        self._place = place
        (place / "files").mkdir()

    def link_present(self) -> tuple[FileDigest, ...]:
        """Link every file whose bytes are there; return the missing ones, each content once."""
        missing: dict[str, FileDigest] = {}
        for file in self._snapshot.files:
            if file.sha256 not in missing and not self.link(file):
                missing[file.sha256] = file
        return tuple(missing.values())

    def link(self, file: FileDigest) -> bool:
        """Link a file from its blob, under every path that has this content."""
        if not self._store.has_blob(file):
            return False
        return self._link(file, self._blobs / file.sha256)

    def adopt(self, file: FileDigest, data: Path) -> None:
        """Take the claimed, verified file into the store and link it."""
        # Linked first: a blob that something uses is never cleared away.
        self._link(file, data)
        blob = self._blobs / file.sha256
        blob.parent.mkdir(parents=True, exist_ok=True)
        data.rename(blob)
        blob.chmod(READ_ONLY)

    def commit(self, licence: str, now: float) -> StoredSnapshot:
        """Make the snapshot appear in the store; `now` is in seconds since the epoch."""
        place = self._store.place_of(self._snapshot.source, self._snapshot.revision)
        place.parent.mkdir(parents=True, exist_ok=True)
        for file in self._snapshot.files:
            (self._place / "files" / file.path).chmod(READ_ONLY)
        self._place.chmod(0o755)
        write_manifest(self._place, self._snapshot, licence, now)
        while True:
            try:
                self._place.rename(place)
            except OSError:
                if self._store.has(self._snapshot):
                    break
                if not place.exists():
                    raise
                # What stands there is incomplete or of another pin; ours is verified.
                self._store.drop(place)
                place.parent.mkdir(parents=True, exist_ok=True)
                continue
            break
        stored = read_manifest(place)
        if stored is None:
            raise SourceError(f"{place} vanished while it was stored", hint="run the command again")
        return stored

    def _link(self, file: FileDigest, origin: Path) -> bool:
        for each in self._snapshot.files:
            if each.sha256 != file.sha256:
                continue
            target = self._place / "files" / each.path
            target.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError):
                try:
                    os.link(origin, target)
                except FileNotFoundError:
                    return False
        return True
