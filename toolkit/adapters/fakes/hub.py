"""A Hub in memory that can be told to misbehave in every way the real one does."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from toolkit.adapters.hub import errors as words
from toolkit.adapters.hub.errors import Wanted
from toolkit.adapters.hub.port import Advance, HubFile, RepoInfo
from toolkit.adapters.store.hashing import GrowingFile
from toolkit.domain.snapshot import FileDigest
from toolkit.domain.tensors import Tensor, header_length, parse_header
from toolkit.errors import SourceError

LARGE_SUFFIXES = (".safetensors", ".bin")


class Trouble(StrEnum):
    """What a repository may suffer from."""

    GATED = "gated"
    PRIVATE = "private"
    REFUSED = "refused"
    RATE_LIMITED = "rate-limited"
    OFFLINE = "offline"
    UNREACHABLE = "unreachable"
    TIMED_OUT = "timed-out"
    SERVER_FAILED = "server-failed"


@dataclass(slots=True)
class _Repo:
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    licence: str = ""
    gated: bool = False
    trouble: Trouble | None = None


class FakeHub:
    """`Hub` over dictionaries. `downloads` lists the paths that were asked for, in order."""

    endpoint = "https://hub.test"

    def __init__(self) -> None:
        self._repos: dict[str, _Repo] = {}
        self._flipped: set[tuple[str, str]] = set()
        self._cuts: dict[tuple[str, str], list[int]] = {}
        self.downloads: list[str] = []

    def publish(
        self,
        repo: str,
        files: Mapping[str, bytes],
        *,
        licence: str = "apache-2.0",
        branch: str = "main",
        gated: bool = False,
    ) -> str:
        """Add a commit with exactly these files, move `branch` to it and return its 40-hex id."""
        known = self._repos.setdefault(repo, _Repo())
        revision = commit_id(repo, files)
        known.commits[revision] = dict(files)
        known.branches[branch] = revision
        known.licence, known.gated = licence, gated
        return revision

    def trouble(self, repo: str, trouble: Trouble | None) -> None:
        """Let every request about `repo` fail this way; None ends it."""
        self._repos.setdefault(repo, _Repo()).trouble = trouble

    def flip_byte(self, repo: str, path: str) -> None:
        """Serve the file with its middle byte changed."""
        self._flipped.add((repo, path))

    def cut(self, repo: str, path: str, *sizes: int) -> None:
        """Break the connection of the next downloads of the file after so many bytes each."""
        self._cuts[repo, path] = list(sizes)

    def resolve(self, repo: str, ref: str) -> RepoInfo:
        """See `Hub.resolve`."""
        known = self._repo(Wanted(self.endpoint, repo, ref))
        revision = known.branches.get(ref) or _by_hash(known, ref)
        if revision is None:
            raise words.no_revision(Wanted(self.endpoint, repo, ref))
        return RepoInfo(revision, known.licence, known.gated)

    def files(self, repo: str, revision: str) -> tuple[HubFile, ...]:
        """See `Hub.files`."""
        commit = self._commit(Wanted(self.endpoint, repo, revision))
        return tuple(_hub_file(path, content) for path, content in sorted(commit.items()))

    def read_small(self, repo: str, revision: str, path: str) -> bytes:
        """See `Hub.read_small`."""
        return self._content(Wanted(self.endpoint, repo, revision, path))

    def tensors(self, repo: str, revision: str, path: str) -> tuple[Tensor, ...]:
        """See `Hub.tensors`."""
        wanted = Wanted(self.endpoint, repo, revision, path)
        content = self._content(wanted)
        try:
            return parse_header(content[8 : 8 + header_length(content)])
        except ValueError as error:
            raise words.no_safetensors(wanted) from error

    def download(
        self, repo: str, revision: str, file: FileDigest, into: Path, progress: Advance
    ) -> str:
        """See `Hub.download`; a cut ends it at once, as if no further try had helped."""
        wanted = Wanted(self.endpoint, repo, revision, file.path)
        content = self._content(wanted)
        self.downloads.append(file.path)
        cuts = self._cuts.get((repo, file.path), [])
        end = cuts.pop(0) if cuts else len(content)
        with GrowingFile(into, progress) as growing:
            if growing.size > file.size:
                growing.restart()
            while growing.size < end:
                growing.write(content[growing.size : min(end, growing.size + 2**16)])
            if end < len(content):
                growing.flush()
                raise words.dropped(wanted)
            return growing.sha256()

    def _repo(self, wanted: Wanted) -> _Repo:
        known = self._repos.get(wanted.repo)
        if known is not None and known.trouble is not None:
            raise _error_of(known.trouble, wanted)
        if known is None:
            raise words.missing(wanted)
        return known

    def _commit(self, wanted: Wanted) -> dict[str, bytes]:
        known = self._repo(wanted)
        revision = known.branches.get(wanted.revision) or _by_hash(known, wanted.revision)
        if revision is None:
            raise words.no_revision(wanted)
        return known.commits[revision]

    def _content(self, wanted: Wanted) -> bytes:
        commit = self._commit(wanted)
        if wanted.path not in commit:
            raise words.no_file(wanted)
        content = commit[wanted.path]
        if (wanted.repo, wanted.path) in self._flipped:
            middle = len(content) // 2
            return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        return content


def commit_id(repo: str, files: Mapping[str, bytes]) -> str:
    """Return a 40-hex id that tells commits of different content apart."""
    summary = hashlib.sha1(repo.encode(), usedforsecurity=False)
    for path in sorted(files):
        summary.update(f"\0{path}\0{len(files[path])}\0".encode())
        summary.update(files[path])
    return summary.hexdigest()


def _by_hash(known: _Repo, ref: str) -> str | None:
    found = [commit for commit in known.commits if len(ref) >= 7 and commit.startswith(ref)]
    return found[0] if len(found) == 1 else None


def _hub_file(path: str, content: bytes) -> HubFile:
    if path.endswith(LARGE_SUFFIXES):
        return HubFile(path, len(content), hashlib.sha256(content).hexdigest(), "")
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False)
    return HubFile(path, len(content), "", blob.hexdigest())


def _error_of(trouble: Trouble, wanted: Wanted) -> SourceError:
    if trouble is Trouble.RATE_LIMITED:
        return words.rate_limited(wanted, 120)
    if trouble is Trouble.SERVER_FAILED:
        return words.server_failed(wanted, 503)
    return {
        Trouble.GATED: words.gated,
        Trouble.PRIVATE: words.missing,
        Trouble.REFUSED: words.refused,
        Trouble.OFFLINE: words.offline_by_choice,
        Trouble.UNREACHABLE: words.unreachable,
        Trouble.TIMED_OUT: words.timed_out,
    }[trouble](wanted)
