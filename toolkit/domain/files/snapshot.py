"""The files of one revision with their digests."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from toolkit.domain.bounds import PATH, PATH_PARTS
from toolkit.domain.files.capabilities import ModelFacts


@dataclass(frozen=True, slots=True)
class FileDigest:
    """One file: `path` inside the snapshot (POSIX), `size` in bytes, `sha256` in hex.

    `git_sha1` is the git blob id, which the Hub states for small files; it is empty for large ones.
    """

    path: str
    size: int
    sha256: str
    git_sha1: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The pinned files of one revision. `source` is the repository key, see `Source.key`.

    `facts` are what its small files say, None where they were not read. Two snapshots of the same files are equal
    whether they were read or not.
    """

    source: str
    revision: str
    files: tuple[FileDigest, ...]
    facts: ModelFacts | None = field(default=None, compare=False)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def digest(self) -> str:
        """The sha256 hex over paths and file digests. Two snapshots with equal bytes share it."""
        return digest_of_files(self.files)

    def file(self, path: str) -> FileDigest | None:
        """Return the file of that path, or None."""
        return next((file for file in self.files if file.path == path), None)

    def is_directory(self, path: str) -> bool:
        """Whether files lie below `path`; the empty path is the top."""
        return not path or any(file.path.startswith(f"{path}/") for file in self.files)


def digest_of_files(files: Iterable[FileDigest]) -> str:
    """Return the sha256 hex over the files' lines `path NUL sha256 LF`, ordered by path."""
    summary = hashlib.sha256()
    for file in sorted(files, key=lambda each: each.path):
        summary.update(f"{file.path}\0{file.sha256}\n".encode())
    return summary.hexdigest()


def content_revision(files: Iterable[FileDigest]) -> str:
    """Return the 40-hex revision of a directory made in house: the first 40 digits of its files' digest."""
    return digest_of_files(files)[:40]


def is_safe_path(path: str) -> bool:
    """Whether `path` is a plain relative POSIX path that stays below where it is put."""
    if not path or not path.isprintable() or "\\" in path or len(path.encode()) > PATH:
        return False
    parts = path.split("/")
    return len(parts) <= PATH_PARTS and all(
        part not in ("", ".", "..") and len(part.encode()) <= 255 for part in parts
    )


def path_fault(paths: Sequence[str]) -> tuple[str, str]:
    """Return the first path that cannot stand in a snapshot with the others, and why; two empty texts without one."""
    taken: set[str] = set()
    for path in paths:
        if not is_safe_path(path):
            return path, "it leads out of the snapshot's directory, or it is no name of a file"
        if path in taken:
            return path, "it stands there twice"
        taken.add(path)
    for path in paths:
        parts = path.split("/")
        if any("/".join(parts[:depth]) in taken for depth in range(1, len(parts))):
            return path, "one of its directories is also a file"
    return "", ""


def case_fault(paths: Iterable[str]) -> tuple[str, str]:
    """Return two paths that are one on a file system without upper and lower case; two empty texts without such."""
    seen: dict[str, str] = {}
    for path in paths:
        parts = path.split("/")
        for depth in range(1, len(parts) + 1):
            name = "/".join(parts[:depth])
            other = seen.setdefault(unicodedata.normalize("NFC", name).casefold(), name)
            if other != name:
                return other, name
    return "", ""
