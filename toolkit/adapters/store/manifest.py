"""The manifest of a stored snapshot: files, digests, licence, source, and the time of the pull."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from toolkit.domain.bounds import INDEX
from toolkit.domain.files.snapshot import FileDigest, Snapshot
from toolkit.domain.outside import checked, parse_mapping, text_of
from toolkit.errors import InputError
from toolkit.regular import read_regular

MANIFEST = "manifest.json"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class StoredSnapshot:
    """A snapshot in the store, verified when it was pulled. `path` is the directory of its files.

    `pulled_at` is in seconds since the epoch. `names` are those that the registry has for it; the manifest has none.
    It is a `candidate` where all these versions are.
    """

    snapshot: Snapshot
    licence: str
    pulled_at: float
    path: Path
    names: tuple[str, ...] = ()
    candidate: bool = False

    @property
    def source(self) -> str:
        """The key of its repository."""
        return self.snapshot.source

    @property
    def revision(self) -> str:
        """The 40-hex revision."""
        return self.snapshot.revision


def snapshot_path(source: str, revision: str) -> PurePosixPath:
    """Return `owner--name/revision`; raises InputError for names that would lead out of the store."""
    parts = [*source.split("/"), revision]
    if any(part in ("", ".", "..") or "\\" in part or "\0" in part for part in parts):
        raise InputError(
            f"{source!r} at {revision!r} cannot be stored",
            hint="a source is owner/name, a revision a full commit",
        )
    return PurePosixPath(source.replace("/", "--")) / revision


def write_manifest(directory: Path, snapshot: Snapshot, licence: str, pulled_at: float) -> None:
    """Write the manifest of the snapshot in `directory`, and sync it to the disk.

    `pulled_at` is in seconds since the epoch.
    """
    document = {
        "format": FORMAT,
        "source": snapshot.source,
        "revision": snapshot.revision,
        "licence": licence,
        "pulled_at": pulled_at,
        "files": [asdict(file) for file in snapshot.files],
    }
    with (directory / MANIFEST).open("w", encoding="utf-8") as file:
        json.dump(document, file, indent=1)
        file.flush()
        os.fsync(file.fileno())


def read_manifest(directory: Path) -> StoredSnapshot | None:
    """Return the snapshot in `directory`, None without one or with a damaged manifest."""
    try:
        return parse_manifest(read_regular(directory / MANIFEST), directory)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def parse_manifest(text: bytes, directory: Path) -> StoredSnapshot | None:
    """Return the snapshot that a manifest in `directory` describes, None for another format.

    Raises ValueError, KeyError or TypeError for a text that is no manifest.
    """
    document = parse_mapping(text, INDEX)
    if document["format"] != FORMAT:
        return None
    files = tuple(FileDigest(**file) for file in document["files"])
    snapshot = checked(Snapshot(document["source"], document["revision"], files))
    licence, pulled_at = text_of(document["licence"], "licence"), float(document["pulled_at"])
    return StoredSnapshot(snapshot, licence, pulled_at, directory / "files")
