"""Pull a pinned version into the store: policy, room, fetch, compare with the lock, commit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from toolkit.adapters.disk import FULL, way_out
from toolkit.adapters.hub.port import Hub, OpenHub
from toolkit.adapters.sources.directory import LocalFiles
from toolkit.adapters.store.store import Store
from toolkit.domain.files.snapshot import Snapshot
from toolkit.domain.quantity import format_size
from toolkit.domain.registry.model import HubSource, LocalSource, Policy, Version
from toolkit.errors import RefusedError, SourceError
from toolkit.planning.release.licence_policy import licence_verdict, permission_verdict
from toolkit.planning.upkeep.download import (
    RESERVE,
    DownloadPlan,
    lacking_files,
    plan_download,
    shortfall,
)
from toolkit.workflows.files.pool import run_all
from toolkit.workflows.files.pull_file import Downloads, FileFetch
from toolkit.workflows.files.report import PullReport, reporting
from toolkit.workflows.files.whole_weights import require_parts, require_weights, tells_of_weights

WORKERS = 8


@dataclass(frozen=True, slots=True)
class Pulled:
    """The outcome of a pull: `fetched` bytes in `seconds`, after `resumed` bytes of an earlier one.

    With `already_there` the store had the snapshot and nothing was changed.
    """

    version: Version
    snapshot: Snapshot
    path: Path
    fetched: int
    resumed: int
    seconds: float
    already_there: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "model": self.version.model,
            "version": self.version.name,
            "source": self.snapshot.source,
            "revision": self.snapshot.revision,
            "snapshot": self.snapshot.digest,
            "path": str(self.path),
            "files": len(self.snapshot.files),
            "size": self.snapshot.size,
            "fetched": self.fetched,
            "resumed": self.resumed,
            "seconds": round(self.seconds, 3),
            "already_there": self.already_there,
        }


def pull(
    version: Version,
    snapshot: Snapshot,
    store: Store,
    open_hub: OpenHub,
    policy: Policy,
    report: PullReport,
    *,
    workers: int = WORKERS,
    clock: Callable[[], float] = time.time,
) -> Pulled:
    """Bring the pinned files of `version` into the store, each compared with `snapshot`, the lock.

    The Hub is opened only where a file must come from it.
    Raises RefusedError where policy does not allow licence or files, SourceError where a source does not
    deliver a file, the disk has no room or the weights are not whole, IntegrityError where bytes differ from
    those pinned.
    """
    require_licence(version, policy)
    require_permission(version, snapshot)
    if store.has(snapshot):
        require_weights(version, snapshot, store.path(snapshot))
        return Pulled(version, snapshot, store.path(snapshot), 0, 0, 0.0, already_there=True)
    with _disk_faults(version, store), _gone_upstream(version, snapshot, store):
        return _fetched(version, snapshot, store, open_hub, report, workers, clock)


@contextmanager
def _disk_faults(version: Version, store: Store) -> Iterator[None]:
    """Turn an error of the store's disk into a SourceError."""
    try:
        yield
    except OSError as error:
        raise SourceError(
            f"{version.title} cannot be written to {store.root}: {error.strerror or error}",
            hint=way_out(store.root)
            if error.errno in FULL
            else f"check that disk and its permissions: df -h {store.root}",
        ) from error


@contextmanager
def _gone_upstream(version: Version, snapshot: Snapshot, store: Store) -> Iterator[None]:
    """Say that a version is gone upstream, how many of its files are in the store, and what to do."""
    try:
        yield
    except SourceError as error:
        if not error.gone:
            raise
        held = sum(store.has_blob(file) for file in snapshot.files)
        gone = SourceError(
            f"{version.title} is gone upstream: {error.message}; "
            f"{held} of its {len(snapshot.files)} files are in the store",
            hint="hosts that have it go on serving it; from a store that has it: toolkit bundle create; "
            f"or pin what its source has now: toolkit registry pin {version.model}",
        )
        gone.gone = gone.missing = True
        raise gone from error


def _fetched(
    version: Version,
    snapshot: Snapshot,
    store: Store,
    open_hub: OpenHub,
    report: PullReport,
    workers: int,
    clock: Callable[[], float],
) -> Pulled:
    store.sweep(clock())
    download = preview(snapshot, store)
    _require_room(version, download, store)
    started = time.monotonic()
    again = f"interrupted; what came is kept, to go on: toolkit pull {version.title}"
    with (
        reporting(report, version.title, len(download.missing), download.size, again),
        store.stage(snapshot) as staging,
    ):
        missing = staging.link_present()
        hub: Hub | None = None
        origin: Downloads
        if isinstance(version.source, LocalSource):
            origin = LocalFiles(Path(version.source.path))
        else:
            origin = hub = open_hub()
        fetch = FileFetch(version, store, staging, origin, report)
        # The small files first: they tell whether the large ones are worth a download.
        for few in (True, False):
            files = [file for file in missing if tells_of_weights(file) is few]
            run_all([partial(fetch, file) for file in files], workers)
            require = require_parts if few else require_weights
            require(version, snapshot, staging.files)
            if few and hub:
                _say_its_name(version, hub, report)
        staging.commit(version.licence, clock())
    seconds = time.monotonic() - started
    return Pulled(
        version, snapshot, store.path(snapshot), download.needed, download.resumed, seconds
    )


def _say_its_name(version: Version, hub: Hub, report: PullReport) -> None:
    """Remark that the Hub leads to a repository of another name; the pinned digests decide what is taken from it."""
    asked = version.source.key
    try:
        name = hub.resolve(asked, version.revision).name
    except SourceError:
        # A server that gives files alone is good enough for a pull.
        return
    if name and name != asked:
        report.note(f"{asked} is {name} on the Hub; its files must be the pinned ones")


def preview(snapshot: Snapshot, store: Store) -> DownloadPlan:
    """Return the files that a pull of `snapshot` would fetch; nothing is fetched."""
    return plan_download(
        snapshot,
        {file.sha256 for file in snapshot.files if store.has_blob(file)},
        {file.sha256: store.partial_size(file) for file in snapshot.files},
    )


def require_licence(version: Version, policy: Policy) -> None:
    """Raise RefusedError unless policy allows the licence of `version`."""
    verdict = licence_verdict(version, policy)
    if not verdict.allowed:
        raise RefusedError(verdict.reason, hint=verdict.hint)


def require_permission(version: Version, snapshot: Snapshot) -> None:
    """Raise RefusedError where a pinned file needs a permission that the version does not have."""
    verdict = permission_verdict(version, snapshot)
    if not verdict.allowed:
        raise RefusedError(verdict.reason, hint=verdict.hint)


def _require_room(version: Version, download: DownloadPlan, store: Store) -> None:
    files = store.free_files()
    if files is not None and (lacks := lacking_files(download, files)):
        raise SourceError(
            f"the {len(download.missing)} files of {version.title} need {files + lacks} inodes while they come, "
            f"and the disk of {store.root} has {files}",
            hint=way_out(store.root),
        )
    free = store.free_space()
    lacking = shortfall(download, free)
    if lacking:
        source = "downloads" if isinstance(version.source, HubSource) else "copies"
        raise SourceError(
            f"{version.title} {source} {format_size(download.needed)}, with "
            f"{format_size(RESERVE)} to spare; {store.root} has {format_size(free)} free",
            hint=f"free {format_size(lacking)} there, for example with: toolkit prune; "
            "or keep the store on another disk: export TOOLKIT_HOME=DIR",
        )
