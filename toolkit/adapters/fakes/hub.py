"""A Hub in memory, with every fault of a real one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from toolkit.adapters.hub.errors import Fault, HubAddress
from toolkit.adapters.hub.port import Advance, Commit, HubFile, RepoInfo
from toolkit.adapters.store.hashing import GrowingFile
from toolkit.domain.files.snapshot import FileDigest
from toolkit.domain.files.tensors import PREFIX, Tensor, header_length, parse_header

LARGE_SUFFIXES = (".safetensors", ".bin")


@dataclass(slots=True)
class _Repo:
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    history: dict[str, list[Commit]] = field(default_factory=dict)
    licence: str = ""
    gated: bool = False
    fault: Fault | None = None


class FakeHub:
    """`Hub` over dictionaries. `downloads` lists the paths of all downloads, in order."""

    endpoint = "https://hub.test"

    def __init__(self) -> None:
        self._repos: dict[str, _Repo] = {}
        self._moved: dict[str, str] = {}
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
        date: float = 0.0,
    ) -> str:
        """Add a commit with exactly these files, move `branch` to it and return its 40-hex id.

        `date` is in seconds since the epoch.
        """
        known = self._repos.setdefault(repo, _Repo())
        revision = commit_id(repo, files)
        known.commits[revision] = dict(files)
        known.branches[branch] = revision
        known.history.setdefault(branch, []).insert(0, Commit(revision, date))
        known.licence, known.gated = licence, gated
        return revision

    def drop(self, repo: str, ref: str) -> None:
        """Remove a branch, or a commit that no branch holds any more."""
        known = self._repos[repo]
        known.branches.pop(ref, None)
        known.commits.pop(ref, None)

    def rename(self, repo: str, name: str) -> None:
        """Give the repository another name; the former one leads there."""
        self._repos[name] = self._repos.pop(repo)
        former = [each for each, now in self._moved.items() if now == repo]
        self._moved.update(dict.fromkeys([repo, *former], name))

    def fail(self, repo: str, fault: Fault | None) -> None:
        """Make every request for `repo` fail with `fault`; None ends that."""
        self._repos.setdefault(repo, _Repo()).fault = fault

    def flip_byte(self, repo: str, path: str) -> None:
        """Serve the file with its middle byte changed."""
        self._flipped.add((repo, path))

    def cut(self, repo: str, path: str, *sizes: int) -> None:
        """Break the connection of each of the next downloads of the file after that many bytes."""
        self._cuts[repo, path] = list(sizes)

    def resolve(self, repo: str, ref: str) -> RepoInfo:
        known, revision = self._find(HubAddress(self.endpoint, repo, ref))
        return RepoInfo(revision, known.licence, known.gated, self._moved.get(repo, repo))

    def commits(self, repo: str, ref: str) -> tuple[Commit, ...]:
        known, _ = self._find(HubAddress(self.endpoint, repo, ref))
        return tuple(known.history.get(ref, ()))

    def files(self, repo: str, revision: str) -> tuple[HubFile, ...]:
        commit = self._commit(HubAddress(self.endpoint, repo, revision))
        return tuple(_hub_file(path, content) for path, content in sorted(commit.items()))

    def read_small(self, repo: str, revision: str, path: str) -> bytes:
        return self._content(HubAddress(self.endpoint, repo, revision, path))

    def tensors(self, repo: str, revision: str, path: str, size: int) -> tuple[Tensor, ...]:
        address = HubAddress(self.endpoint, repo, revision, path)
        content = self._content(address)
        try:
            return parse_header(content[PREFIX : PREFIX + header_length(content, size)], size)
        except ValueError as error:
            raise Fault.NO_SAFETENSORS.error(address, why=str(error)) from error

    def download(
        self, repo: str, revision: str, file: FileDigest, into: Path, progress: Advance
    ) -> str:
        # A cut ends the download at once, as if every retry had failed.
        address = HubAddress(self.endpoint, repo, revision, file.path)
        content = self._content(address)
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
                raise Fault.DROPPED.error(address)
            return growing.sha256()

    def _find(self, address: HubAddress) -> tuple[_Repo, str]:
        """Return the repository and the commit of the address."""
        known = self._repos.get(self._moved.get(address.repo, address.repo))
        if known is not None and known.fault is not None:
            raise known.fault.error(address, wait="120 s", status=503)
        if known is None:
            raise Fault.MISSING.error(address)
        revision = known.branches.get(address.revision) or _by_hash(known, address.revision)
        if revision is None:
            raise Fault.NO_REVISION.error(address)
        return known, revision

    def _commit(self, address: HubAddress) -> dict[str, bytes]:
        known, revision = self._find(address)
        return known.commits[revision]

    def _content(self, address: HubAddress) -> bytes:
        commit = self._commit(address)
        if address.path not in commit:
            raise Fault.NO_FILE.error(address)
        content = commit[address.path]
        if (address.repo, address.path) in self._flipped:
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
