"""Pin what a model's tracked branch holds now as a candidate, say what differs, and accept a candidate."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from toolkit.adapters.hub.port import OpenHub
from toolkit.config.registry.edit import accepted, write_registry
from toolkit.config.registry.lock_file import read_lock
from toolkit.config.registry.reading import RegistryFile, read_registry
from toolkit.domain.files.snapshot import Snapshot
from toolkit.domain.registry.model import HubSource, Version
from toolkit.errors import InputError, SourceError
from toolkit.planning.upkeep.difference import Difference, compare, compared_files
from toolkit.workflows.registry.pin import Accept, Pinned, Report, pin_candidate
from toolkit.workflows.tools import Begin, unrecorded


@dataclass(frozen=True, slots=True)
class Local:
    """The facts that this machine has of a version.

    `find` returns the directory in which its files lie here, if anywhere; `need` the least memory of one device for it
    with its files, in bytes, None where that is not known.
    """

    find: Callable[[Version], Path | None]
    need: Callable[[Version, Snapshot], int | None]


@dataclass(frozen=True, slots=True)
class Updated:
    """The outcome of an update. `base` is the version that it was compared with, the model's newest.

    `difference` is None where the newest version is current.
    """

    pinned: Pinned
    base: Version
    difference: Difference | None

    @property
    def current(self) -> bool:
        """Whether the model's newest version is what its source holds."""
        return self.pinned.version.name == self.base.name


def update_model(
    registry_path: Path,
    model: str,
    *,
    name: str = "",
    open_hub: OpenHub,
    report: Report,
    local: Local,
    accept: Accept | None = None,
    begin: Begin | None = unrecorded,
) -> Updated:
    """Pin what the source of the newest version of `model` holds now as a candidate, and return what differs.

    Writes nothing where that revision is pinned already, and without `begin`; see `pin_version`. Raises InputError
    where the model has no version yet, and what `pin_candidate` raises: for a licence that is not the registry's, a
    repository of another owner, files that policy forbids, a branch that vanished.
    """
    file = read_registry(registry_path, unpinned=True)
    base = _base(file, model)
    pinned = pin_candidate(
        registry_path,
        model,
        name=name,
        open_hub=open_hub,
        report=report,
        accept=accept,
        begin=begin,
    )
    if pinned.version.name == base.name:
        return Updated(pinned, base, None)
    lock = read_lock(registry_path)
    before = lock.snapshot_of(base) if lock.has(base) else None
    if before is None:
        return Updated(pinned, base, None)
    after = pinned.snapshot
    texts = both_texts(base, before, pinned, local, open_hub)
    memory = (local.need(base, before), local.need(pinned.version, after))
    return Updated(pinned, base, compare(before, after, texts, memory))


def accept_version(registry_path: Path, spec: str, begin: Begin = unrecorded) -> bool:
    """Make the candidate `MODEL@VERSION` a version like any other; return whether the file changed.

    Reads the file anew, so that edits made meanwhile are kept. Raises InputError where the line cannot be removed.
    """
    file = read_registry(registry_path, unpinned=True)
    model, at, name = spec.partition("@")
    if not at:
        raise InputError(f"{spec!r} names no version", hint=f"toolkit registry accept {spec}@NAME")
    version = file.registry.model(model).version(name)
    if not version.candidate:
        return False
    after = accepted(file, model, name)
    begin()
    write_registry(registry_path, file, after)
    return True


def _base(file: RegistryFile, model: str) -> Version:
    entry = file.registry.model(model)
    if not entry.versions:
        raise InputError(
            f"{model} has no version that could be outdated", hint=f"toolkit registry pin {model}"
        )
    for owner, version in file.unpinned:
        if owner == model:
            raise InputError(
                f"{model}@{version} waits to be pinned", hint=f"toolkit registry pin {model}"
            )
    return entry.newest


def both_texts(
    base: Version, before: Snapshot, pinned: Pinned, local: Local, open_hub: OpenHub
) -> tuple[Mapping[str, bytes], Mapping[str, bytes]]:
    """Return the small files in which `base`, with the files `before`, and the pinned version differ: those of each."""
    new, after = pinned.version, pinned.snapshot
    return (
        _texts(base, before, after, local.find(base), open_hub),
        _texts(new, after, before, local.find(new), open_hub),
    )


def _texts(
    version: Version, snapshot: Snapshot, other: Snapshot, place: Path | None, open_hub: OpenHub
) -> Mapping[str, bytes]:
    """Return the small files of `version` that `other` has with other bytes, or lacks; from `place`, else its Hub.

    A file that can no longer be read is empty: the former commit may be gone upstream, and a directory has other bytes
    by now. The digests still compare.
    """
    digests = {file.path: file.sha256 for file in snapshot.files}
    found = {}
    for path in compared_files(snapshot, other):
        text = b""
        with suppress(SourceError, OSError):
            if place is not None:
                text = (place / path).read_bytes()
            elif isinstance(version.source, HubSource):
                text = open_hub().read_small(version.source.repo, version.revision, path)
        found[path] = text if hashlib.sha256(text).hexdigest() == digests[path] else b""
    return found
