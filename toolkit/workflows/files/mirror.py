"""Snapshots that the mirror serves: in the store, pinned, and allowed by policy."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from toolkit.adapters.store.manifest import StoredSnapshot
from toolkit.adapters.store.store import Store
from toolkit.config.registry.lock_file import Lock, lock_path, read_lock
from toolkit.config.registry.reading import load_registry
from toolkit.domain.registry.model import Registry, parts_of
from toolkit.errors import InputError
from toolkit.planning.release.licence_policy import licence_verdict

Stamp = tuple[tuple[int, int], ...]


class PinnedSnapshots:
    """A `MirrorSource` over registry, lock and store, which it reads again when they change.

    `warn` gets a sentence when a changed registry cannot be read; the mirror then keeps the last good one.
    """

    def __init__(self, registry_path: Path, store: Store, warn: Callable[[str], None]) -> None:
        self._path = registry_path
        self._store = store
        self._warn = warn
        self._reading = threading.Lock()
        self._stamp = _stamp(registry_path)
        self._registry: Registry = load_registry(registry_path)
        self._lock: Lock = read_lock(registry_path)

    def revisions(self, repo: str) -> Sequence[StoredSnapshot]:
        """Return the snapshots of a repository that may be served, in the order of their last versions in the registry.

        Those of candidates alone come after the others.
        """
        registry, lock = self._current()
        served: dict[str, StoredSnapshot] = {}
        names = _names(registry, repo)
        versions = (part for version in registry.versions for part in version.parts)
        for version in versions:
            revision = version.revision
            if version.source.key != repo or not lock.has(version):
                continue
            # A candidate does not make an older version's revision newer: keep the place of that version.
            if version.candidate and revision in served:
                continue
            snapshot = lock.snapshot_of(version)
            if licence_verdict(version, registry.policy).allowed and self._store.has(snapshot):
                stored = self._store.find(snapshot.source, snapshot.revision)
                pulled_at = stored.pulled_at if stored is not None else 0.0
                served.pop(revision, None)
                served[revision] = StoredSnapshot(
                    snapshot,
                    version.licence,
                    pulled_at,
                    self._store.path(snapshot),
                    names.get(revision, ()),
                    version.candidate,
                )
        return tuple(sorted(served.values(), key=lambda each: each.candidate))

    def served(self) -> tuple[StoredSnapshot, ...]:
        """Return all snapshots that may be served now."""
        return tuple(each for repo in self.repositories() for each in self.revisions(repo))

    def repositories(self) -> Sequence[str]:
        """Return the repositories that the registry names."""
        registry, _ = self._current()
        return tuple(dict.fromkeys(part.source.key for part in parts_of(registry.versions)))

    def _current(self) -> tuple[Registry, Lock]:
        with self._reading:
            stamp = _stamp(self._path)
            if stamp != self._stamp:
                self._stamp = stamp
                try:
                    registry, lock = load_registry(self._path), read_lock(self._path)
                except InputError as error:
                    self._warn(f"{error.message}; what was served before is served on")
                else:
                    self._registry, self._lock = registry, lock
            return self._registry, self._lock


def _names(registry: Registry, repo: str) -> dict[str, tuple[str, ...]]:
    """Return the names of versions by revision: `VERSION`, or `MODEL@VERSION` where another model has that name too."""
    versions = [each for each in registry.versions if each.source.key == repo]
    revisions: dict[str, set[str]] = {}
    for each in versions:
        revisions.setdefault(each.name, set()).add(each.revision)
    found: dict[str, tuple[str, ...]] = {}
    for each in versions:
        name = each.name if len(revisions[each.name]) == 1 else each.title
        found[each.revision] = tuple(dict.fromkeys((*found.get(each.revision, ()), name)))
    return found


def _stamp(registry_path: Path) -> Stamp:
    stamps = []
    for path in (registry_path, lock_path(registry_path)):
        try:
            about = path.stat()
            stamps.append((about.st_mtime_ns, about.st_size))
        except OSError:
            stamps.append((0, 0))
    return tuple(stamps)
