"""`toolkit verify`: compare hosts and store with what was pinned and deployed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
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
    from toolkit.workflows.tools import Tools


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
    there = [host for host in hosts if host.name in seen.facts]
    pinned = pinned_in(store, locked)
    on_hosts = each_at_once(there, lambda host: verify_host(host, pinned, note)) if there else []
    found = [*(each for of_host in on_hosts for each in of_host), *verify_store(store, note)]
    differing = each_at_once(there, lambda host: verify_engines(host, note)) if there else []
    engines = {host.name: each for host, each in zip(there, differing, strict=True) if each}
    if not as_json:
        _verified_table(found)
    faults = [
        f"{each.where} {each.digest[:12]}: {fault}" for each in found for fault in each.faults
    ]
    changed = _engine_lines(engines)
    lacking = {name for name, facts in seen.facts.items() if missing_engines(facts)}
    copies = [
        f"bin/{copy} on {name}" for name, each in seen.facts.items() for copy in each.changed_copies
    ]
    done: list[str] = []
    kept: Mapping[str, ToolkitError] = {}
    if repair and (faults or changed or lacking or copies):
        trail_now().begin({"repair": [*faults, *changed, *copies]})
        seen = renew_programs(members, seen)
        done += [f"placed {copy} anew" for copy in copies]
        taken, kept = take_out_of_use(
            there,
            store,
            found,
            lambda host: lock_all([host], lock_owner(), patience_now(note)),
            pinned,
            note,
        )
        done += taken
        to_do = [each for each in members if each.host.name in {*engines, *lacking}]
        repaired, changed = _bring_engines(to_do, engines)
        done += repaired
        again = _look(there)
        seen = FleetFacts({**seen.facts, **again.facts}, {**seen.errors, **again.errors})
    drift = [words for facts in seen.facts.values() for words in drift_of(facts)]
    failure = _failure(faults, drift, changed, seen, kept, repair=repair)
    if as_json:
        snapshots = [asdict(each) for each in found]
        document = {"snapshots": snapshots, "drift": [*drift, *changed], "repaired": done}
        print_json({**document, "unreachable": seen.unreachable}, failure)
    elif failure:
        raise failure
    elif done:
        say("hosts and store are as they were pinned and deployed again")


def _look(hosts: Sequence[HostPort]) -> FleetFacts:
    """Return the facts of hosts without what they suspect of snapshots: here these are hashed whole."""
    seen = look(hosts)
    facts = {name: each.without_changed_snapshots() for name, each in seen.facts.items()}
    return replace(seen, facts=facts)


def _bring_engines(
    members: Sequence[Tools], engines: Mapping[str, Mapping[str, tuple[str, ...]]]
) -> tuple[list[str], list[str]]:
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


def _engine_lines(engines: Mapping[str, Mapping[str, tuple[str, ...]]]) -> list[str]:
    return [
        f"{name} engine {engine}: {fault}"
        for name, changed in engines.items()
        for engine, faults in changed.items()
        for fault in faults
    ]


def _failure(
    faults: Sequence[str],
    drift: Sequence[str],
    engines: Sequence[str],
    seen: FleetFacts,
    kept: Mapping[str, ToolkitError],
    *,
    repair: bool,
) -> ToolkitError | None:
    """Return one error for all damaged parts; `engines` are the lines about engines.

    `kept` says why hosts keep damaged snapshots.
    """
    again, deploy = "toolkit verify --repair", "toolkit deploy MODEL"
    anew = f"toolkit provision --force, and {deploy}"
    if faults:
        rows = [
            f"{name}: not taken out of use: {own_words(name, error.message)}"
            for name, error in kept.items()
        ]
        lines = [*faults, *drift, *engines, *rows]
        written = any(
            len(each.changed_files) > len(each.changed_copies) for each in seen.facts.values()
        )
        ways = ([] if repair and not kept else [again]) + ([anew] if written else [])
        differing = IntegrityError(
            "files differ from what was pinned:\n  " + "\n  ".join(lines),
            hint=f"find out who wrote there; then: {', '.join(ways or [deploy])}",
        )
        differing.hosts = kept
        return with_unchecked(differing, seen.errors)
    if drift or engines:
        copies = any(each.changed_copies for each in seen.facts.values())
        ways = [again] if engines or copies else []
        ways += ["toolkit repair"] if any(each.damaged for each in seen.facts.values()) else []
        told = [each for each in drift if "; on " in each]
        others = [each for each in drift if "toolkit repair" not in each and each not in told]
        ways += [anew] if others else []
        ways += ["what its line says"] if told else []
        differing = IntegrityError(
            "hosts differ from what was deployed:\n  " + "\n  ".join([*drift, *engines]),
            hint=f"find out who did it; then: {', '.join(ways)}",
        )
        return with_unchecked(differing, seen.errors)
    return seen.failure() if seen.errors else None


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
