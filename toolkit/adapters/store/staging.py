"""A snapshot that is being put together, before it appears in the store."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from toolkit.adapters.store.files import size_of
from toolkit.adapters.store.manifest import StoredSnapshot, read_manifest, write_manifest
from toolkit.domain.files.snapshot import FileDigest, Snapshot
from toolkit.errors import SourceError

READ_ONLY = 0o444


class Staging:
    """`snapshot`, put together in `directory` out of `blobs`.

    `publish` moves the finished directory to its final path and returns that path. `files` is the directory of the
    snapshot's files until then.
    """

    def __init__(
        self, snapshot: Snapshot, directory: Path, blobs: Path, publish: Callable[[Path], Path]
    ) -> None:
        self._snapshot, self._directory = snapshot, directory
        self._blobs, self._publish = blobs, publish
        self._paths: dict[str, list[str]] = {}
        for file in snapshot.files:
            self._paths.setdefault(file.sha256, []).append(file.path)
        self.files = directory / "files"
        self.files.mkdir()

    def link_present(self) -> tuple[FileDigest, ...]:
        """Link every file that the store has; return the missing files, each content once."""
        missing: dict[str, FileDigest] = {}
        for file in self._snapshot.files:
            if file.sha256 not in missing and not self.link(file):
                missing[file.sha256] = file
        return tuple(missing.values())

    def link(self, file: FileDigest) -> bool:
        """Link a file from its blob, under every path with this content; False without a blob."""
        blob = self._blobs / file.sha256
        return size_of(blob) == file.size and self._link(file, blob)

    def adopt(self, file: FileDigest, data: Path) -> None:
        """Move the claimed and verified file `data` to the blobs, and link it."""
        # Link first: a sweep never removes a blob that has a second link.
        self._link(file, data)
        blob = self._blobs / file.sha256
        blob.parent.mkdir(parents=True, exist_ok=True)
        data.rename(blob)
        # By its own link: another command may have moved the blob away.
        (self.files / file.path).chmod(READ_ONLY)

    def commit(self, licence: str, now: float) -> StoredSnapshot:
        """Make the snapshot appear in the store; `now` is in seconds since the epoch.

        Raises SourceError where it vanishes meanwhile.
        """
        for file in self._snapshot.files:
            (self.files / file.path).chmod(READ_ONLY)
        self._directory.chmod(0o755)
        write_manifest(self._directory, self._snapshot, licence, now)
        home = self._publish(self._directory)
        stored = read_manifest(home)
        if stored is None:
            raise SourceError(f"{home} vanished while it was stored", hint="run the command again")
        return stored

    def _link(self, file: FileDigest, origin: Path) -> bool:
        for path in self._paths[file.sha256]:
            target = self.files / path
            target.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError):
                try:
                    os.link(origin, target)
                except FileNotFoundError:
                    return False
        return True
