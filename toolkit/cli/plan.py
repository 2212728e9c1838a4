"""`toolkit plan`: show whether a version fits on each host, and what an upgrade would do."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import click

from toolkit.adapters.history.history import History
from toolkit.cli.context import (
    Pins,
    home_directory,
    open_fleet,
    open_history,
    open_hub,
    open_store,
    read_pins,
)
from toolkit.cli.options import (
    fleet_option,
    home_option,
    json_option,
    keep_option,
    registry_option,
    serial_option,
)
from toolkit.cli.output import print_json, say
from toolkit.cli.views.fit import fit_lines
from toolkit.cli.views.host import open_host
from toolkit.domain.change import Change
from toolkit.domain.facts import HostFacts
from toolkit.domain.model import Version
from toolkit.domain.release import Release
from toolkit.domain.snapshot import Snapshot
from toolkit.errors import NothingSuitableError
from toolkit.planning.change.deploy import Wanted
from toolkit.planning.change.rollout import Limits
from toolkit.planning.fit.host_fit import Candidate
from toolkit.planning.release.engine_choice import choose_lock
from toolkit.workflows.change.small_files import changed_files
from toolkit.workflows.change.wanted import usual_start
from toolkit.workflows.fleet.fit_plan import files_of, plan_fit, read_model


@click.command()
@click.argument("model", metavar="MODEL[@VERSION]")
@serial_option()
@keep_option()
@registry_option()
@fleet_option()
@home_option()
@json_option()
def plan(
    model: str,
    serial: int,
    keep: int,
    registry_path: str,
    fleet: str | None,
    home: str | None,
    as_json: bool,
) -> None:
    """Show whether a version fits on each host, before any download."""

    place = home_directory(home)
    pins = read_pins(registry_path, place)
    version = pins.registry.version(model)
    hosts = [open_host(host, place) for host in open_fleet(fleet).hosts]
    history, limits = open_history(place, needed=False), Limits(serial=serial, keep=keep)
    found = plan_fit(_candidate(version, pins, place, history), hosts, history, limits)
    failure = None
    if not found.fits:
        failure = NothingSuitableError(f"{version.title} does not fit on this fleet")
    if as_json:
        print_json(found.as_json(), failure)
        return
    for line in fit_lines(found):
        say(line)
    if failure:
        raise failure


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
