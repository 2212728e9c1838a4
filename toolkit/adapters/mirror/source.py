"""The snapshots of a mirror, and the Hub's documents about them: trees, entries, model cards."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from toolkit.adapters.store.manifest import StoredSnapshot
from toolkit.domain.files.snapshot import FileDigest


class MirrorSource(Protocol):
    """The snapshots that a mirror may serve at the moment."""

    def revisions(self, repo: str) -> Sequence[StoredSnapshot]:
        """Return the snapshots of a repository, the newest last and then candidates; none for an unknown one."""

    def repositories(self) -> Sequence[str]:
        """Return the repositories that have a snapshot."""


def find_revision(revisions: Sequence[StoredSnapshot], name: str) -> StoredSnapshot | None:
    """Return the snapshot of `main`, the newest, of a tag, or of a commit by at least seven digits; or None.

    No candidate is `main`, since nobody gets it who has not named it.
    """
    if name in ("main", "HEAD", "refs/heads/main"):
        return next((each for each in reversed(revisions) if not each.candidate), None)
    if tagged := tags(revisions).get(name):
        return tagged
    if len(name) < 7:
        return None
    found = [each for each in revisions if each.snapshot.revision.startswith(name)]
    return found[0] if len(found) == 1 else None


def shown(revisions: Sequence[StoredSnapshot]) -> StoredSnapshot:
    """Return the snapshot that stands for its repository in lists: `main`, else the last candidate."""
    return find_revision(revisions, "main") or revisions[-1]


def etag(file: FileDigest) -> str:
    """Return the file's ETag at a Hub: the sha256 of a large file, the git blob id of a small one."""
    return file.git_sha1 or file.sha256


def tree(served: StoredSnapshot, under: str, *, recursive: bool) -> list[dict[str, Any]]:
    """Return the entries below the directory `under`, ordered by path."""
    prefix = f"{under}/" if under else ""
    entries: dict[str, dict[str, Any]] = {}
    for file in served.snapshot.files:
        if not file.path.startswith(prefix):
            continue
        for directory in _directories(file.path, prefix):
            entries[directory] = {
                "type": "directory",
                "oid": hashlib.sha1(directory.encode(), usedforsecurity=False).hexdigest(),
                "size": 0,
                "path": directory,
            }
        if recursive or "/" not in file.path[len(prefix) :]:
            entries[file.path] = entry(file)
    if not recursive:
        entries = {p: e for p, e in entries.items() if "/" not in p[len(prefix) :]}
    return [entries[path] for path in sorted(entries)]


def entry(file: FileDigest) -> dict[str, Any]:
    """Return the tree entry of a file. Large files are in Git LFS, so their blob is the LFS pointer."""
    if file.git_sha1:
        return {"type": "file", "oid": file.git_sha1, "size": file.size, "path": file.path}
    pointer = _pointer(file)
    return {
        "type": "file",
        "oid": _blob_id(pointer),
        "size": file.size,
        "path": file.path,
        "lfs": {"oid": file.sha256, "size": file.size, "pointerSize": len(pointer)},
    }


def model_card(repo: str, served: StoredSnapshot, *, blobs: bool) -> dict[str, Any]:
    """Return the Hub's document about a model; with `blobs`, it has sizes and digests of the files."""
    identity = hashlib.sha256(repo.encode()).hexdigest()[:24]
    licence = served.licence
    return {
        "_id": identity,
        "id": repo,
        "modelId": repo,
        "author": repo.partition("/")[0],
        "sha": served.snapshot.revision,
        "lastModified": _time(served.pulled_at),
        "createdAt": _time(served.pulled_at),
        "private": False,
        "gated": False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": [f"license:{licence}"] if licence else [],
        "cardData": {"license": licence} if licence else {},
        "usedStorage": served.snapshot.size,
        "siblings": [_sibling(file, blobs=blobs) for file in served.snapshot.files],
    }


def commits(revisions: Sequence[StoredSnapshot], name: str) -> list[dict[str, Any]]:
    """Return the commits up to the revision `name`, the newest first."""
    until = find_revision(revisions, name)
    if until is None:
        return []
    known = list(revisions[: list(revisions).index(until) + 1])
    return [
        {
            "id": each.snapshot.revision,
            "title": "Pinned and verified",
            "message": "",
            "authors": [],
            "date": _time(each.pulled_at),
        }
        for each in reversed(known)
    ]


def refs(revisions: Sequence[StoredSnapshot]) -> dict[str, Any]:
    """Return the refs: the branch `main`, where there is one, and a tag for each version of the registry."""
    newest = find_revision(revisions, "main")
    branches = (
        [{"name": "main", "ref": "refs/heads/main", "targetCommit": newest.revision}]
        if newest
        else []
    )
    known = [
        {"name": name, "ref": f"refs/tags/{name}", "targetCommit": each.revision}
        for name, each in tags(revisions).items()
    ]
    return {"branches": branches, "tags": known, "converts": [], "pullRequests": []}


def tags(revisions: Sequence[StoredSnapshot]) -> dict[str, StoredSnapshot]:
    """Return the snapshot of each name that the registry has for one alone."""
    counts = Counter(name for each in revisions for name in each.names)
    return {name: each for each in revisions for name in each.names if counts[name] == 1}


def _directories(path: str, prefix: str) -> Iterator[str]:
    parts = path.split("/")[:-1]
    for depth in range(1, len(parts) + 1):
        directory = "/".join(parts[:depth])
        if directory.startswith(prefix):
            yield directory


def _sibling(file: FileDigest, *, blobs: bool) -> dict[str, Any]:
    if not blobs:
        return {"rfilename": file.path}
    about = entry(file)
    known: dict[str, Any] = {"rfilename": file.path, "size": file.size, "blobId": about["oid"]}
    if "lfs" in about:
        known["lfs"] = {
            "sha256": file.sha256,
            "size": file.size,
            "pointerSize": about["lfs"]["pointerSize"],
        }
    return known


def _pointer(file: FileDigest) -> bytes:
    return (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{file.sha256}\nsize {file.size}\n"
    ).encode()


def _blob_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _time(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
