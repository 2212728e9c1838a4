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
from toolkit.cli.output import print_json, say, table
from toolkit.cli.views.host import open_host
from toolkit.domain.facts import HostFacts
from toolkit.domain.fit import FitRecord, Prediction
from toolkit.domain.model import Version
from toolkit.domain.quantity import format_size
from toolkit.domain.release import Release
from toolkit.errors import NothingSuitableError
from toolkit.planning.change.deploy import Wanted
from toolkit.planning.change.rollout import Limits
from toolkit.planning.fit.host_fit import Candidate, HostFit
from toolkit.planning.release.engine_choice import choose_lock
from toolkit.workflows.change.wanted import usual_start
from toolkit.workflows.fleet.fit_plan import FleetFit, files_of, plan_fit, read_model

# The number of earlier starts in the output.
STARTS = 5


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
    _show(found)
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
        wanted=_wanted(version, history),
    )


def _wanted(version: Version, history: History) -> Callable[[Release, HostFacts], Wanted]:
    seconds = usual_start(history, version.model)

    def wanted(release: Release, facts: HostFacts) -> Wanted:
        return Wanted("upgrade", release, facts.converged, ready_seconds=seconds)

    return wanted


def _show(found: FleetFit) -> None:
    need, version = found.need, found.version
    say(f"{version.title}  {version.source.key}@{version.revision[:12]}")
    say(f"  weights   {format_size(found.weights)} in its files")
    if version.permission.allowed:
        allowed = ", ".join(version.permission.allowed)
        say(f"  permits   {allowed}: {version.permission.reason}")
    if need.note:
        say(f"  cache     {need.note}")
    else:
        say(f"  cache     {format_size(need.token)} a token; {need.context:,} tokens a request")
        say(f"  reserve   {_reserve(need)}")
        say(f"  needs     {_least(found)}")
    if found.hosts:
        say()
        table(_COLUMNS, [_row(host) for host in found.hosts])
    for host in found.hosts:
        if host.several:
            say(
                f"\n{host.host}: {host.several.hosts} such hosts would hold it together, "
                f"tensor parallel {host.several.tensor} x pipeline parallel {host.several.pipeline}; "
                f"`hosts: {host.several.hosts}` under `resources` makes them"
            )
    together = version.resources.hosts
    if together > 1:
        fit = sum(host.fits for host in found.hosts)
        say(f"\none replica runs on {together} hosts together; it fits on {fit}")
    for name, why in found.unreachable.items():
        say(f"\nnot reached: {name}: {why}")
    if found.upgrade.words:
        words = ", ".join(filter(None, (found.upgrade.strategy, found.upgrade.words)))
        say(f"\nupgrade: {words}")
    if found.records:
        say()
        table(_STARTS, [_start_row(record) for record in found.records[:STARTS]])


def _reserve(need: Prediction) -> str:
    outside = f", {format_size(need.outside)} beside the engine's share" if need.outside else ""
    return f"{format_size(need.reserve)} beside them{outside}, estimated"


def _least(found: FleetFit) -> str:
    resources = found.version.resources
    each = "" if resources.devices == 1 else f" on each of {resources.devices} devices"
    asked = format_size(resources.memory // resources.devices)
    least = format_size(found.need.least + found.need.outside)
    return f"at least {least}{each}; its `resources.memory` gives {asked}"


_COLUMNS = (
    "HOST", "FITS", "ON", "WEIGHTS", "CACHE", "TOKENS", "LONGEST", "REQUESTS", "UPGRADE", "WHY",
)  # fmt: skip


def _row(host: HostFit) -> tuple[str, ...]:
    said = host.prediction
    known = said is not None and not said.note
    return (
        host.host,
        "yes" if host.fits else "no",
        _where(host),
        format_size(said.weights) if said else "-",
        format_size(max(said.cache, 0)) if said and known else "-",
        f"{said.tokens:,}" if said and known else "-",
        f"{said.longest:,}" if said and known else "-",
        f"{said.concurrency:.1f} x {said.context:,}" if said and known else "-",
        host.strategy or "-",
        host.why or host.has,
    )


def _where(host: HostFit) -> str:
    if not host.accelerator:
        return "-"
    return f"{host.accelerator} {','.join(map(str, host.devices))}".strip()


_STARTS = (
    "START OF", "HOST", "TOKENS PREDICTED", "TOKENS", "ERROR", "WEIGHTS PREDICTED", "WEIGHTS", "ERROR",
)  # fmt: skip


def _start_row(record: FitRecord) -> tuple[str, ...]:
    tokens, weights = record.actual.tokens, record.actual.weights
    return (
        f"{record.model} #{record.release}",
        record.host,
        f"{record.predicted.tokens:,}",
        f"{tokens:,}" if tokens else "-",
        _percent(record.token_error),
        format_size(record.predicted.weights),
        format_size(weights) if weights else "-",
        _percent(record.weight_error),
    )


def _percent(error: float | None) -> str:
    return "-" if error is None else f"{error:+.1%}"
