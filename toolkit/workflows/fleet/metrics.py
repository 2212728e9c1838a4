"""Keep the directory for Prometheus: its targets follow from the hosts as they are."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from toolkit.adapters.hosts.port import HostPort
from toolkit.adapters.metrics_files import keep_setup, read_setup, shipped_dashboards, write_files
from toolkit.adapters.schedule_record import ScheduleRecord
from toolkit.domain.clients.use import UseRun
from toolkit.domain.deployment.schedule import Schedule
from toolkit.domain.hosts.metrics import MetricsSetup, ScrapeTarget
from toolkit.errors import InputError, ToolkitError
from toolkit.planning.engines import all_figures
from toolkit.planning.metrics.ops_figures import FILE, render_ops
from toolkit.planning.metrics.recording import NOTHING, Promised
from toolkit.planning.metrics.scrape import fixed_files, target_files
from toolkit.planning.metrics.targets import OPS, REPLICA, kept_targets, out_of_reach, targets
from toolkit.planning.upkeep.windows import due
from toolkit.planning.use.reconciled import at_rest, reconciled
from toolkit.workflows.fleet.look import look

# Seconds for which a difference of a run is told after its last counters: its engine is gone by then, and no ticket can
# end the difference.
DIFFERENCE_TOLD = 7 * 86_400.0


@dataclass(frozen=True, slots=True)
class Scraped:
    """The sources of Prometheus: targets by job; the hosts that no other machine can ask; why others did not answer.

    `changed` are the files that were written, by path below the directory.
    """

    setup: MetricsSetup
    targets: Mapping[str, tuple[ScrapeTarget, ...]]
    out_of_reach: tuple[str, ...]
    unreachable: Mapping[str, str]
    changed: tuple[str, ...] = ()


def set_up(
    home: Path, setup: MetricsSetup, hosts: Sequence[HostPort], promised: Promised = NOTHING
) -> Scraped:
    """Write all files of the directory, and remember it, so that deployments keep its targets current.

    `promised` are models' own objectives. Raises InputError where the directory cannot be written.
    """
    written = write_files(Path(setup.directory), _fixed(setup, promised))
    followed = _follow(setup, hosts)
    keep_setup(home, setup)
    return Scraped(
        setup,
        followed.targets,
        followed.out_of_reach,
        followed.unreachable,
        (*written, *followed.changed),
    )


def scraped(
    home: Path,
    hosts: Sequence[HostPort],
    promised: Callable[[MetricsSetup], Promised] = lambda _: NOTHING,
) -> Scraped:
    """Return the texts that Prometheus would read now, and the files that differ; raises InputError without a setup."""
    setup = _require_setup(home)
    wanted, apart, unreachable = _wanted(setup, hosts)
    texts = {**_fixed(setup, promised(setup)), **target_files(wanted)}
    stale = [name for name, text in texts.items() if _text(Path(setup.directory) / name) != text]
    return Scraped(setup, wanted, apart, unreachable, tuple(stale))


def follow(home: Path, hosts: Sequence[HostPort]) -> None:
    """Bring the targets to the hosts as they are, where the operator has set the directory up; else do nothing."""
    setup = read_setup(home)
    if setup is not None:
        _follow(setup, hosts)


def _fixed(setup: MetricsSetup, promised: Promised) -> dict[str, str]:
    return {**fixed_files(setup, all_figures(), promised), **shipped_dashboards()}


def _follow(setup: MetricsSetup, hosts: Sequence[HostPort]) -> Scraped:
    wanted, apart, unreachable = _wanted(setup, hosts)
    changed = write_files(Path(setup.directory), target_files(wanted))
    return Scraped(setup, wanted, apart, unreachable, changed)


def _wanted(
    setup: MetricsSetup, hosts: Sequence[HostPort]
) -> tuple[dict[str, tuple[ScrapeTarget, ...]], tuple[str, ...], Mapping[str, str]]:
    """Return the targets by job, the hosts that no other machine can ask, and why others do not answer."""
    seen = look(hosts)
    known = [each.host for each in hosts]
    found = targets(known, seen.facts)
    if setup.ops_exporter:
        found[OPS] = (
            ScrapeTarget(setup.ops_exporter, "/metrics", {"host": "ops", "instance": "ops"}),
        )
    if seen.errors:
        # Keep the targets of hosts that are away: an alert must tell of these hosts.
        before = _text(Path(setup.directory) / f"targets/{REPLICA}.json")
        found[REPLICA] = (*found[REPLICA], *kept_targets(before, seen.errors))
    return found, out_of_reach(known), seen.unreachable


def keep_ops_figures(
    home: Path,
    read_schedule: Callable[[MetricsSetup], Schedule],
    use: Callable[[], Sequence[UseRun]],
) -> None:
    """Write what this ops machine knows, where the operator has set a directory up; else do nothing.

    A schedule or a history that cannot be read leaves its figures out: their absence shows. Differences are of runs at
    rest whose counters were read in the last days.
    """
    setup = read_setup(home)
    if setup is None:
        return
    windows: dict[str, float] = {}
    differences: list[tuple[str, str, int, int]] = []
    now = time.time()
    if setup.schedule:
        with suppress(ToolkitError):
            known = ScheduleRecord(home).read()
            windows = due(read_schedule(setup), known.since or now, known.known)
    with suppress(ToolkitError):
        differences = [
            (each.model, each.version, each.release, each.difference_in + each.difference_out)
            for each in reconciled(at_rest(use()), since=now - DIFFERENCE_TOLD)
        ]
    write_files(Path(setup.directory), {FILE: render_ops(now, windows, differences)})


def _require_setup(home: Path) -> MetricsSetup:
    setup = read_setup(home)
    if setup is None:
        raise InputError(
            "no directory for Prometheus is set up", hint="toolkit metrics setup DIRECTORY"
        )
    return setup


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, ValueError):
        return ""
