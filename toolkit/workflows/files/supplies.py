"""Supplies for hosts: snapshots from the store, engines from the wheelhouse of the ops machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from toolkit.adapters.engines.packages import uv_binary
from toolkit.adapters.engines.wheelhouse import Wheelhouse
from toolkit.adapters.hub.port import OpenHub
from toolkit.adapters.interruption import Interruption
from toolkit.adapters.store.store import Store
from toolkit.domain.deployment.release import Release
from toolkit.domain.engines.engine import EngineLock
from toolkit.domain.files.snapshot import FileDigest, Snapshot
from toolkit.domain.quantity import format_size
from toolkit.domain.registry.model import Policy, Version
from toolkit.errors import InputError, IntegrityError, SourceError
from toolkit.planning.engines import engine_named
from toolkit.planning.release.engine_choice import system_packages
from toolkit.workflows.files.pull import pull
from toolkit.workflows.files.report import PullReport
from toolkit.workflows.tools import Say, SnapshotFiles


class LocalSupplies:
    """The store and the wheelhouse of this ops machine.

    `snapshot_of` returns a version's pinned files. A command that deploys no version does not call it.
    """

    def __init__(
        self,
        *,
        store: Store,
        wheelhouse: Wheelhouse,
        locks: Sequence[EngineLock],
        open_hub: OpenHub,
        policy: Policy,
        snapshot_of: Callable[[Version], Snapshot],
        report: PullReport,
        interruption: Interruption | None = None,
    ) -> None:
        self._store = store
        self._wheelhouse = wheelhouse
        self._locks = locks
        self._open_hub = open_hub
        self._policy = policy
        self._snapshot_of = snapshot_of
        self._report = report
        self._interruption = interruption or Interruption()

    def fetch(self, version: Version) -> None:
        report = _Interruptible(self._report, self._interruption)
        for part in version.parts:
            snapshot = self._snapshot_of(part)
            pull(part, snapshot, self._store, self._open_hub, self._policy, report)

    def verify(self, release: Release) -> None:
        snapshot = self._stored(release)
        faults = self._store.verify(snapshot, lambda _: self._interruption.check())
        if faults:
            self._store.withdraw(snapshot)
            raise IntegrityError(
                "files in the store are not those that were pinned and were put aside:\n  "
                + "\n  ".join(faults),
                hint=f"toolkit pull {release.model}@{release.version} fetches them again",
            )

    def snapshot(self, release: Release) -> SnapshotFiles:
        snapshot = self._stored(release)
        return SnapshotFiles(str(self._store.path(snapshot)), snapshot.files)

    def _stored(self, release: Release) -> Snapshot:
        stored = self._store.find(release.source, release.revision)
        if stored is None or stored.snapshot.digest != release.snapshot:
            raise SourceError(
                f"the snapshot of {release.title} is neither on the host nor in the store",
                hint=f"toolkit deploy {release.model}@{release.version}",
            )
        return stored.snapshot

    def engine_packages(self, engine: str) -> tuple[FileDigest, ...]:
        return self._wheelhouse.packages(self._lock(engine))

    def recheck_engine(self, engine: str) -> bool:
        lock = self._lock(engine)
        # Another host's thread may have found the damage first.
        return bool(self._wheelhouse.recheck(lock)) or not self._wheelhouse.complete(lock)

    def engine_variables(self, engine: str, say: Say) -> Mapping[str, Any]:
        lock = self._lock(engine)
        if not self._wheelhouse.complete(lock):
            say(f"  downloading {lock.packages} packages of {lock.id}")
        directory = self._wheelhouse.fill(lock, PackageProgress(say))
        return {
            "engine_id": lock.id,
            "engine_version": lock.version,
            "engine_system_packages": system_packages(lock),
            "engine_python": lock.python,
            "engine_wheelhouse": str(directory),
            "engine_uv": str(uv_binary()),
            **engine_named(lock.name).installation(lock),
        }

    def _lock(self, engine: str) -> EngineLock:
        lock = next((each for each in self._locks if each.id == engine), None)
        if lock is None:
            raise InputError(f"no lock for the engine {engine} here", hint="toolkit engine list")
        return lock


class _Interruptible:
    """A pull's report that ends the pull after an interruption."""

    def __init__(self, report: PullReport, interruption: Interruption) -> None:
        self._interruption = interruption
        self.note, self.begin, self.file_done, self.end = (
            report.note,
            report.begin,
            report.file_done,
            report.end,
        )
        self._advance = report.advance

    def advance(self, path: str, size: int) -> None:
        self._interruption.check()
        self._advance(path, size)


class PackageProgress:
    """Reports every fifth of the packages, so that a long download shows progress."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._said = 0

    def __call__(self, done: int, total: int, size: int) -> None:
        if total and done * 5 // total > self._said:
            self._said = done * 5 // total
            self._say(f"  {done} of {total} packages, {format_size(size)}")
