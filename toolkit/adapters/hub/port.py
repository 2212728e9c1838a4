"""What the toolkit asks of a Hub: the commit a name means, its files, and their bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from toolkit.domain.snapshot import FileDigest
from toolkit.domain.tensors import Tensor

Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class RepoInfo:
    """A repository at a commit. `licence` is its card's id in lower case, or empty.

    `gated` is True where people must accept terms at the model's page first.
    """

    revision: str
    licence: str
    gated: bool


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a commit; `size` in bytes.

    The Hub names the `sha256` of large files and the git blob id (`git_sha1`) of small ones;
    the other of the two is empty.
    """

    path: str
    size: int
    sha256: str
    git_sha1: str


class Hub(Protocol):
    """A Hub or a mirror that speaks its HTTP API.

    Every method raises SourceError with the next command to type where the Hub is out of reach or
    refuses: gated, private or missing, no such revision or file, rate limited, offline, timed out.
    """

    def resolve(self, repo: str, ref: str) -> RepoInfo:
        """Return the commit that `ref` (branch, tag, commit, short hash) means today."""
        ...

    def files(self, repo: str, revision: str) -> tuple[HubFile, ...]:
        """Return all files of a commit, ordered by path."""
        ...

    def read_small(self, repo: str, revision: str, path: str) -> bytes:
        """Return a whole file of at most 64 MiB."""
        ...

    def tensors(self, repo: str, revision: str, path: str) -> tuple[Tensor, ...]:
        """Return the tensors that a safetensors file holds, ordered by name, from its header alone.

        Raises SourceError also where the file is none.
        """
        ...

    def download(
        self, repo: str, revision: str, file: FileDigest, into: Path, progress: Advance
    ) -> str:
        """Write the file to `into` and return the sha256 hex of every byte that is there.

        What `into` already holds is taken as the file's beginning: it is hashed and continued.
        `progress` gets the bytes gained since its last call, those already there included, and a
        negative number where a beginning had to be dropped; an exception it raises ends the
        download and leaves `into` ready to be continued.
        Raises IntegrityError where the server offers other bytes than those pinned in `file`
        before any are fetched; whether those fetched are right is for the caller to compare.
        """
        ...


# Opens the Hub. The client library is heavy, so a caller opens it once it knows that it will ask something.
OpenHub = Callable[[], Hub]
