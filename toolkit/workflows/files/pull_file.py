"""Fetch one file of a version, compare it with the lock, and keep it or quarantine it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from toolkit.adapters.disk import FULL, way_out
from toolkit.adapters.hub.port import Advance
from toolkit.adapters.store.hashing import difference, digest_file
from toolkit.adapters.store.staging import Staging
from toolkit.adapters.store.store import Store
from toolkit.domain.files.snapshot import FileDigest
from toolkit.domain.registry.model import LocalSource, Version
from toolkit.errors import IntegrityError, SourceError
from toolkit.workflows.files.pool import StopAskedError
from toolkit.workflows.files.report import PullReport, counted


class Downloads(Protocol):
    """A source of files: a Hub, a directory, or a bundle."""

    def download(
        self, repo: str, revision: str, file: FileDigest, into: Path, progress: Advance
    ) -> str:
        """Write the file to `into`; see `Hub.download`."""
        ...


class FileFetch:
    """Fetches files of one version into a staged snapshot; called from several threads."""

    def __init__(
        self,
        version: Version,
        store: Store,
        staging: Staging,
        origin: Downloads,
        report: PullReport,
    ) -> None:
        self._version = version
        self._store = store
        self._staging = staging
        self._origin = origin
        self._report = report

    def __call__(self, file: FileDigest, stop: threading.Event) -> None:
        """Bring `file` into the staged snapshot.

        Raises SourceError, or IntegrityError where its bytes differ from those pinned.
        """
        advance = counted(stop, self._report, file.path)
        try:
            while not self._bring(file, stop, advance):
                # Another command has removed the file since it was seen in the store.
                if stop.is_set():
                    raise StopAskedError
        except OSError as error:
            raise SourceError(
                f"{file.path} cannot be written to {self._store.root}: {error.strerror or error}",
                hint=way_out(self._store.root)
                if error.errno in FULL
                else f"check that disk and its permissions: df -h {self._store.root}",
            ) from error
        self._report.file_done(file.path, file.size)

    def _bring(
        self, file: FileDigest, stop: threading.Event, advance: Callable[[int], None]
    ) -> bool:
        with self._store.claim(file, self._waiting(file, stop)) as data:
            if data is None:
                if not self._staging.link(file):
                    return False
                advance(file.size)
            else:
                self._obtain(file, data, advance)
                self._staging.adopt(file, data)
        return True

    def _obtain(self, file: FileDigest, data: Path, advance: Callable[[int], None]) -> None:
        resumed = self._store.partial_size(file)
        found = self._write(file, data, advance)
        wrong = difference(file, found)
        if wrong and resumed > 0:
            # A power cut can damage the part that an earlier pull left, so fetch the whole file once more.
            self._report.note(f"the kept part of {file.path} is damaged; fetching it anew")
            data.unlink()
            advance(-found.size)
            wrong = difference(file, self._write(file, data, advance))
        if wrong:
            raise IntegrityError(
                f"{self._version.title} is not usable, a file is not the one that was pinned: "
                f"{wrong}{self._put_away(file, data)}",
                hint=self._advice(),
            )

    def _put_away(self, file: FileDigest, data: Path) -> str:
        """Keep a wrong file for inspection, and return where in words; a directory still has what came from it."""
        if isinstance(self._version.source, LocalSource):
            data.unlink()
            return ""
        return f"; moved to {self._store.quarantine(file, data)}"

    def _write(self, file: FileDigest, data: Path, advance: Callable[[int], None]) -> FileDigest:
        repo, revision = self._version.source.key, self._version.revision
        sha256 = self._origin.download(repo, revision, file, data, advance)
        if file.git_sha1 and sha256 == file.sha256:
            return digest_file(data, file.path)
        return FileDigest(file.path, data.stat().st_size, sha256)

    def _waiting(self, file: FileDigest, stop: threading.Event) -> Callable[[], None]:
        said = False

        def wait() -> None:
            nonlocal said
            if stop.is_set():
                raise StopAskedError
            if not said:
                self._report.note(f"another pull fetches {file.path}; waiting for it")
                said = True

        return wait

    def _advice(self) -> str:
        if isinstance(self._version.source, LocalSource):
            return (
                "the directory changed since it was pinned; if that is wanted: "
                f"toolkit registry pin {self._version.model}"
            )
        return (
            f"pull again to rule out a broken line: toolkit pull {self._version.title}; "
            "if it stays so, do not trust the server"
        )
