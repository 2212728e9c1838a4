"""The protocol of a Hub: resolve a name to a commit, list its files, read and download them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from toolkit.domain.files.snapshot import FileDigest
from toolkit.domain.files.tensors import Tensor

Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class RepoInfo:
    """A repository at a commit. `licence` is the licence id of its model card in lower case, or empty.

    `gated` tells whether users must accept terms on the model's page first. `name` is the Hub's own name for the
    repository: another one than was asked for after a redirect, or where the two differ in case. It is empty where the
    Hub gives none.
    """

    revision: str
    licence: str
    gated: bool
    name: str = ""


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a commit; `size` in bytes.

    The Hub states the `sha256` of a large file and the git blob id (`git_sha1`) of a small one. The other is empty.
    """

    path: str
    size: int
    sha256: str
    git_sha1: str


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit of a branch; `date` in seconds since the epoch."""

    revision: str
    date: float


class Hub(Protocol):
    """A Hub or a mirror that speaks its HTTP API.

    Every method raises SourceError, with the next command to type as its hint, where the Hub is out of reach or refuses
    the request; see `errors.Fault`.
    """

    def resolve(self, repo: str, ref: str) -> RepoInfo:
        """Return the current commit of `ref`: a branch, a tag, a commit or a short hash."""

    def commits(self, repo: str, ref: str) -> tuple[Commit, ...]:
        """Return the last commits up to `ref`, the newest first; at most those of `bounds.COMMIT_PAGES` pages.

        A server without this part of the API answers as if it had no such repository.
        """

    def files(self, repo: str, revision: str) -> tuple[HubFile, ...]:
        """Return all files of a commit, ordered by path."""

    def read_small(self, repo: str, revision: str, path: str) -> bytes:
        """Return a whole file of at most 64 MiB."""

    def tensors(self, repo: str, revision: str, path: str, size: int) -> tuple[Tensor, ...]:
        """Return the tensors of a safetensors file of `size` bytes, ordered by name; fetches its header alone.

        Raises SourceError for a file of another format as well, and for one whose header does not fit its size.
        """

    def download(
        self, repo: str, revision: str, file: FileDigest, into: Path, progress: Advance
    ) -> str:
        """Download the file to `into`; return the sha256 hex of all bytes of `into`.

        The existing bytes of `into` count as the file's beginning: they are hashed, and the download resumes after
        them. `progress` gets the number of bytes gained since its last call, existing ones included, and a negative
        number where the beginning had to be dropped. If it raises, the download ends, and a later call can resume it.
        Raises IntegrityError before any download where the server announces another size or digest than those of
        `file`. The caller must compare the returned digest.
        """


# Opens the Hub. The client library is slow to import, so callers open the Hub only before its first request.
OpenHub = Callable[[], Hub]
