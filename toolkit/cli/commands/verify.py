"""`toolkit verify`: compare hosts and store with what was pinned and deployed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from toolkit.cli.arguments.options import registry_option, site_options
from toolkit.cli.arguments.waiting import patience_now, wait_option
from toolkit.cli.changing.members import open_members
from toolkit.cli.opening.context import (
    home_directory,
    lock_owner,
    open_fleet,
    open_hosts,
    open_store,
)
from toolkit.cli.opening.trail import changing, trail_now
from toolkit.cli.terminal.output import note, print_json, say, table
from toolkit.config.registry.lock_file import read_lock
from toolkit.domain.hosts.facts import FleetFacts
from toolkit.domain.hosts.failures import own_words, with_unchecked
from toolkit.domain.quantity import format_size
from toolkit.errors import IntegrityError, InterruptionError, ToolkitError
from toolkit.planning.change.drift import drift_of, missing_engines
from toolkit.workflows.change.engine_repair import repair_engines
from toolkit.workflows.change.repair import renew_programs
from toolkit.workflows.fleet.look import each_at_once, lock_all, look
from toolkit.workflows.fleet.verify import (
    Verified,
    pinned_in,
    take_out_of_use,
    verify_engines,
    verify_host,
    verify_store,
)

if TYPE_CHECKING:
    from toolkit.adapters.hosts.port import HostPort
    from toolkit.adapters.store.store import Store
    from toolkit.domain.files.snapshot import Snapshot
    from toolkit.workflows.tools import Tools

    # The differences of engines, by host and engine; the look-up of a pinned snapshot by its digest.
    Engines = Mapping[str, Mapping[str, tuple[str, ...]]]
    Pinned = Callable[[str], Snapshot | None]


@click.command()
@changing(goes_on=True)
@click.option(
    "--repair",
    is_flag=True,
    help="Take damaged snapshots out of use; install changed engines and the host's side anew.",
)
@wait_option()
@registry_option()
@site_options()
def verify(
    repair: bool, registry_path: str, fleet: str | None, home: str | None, as_json: bool
) -> None:
    """Compare hosts and store with what was pinned and deployed; hashes all snapshots again."""

    locked = {each.digest: each for each in read_lock(Path(registry_path)).snapshots.values()}
    home_path = home_directory(home)
    store = open_store(home_path)
    members: Sequence[Tools] = ()
    if repair:
        members = open_members(home_path, open_fleet(fleet).hosts, None, history_needed=False)
    hosts = [each.host for each in members] if repair else open_hosts(fleet, home_path)
    seen = _look(hosts)
    pinned = pinned_in(store, locked)
    found = _find(seen, hosts, store, pinned)
    if not as_json:
        _verified_table(found.snapshots)
    after = _After(found.seen, found.engine_lines)
    if repair and found.repairable:
        after = _repair(members, store, pinned, found)
    drift = [words for facts in after.seen.facts.values() for words in drift_of(facts)]
    failure = _failure(found.faults, drift, after, repair=repair)
    if as_json:
        snapshots = [asdict(each) for each in found.snapshots]
        differing = [*drift, *after.engine_lines]
        document = {"snapshots": snapshots, "drift": differing, "repaired": after.done}
        print_json({**document, "unreachable": after.seen.unreachable}, failure)
    elif failure:
        raise failure
    elif after.done:
        say("hosts and store are as they were pinned and deployed again")


@dataclass(frozen=True, slots=True)
class _Findings:
    """The snapshots as they were hashed, and what differs of `engines`, by host and engine."""

    seen: FleetFacts
    snapshots: Sequence[Verified]
    engines: Engines

    @property
    def faults(self) -> list[str]:
        """The faults of snapshots, a line each."""
        return [
            f"{each.where} {each.digest[:12]}: {fault}"
            for each in self.snapshots
            for fault in each.faults
        ]

    @property
    def engine_lines(self) -> list[str]:
        """The differences of engines, a line each."""
        return _engine_lines(self.engines)

    @property
    def copies(self) -> list[str]:
        """The changed copies of the host's side, with their hosts."""
        facts = self.seen.facts.items()
        return [f"bin/{copy} on {name}" for name, each in facts for copy in each.changed_copies]

    @property
    def lacking(self) -> set[str]:
        """The hosts that lack an engine of a slot."""
        return {name for name, facts in self.seen.facts.items() if missing_engines(facts)}

    @property
    def repairable(self) -> bool:
        """Whether `--repair` has something to do."""
        return bool(self.faults or self.engine_lines or self.lacking or self.copies)


@dataclass(frozen=True, slots=True)
class _After:
    """The facts after a repair, the engines that still differ, what was `done`, and hosts that `kept` snapshots."""

    seen: FleetFacts
    engine_lines: Sequence[str]
    done: Sequence[str] = ()
    kept: Mapping[str, ToolkitError] = field(default_factory=dict)


