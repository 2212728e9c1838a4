"""`model_registry.lock.json`: size and digests of every pinned file, beside the registry.

A pull compares every file with this lock: the pin counts, whatever the server says today. Under `models` it says what
the small files of each revision tell of the model, see `ModelFacts`; a lock of an older toolkit has no such entry.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.config.paths import absolute, permissions
from toolkit.config.text_file import in_turn, read_text
from toolkit.domain.excerpt import brief
from toolkit.domain.files.capabilities import ModelFacts
from toolkit.domain.files.snapshot import FileDigest, Snapshot, case_fault, is_safe_path, path_fault
from toolkit.domain.outside import NotJsonError, TwiceError, parse_json, shown
from toolkit.domain.registry.model import Version
from toolkit.errors import InputError

MAX_BYTES = 16 * 2**20
FORMAT = 1
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_SHA1 = re.compile(r"[0-9a-f]{40}\Z")
_MAX_SIZE = 2**53
_REMADE = "restore it, or remove it and pin again: toolkit registry pin MODEL --lock-only"


@dataclass(frozen=True, slots=True)
class Lock:
    """The pinned files, by source key and revision."""

    path: Path
    snapshots: Mapping[tuple[str, str], Snapshot]

    def has(self, version: Version) -> bool:
        """Whether the files of `version` are pinned, and one disk can hold them all."""
        snapshot = self._found(version)
        return snapshot is not None and not _names_fault(snapshot)

    def snapshot_of(self, version: Version) -> Snapshot:
        """Return the pinned files of `version`; raises InputError where they are not pinned yet.

        An older toolkit may have pinned names that no disk holds together; raises InputError for them, too.
        """
        snapshot, fault = self._found(version), ""
        if snapshot is None:
            fault = f"the files of {version.title} are not pinned in {self.path}"
        elif names := _names_fault(snapshot):
            fault = f"the files of {version.title} in {self.path} cannot be stored: {names}"
        if snapshot is None or fault:
            raise InputError(fault, hint=f"toolkit registry pin {version.title} --lock-only")
        return snapshot

    def _found(self, version: Version) -> Snapshot | None:
        return self.snapshots.get((version.source.key, version.revision))

    def plus(self, snapshot: Snapshot) -> Lock:
        """Return the lock with `snapshot` in it."""
        key = (snapshot.source, snapshot.revision)
        return Lock(self.path, {**self.snapshots, key: snapshot})


def _names_fault(snapshot: Snapshot) -> str:
    paths = [file.path for file in snapshot.files]
    path, why = path_fault(paths)
    if path or why:
        return f"{shown(path)}: {why}"
    one, other = case_fault(paths)
    return (
        f"{shown(one)} and {shown(other)}, which are one name on some file systems" if one else ""
    )


def lock_path(registry_path: Path) -> Path:
    """Return where the lock of a registry stands: `model_registry.lock.json` beside it."""
    return registry_path.with_name(f"{registry_path.stem}.lock.json")


def read_lock(registry_path: Path) -> Lock:
    """Return the lock beside the registry; an absent file is an empty lock.

    Raises InputError where it is too large, no JSON, or names files outside of a snapshot.
    """
    path = lock_path(registry_path)
    if not path.exists() and not path.is_symlink():
        return Lock(path, {})
    leads = "the link leads to nothing: mend it, or remove it and pin again"
    return parse_lock(path, read_text(path, limit=MAX_BYTES, hint=leads))


def parse_lock(path: Path, text: str) -> Lock:
    """Return the lock in `text`, the content of `path`; raises what `read_lock` raises."""
    try:
        data = parse_json(text, MAX_BYTES)
    except NotJsonError as error:
        raise InputError(
            f"{path}:{error.lineno}:{error.colno}: not JSON: {error.fault}", hint=_REMADE
        ) from None
    except TwiceError as error:
        raise InputError(f"{path}: {error}", hint=_REMADE) from None
    except ValueError:
        raise InputError(f"{path}: this is no lock file", hint=_REMADE) from None
    try:
        return Lock(path, {(s.source, s.revision): s for s in _snapshots(data)})
    except _WrongError as error:
        raise InputError(f"{path}: {brief(error.args[0])}", hint=_REMADE) from None


def change_lock(registry_path: Path, change: Callable[[Lock], Lock]) -> Lock:
    """Write what `change` makes of the lock beside the registry as it is now, and return it.

    Reading the digests of a model takes long, and another command may have written others meanwhile. Raises what
    `read_lock`, `write_lock` and `change` raise; nothing is written then.
    """
    with in_turn(lock_path(registry_path)):
        before = read_lock(registry_path)
        after = change(before)
        if lock_text(after) != lock_text(before):
            write_lock(after)
    return after


def write_lock(lock: Lock) -> None:
    """Write the lock whole or not at all. Raises InputError where the directory is not writable."""
    write_text(lock.path, lock_text(lock))


def lock_text(lock: Lock) -> str:
    """Return the lock as text: sorted, so that the same pins always give the same bytes."""
    sources: dict[str, dict[str, Any]] = {}
    for (source, revision), snapshot in sorted(lock.snapshots.items()):
        sources.setdefault(source, {})[revision] = {
            file.path: {"size": file.size, "sha256": file.sha256}
            | ({"git_sha1": file.git_sha1} if file.git_sha1 else {})
            for file in sorted(snapshot.files, key=lambda each: each.path)
        }
    models: dict[str, dict[str, Any]] = {}
    for (source, revision), snapshot in sorted(lock.snapshots.items()):
        if snapshot.facts is not None:
            models.setdefault(source, {})[revision] = snapshot.facts.as_json()
    told = {"models": models} if models else {}
    data = {"format": FORMAT, **told, "sources": sources}
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


def write_text(path: Path, text: str) -> None:
    """Replace the file at `path` by `text`, whole or not at all; its permissions stay. Raises InputError."""
    target = absolute(path)
    mode = permissions(target)
    temporary = ""
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        Path(temporary).replace(target)
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error.strerror}", hint="check the directory's permissions"
        ) from None
    finally:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
    directory = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


class _WrongError(Exception):
    """Carries the message about a fault in the lock."""


def _snapshots(data: Any) -> Iterable[Snapshot]:
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise _WrongError(f"this is no lock file of format {FORMAT}")
    if not {"format", "sources"} <= set(data) <= {"format", "models", "sources"}:
        raise _WrongError("a lock file has `format`, `models` and `sources`, nothing else")
    facts = _facts(data.get("models", {}))
    for source, revisions in _mapping(data["sources"], "sources").items():
        for revision, files in _mapping(revisions, source).items():
            title = f"{source}@{revision}"
            if not _SHA1.match(revision):
                raise _WrongError(f"{title}: the revision is no full commit")
            found = tuple(_file(title, *item) for item in _mapping(files, title).items())
            if not found:
                raise _WrongError(f"{title} has no files")
            yield Snapshot(source, revision, found, facts.get((source, revision)))


def _facts(data: Any) -> dict[tuple[str, str], ModelFacts]:
    found = {}
    for source, revisions in _mapping(data, "models").items():
        for revision, facts in _mapping(revisions, source).items():
            title = f"models: {source}@{revision}"
            try:
                found[source, revision] = ModelFacts.from_json(_mapping(facts, title))
            except ValueError as error:
                raise _WrongError(f"{title}: {error}") from None
    return found


def _mapping(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _WrongError(f"{name}: expected a mapping")
    return value


def _file(title: str, path: str, value: Any) -> FileDigest:
    where = f"{title}: {path!r}"
    if not is_safe_path(path):
        raise _WrongError(f"{where} does not stay inside the snapshot")
    entry = _mapping(value, where)
    if not {"size", "sha256"} <= set(entry) <= {"size", "sha256", "git_sha1"}:
        raise _WrongError(f"{where}: expected size, sha256 and git_sha1")
    size, sha256, git_sha1 = entry["size"], entry["sha256"], entry.get("git_sha1", "")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < _MAX_SIZE:
        raise _WrongError(f"{where}: the size is no number of bytes")
    if not isinstance(sha256, str) or not _SHA256.match(sha256):
        raise _WrongError(f"{where}: the sha256 is none")
    if not isinstance(git_sha1, str) or (git_sha1 and not _SHA1.match(git_sha1)):
        raise _WrongError(f"{where}: the git_sha1 is none")
    return FileDigest(path, size, sha256, git_sha1)
