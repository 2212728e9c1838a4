"""What `toolkit plan` compares: a version of the registry, by its files, its lock and its engine, and the hosts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from toolkit.adapters.history.history import History
from toolkit.adapters.hosts.port import HostPort
from toolkit.cli.context import Pins, open_hub, open_store, read_pins
from toolkit.domain.change import Change
from toolkit.domain.facts import HostFacts
from toolkit.domain.model import Version
from toolkit.domain.release import Release
from toolkit.domain.snapshot import Snapshot
from toolkit.planning.change.deploy import Wanted
from toolkit.planning.change.rollout import Limits
from toolkit.planning.fit.host_fit import Candidate
from toolkit.planning.release.engine_choice import choose_lock
from toolkit.workflows.change.small_files import changed_files
from toolkit.workflows.change.wanted import usual_start
from toolkit.workflows.fleet.fit_plan import FleetFit, files_of, plan_fit, read_model


def fit_of(
    model: str,
    registry_path: str,
    place: Path,
    hosts: Sequence[HostPort],
    history: History,
    limits: Limits,
) -> FleetFit:
    """Return how the version `MODEL[@VERSION]` of the registry fits on `hosts`, within the `limits` of an upgrade.

    `place` is the home of the ops machine. Raises InputError for a version that the registry does not have, and
    SourceError where its files cannot be read.
    """
    pins = read_pins(registry_path, place)
    candidate = _candidate(pins.registry.version(model), pins, place, history)
    return plan_fit(candidate, hosts, history, limits)


def _candidate(version: Version, pins: Pins, place: Path, history: History) -> Candidate:
    pinned = pins.lock.snapshot_of(version) if pins.lock.has(version) else None
    snapshot = files_of(version, pinned, open_hub)
    return Candidate(
        version=version,
        files=read_model(version, snapshot, open_store(place), open_hub),
        snapshot=snapshot,
        lock_for=partial(choose_lock, pins.engines, version.engine),
        wanted=_wanted(version, history, partial(_changed_files, snapshot, pins, place)),
    )


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


def _changed_files(
    snapshot: Snapshot, pins: Pins, place: Path, release: Release, facts: HostFacts
) -> tuple[Change, ...]:
    return changed_files(release, snapshot, facts, open_store(place), pins.lock.snapshots)