def _find(seen: FleetFacts, hosts: Sequence[HostPort], store: Store, pinned: Pinned) -> _Findings:
    there = [host for host in hosts if host.name in seen.facts]
    on_hosts = each_at_once(there, lambda host: verify_host(host, pinned, note)) if there else []
    snapshots = [*(each for of_host in on_hosts for each in of_host), *verify_store(store, note)]
    differing = each_at_once(there, lambda host: verify_engines(host, note)) if there else []
    engines = {host.name: each for host, each in zip(there, differing, strict=True) if each}
    return _Findings(seen, snapshots, engines)


def _repair(members: Sequence[Tools], store: Store, pinned: Pinned, found: _Findings) -> _After:
    trail_now().begin({"repair": [*found.faults, *found.engine_lines, *found.copies]})
    there = [each.host for each in members if each.host.name in found.seen.facts]
    seen = renew_programs(members, found.seen)
    taken, kept = take_out_of_use(
        there,
        store,
        found.snapshots,
        lambda host: lock_all([host], lock_owner(), patience_now(note)),
        pinned,
        note,
    )
    to_do = [each for each in members if each.host.name in {*found.engines, *found.lacking}]
    repaired, left = _bring_engines(to_do, found.engines)
    again = _look(there)
    seen = FleetFacts({**seen.facts, **again.facts}, {**seen.errors, **again.errors})
    placed = [f"placed {copy} anew" for copy in found.copies]
    return _After(seen, left, [*placed, *taken, *repaired], kept)


def _look(hosts: Sequence[HostPort]) -> FleetFacts:
    """Return the facts of hosts without what they suspect of snapshots: here these are hashed whole."""
    seen = look(hosts)
    facts = {name: each.without_changed_snapshots() for name, each in seen.facts.items()}
    return replace(seen, facts=facts)


def _bring_engines(members: Sequence[Tools], engines: Engines) -> tuple[list[str], list[str]]:
    """Return the repairs and the remaining differences, a line each."""
    done, left = [], []
    for tools in members:
        name = tools.host.name
        changed = engines.get(name, {})
        try:
            repaired, failed = repair_engines(tools, changed)
        except InterruptionError:
            raise
        except ToolkitError as error:
            left += [
                *_engine_lines({name: changed}),
                f"{name}: no engine was brought back: {error.message}",
            ]
            continue
        for line in repaired:
            note(line)
        done += repaired
        left += failed
    return done, left


def _engine_lines(engines: Engines) -> list[str]:
    return [
        f"{name} engine {engine}: {fault}"
        for name, changed in engines.items()
        for engine, faults in changed.items()
        for fault in faults
    ]


def _failure(
    faults: Sequence[str], drift: Sequence[str], after: _After, *, repair: bool
) -> ToolkitError | None:
    """Return one error for all damaged parts."""
    if faults:
        error = _other_files([*faults, *drift, *after.engine_lines], after, repair=repair)
        return with_unchecked(error, after.seen.errors)
    if drift or after.engine_lines:
        return with_unchecked(_drifted(drift, after), after.seen.errors)
    return after.seen.failure() if after.seen.errors else None


_AGAIN, _DEPLOY = "toolkit verify --repair", "toolkit deploy MODEL"
# Routes, maps and keys first: `provision` has HAProxy check its base with them.
_ANEW = f"toolkit repair, toolkit provision --force, and {_DEPLOY}"


def _other_files(lines: Sequence[str], after: _After, *, repair: bool) -> IntegrityError:
    facts, kept = after.seen.facts.values(), after.kept
    rows = [
        f"{name}: not taken out of use: {own_words(name, error.message)}"
        for name, error in kept.items()
    ]
    written = any(len(each.changed_files) > len(each.changed_copies) for each in facts)
    ways = ([] if repair and not kept else [_AGAIN]) + ([_ANEW] if written else [])
    error = IntegrityError(
        "files differ from what was pinned:\n  " + "\n  ".join([*lines, *rows]),
        hint=f"find out who wrote there; then: {', '.join(ways or [_DEPLOY])}",
    )
    error.hosts = kept
    return error


def _drifted(drift: Sequence[str], after: _After) -> IntegrityError:
    facts, engines = after.seen.facts.values(), after.engine_lines
    told = [each for each in drift if "; on " in each]
    others = [each for each in drift if "toolkit repair" not in each and each not in told]
    ways = {
        _AGAIN: engines or any(each.changed_copies for each in facts),
        "toolkit repair": not others and any(each.damaged for each in facts),
        _ANEW: others,
        "what its line says": told,
    }
    return IntegrityError(
        "hosts differ from what was deployed:\n  " + "\n  ".join([*drift, *engines]),
        hint=f"find out who did it; then: {', '.join(way for way, helps in ways.items() if helps)}",
    )


def _verified_table(found: Sequence[Verified]) -> None:
    if not found:
        say("no snapshots on the host or in the store")
        return
    table(
        ("WHERE", "SNAPSHOT", "FILES", "SIZE", "USED BY", "RESULT"),
        [
            (
                each.where,
                each.digest[:12],
                each.files,
                format_size(each.size),
                ", ".join(each.used_by) or "-",
                f"{len(each.faults)} differ" if each.faults else "as pinned",
            )
            for each in found
        ],
    )
