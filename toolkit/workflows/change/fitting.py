"""Compare a version of the registry with hosts before any download: by its files, its lock and its engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from toolkit.adapters.history.history import History
from toolkit.adapters.hosts.port import HostPort
from toolkit.adapters.hub.port import OpenHub
from toolkit.adapters.store.store import Store
from toolkit.config.registry.lock_file import Lock
from toolkit.domain.deployment.change import Change
from toolkit.domain.deployment.release import Release
from toolkit.domain.engines.engine import EngineLock
from toolkit.domain.hosts.facts import HostFacts
from toolkit.domain.registry.model import Version
from toolkit.planning.change.deploy import Wanted
from toolkit.planning.change.rollout import Limits
from toolkit.planning.fit.host_fit import Candidate
from toolkit.planning.release.engine_choice import choose_lock
from toolkit.workflows.change.small_files import changed_files
from toolkit.workflows.change.wanted import usual_start
from toolkit.workflows.fleet.fit_plan import FleetFit, files_of, plan_fit, read_model


@dataclass(frozen=True, slots=True)
class FitSources:
    """The sources of a version's files and engine on the ops machine: locks, its store, the Hub."""

    lock: Lock
    engines: tuple[EngineLock, ...]
    store: Store
    open_hub: OpenHub


def fit_version(
    version: Version,
    sources: FitSources,
    hosts: Sequence[HostPort],
    history: History,
    limits: Limits,
    alternates: tuple[str, ...] = (),
) -> FleetFit:
    """Return how a version fits on `hosts`, within the `limits` of an upgrade; it takes turns with its `alternates`.

    Raises SourceError where its files cannot be read.
    """
    lock, store, open_hub = sources.lock, sources.store, sources.open_hub
    pinned = lock.snapshot_of(version) if lock.has(version) else None
    snapshot = files_of(version, pinned, open_hub)

    def changed(release: Release, facts: HostFacts) -> tuple[Change, ...]:
        return changed_files(release, snapshot, facts, store, lock.snapshots)

    candidate = Candidate(
        version=version,
        files=read_model(version, snapshot, store, open_hub),
        snapshot=snapshot,
        lock_for=partial(choose_lock, sources.engines, version.engine),
        wanted=_wanted(version, history, changed),
        alternates=alternates,
    )
    return plan_fit(candidate, hosts, history, limits)


def _wanted(
    version: Version,
    history: History,
    changed: Callable[[Release, HostFacts], tuple[Change, ...]],
) -> Callable[[Release, HostFacts], Wanted]:
    seconds = usual_start(history, version.model)

    def wanted(release: Release, facts: HostFacts) -> Wanted:
        files = changed(release, facts)
        return Wanted(
            "upgrade", release, facts.converged, ready_seconds=seconds, file_changes=files
        )

    return wanted
