"""`toolkit prune`: tidy what is on the hosts and in the store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from toolkit.cli.arguments.numbers import Whole
from toolkit.cli.arguments.options import dry_run_option, registry_option, site_options, yes_option
from toolkit.cli.arguments.waiting import wait_option
from toolkit.cli.changing.members import open_members
from toolkit.cli.opening.context import home_directory, open_fleet, open_store
from toolkit.cli.opening.trail import changing
from toolkit.cli.terminal.output import note, print_json, say
from toolkit.cli.views.dry_run import DryRun
from toolkit.cli.views.plan import go_ahead
from toolkit.config.registry.lock_file import read_lock
from toolkit.domain.excerpt import escaped
from toolkit.domain.hosts.leftover import LeftoverKind
from toolkit.domain.quantity import format_age, format_size
from toolkit.workflows.fleet.prune import Unused
from toolkit.workflows.fleet.prune import prune as prune_host


@click.command()
@changing(goes_on=True)
@click.option(
    "--keep",
    type=Whole(0),
    default=2,
    show_default=True,
    help="Live releases of each model to keep.",
)
@yes_option()
@wait_option()
@dry_run_option("Show what would be removed and stop.")
@registry_option()
@site_options()
def prune(
    keep: int,
    yes: bool,
    dry_run: bool,
    registry_path: str,
    fleet: str | None,
    home: str | None,
    as_json: bool,
) -> None:
    """Remove snapshots and engines that nothing uses any more, and what was cut short."""
    from toolkit.config.registry.reading import load_registry

    home_path = home_directory(home)

    def confirm(unused: Unused) -> bool:
        for line in _leavings_lines(unused):
            note(line)
        if dry_run:
            if as_json:
                print_json({"remove": _leavings_json(unused), "dry_run": True})
            else:
                say("dry run: nothing was removed")
            raise DryRun
        return go_ahead({"remove": _leavings_json(unused)}, yes=yes, question="remove them?")

    # In a directory without the registry everything in the store would look unused.
    load_registry(Path(registry_path))
    store = open_store(home_path)
    # Remove the leftovers of killed commands first: on a full disk the history needs their room.
    if not dry_run:
        store.sweep()
    members = open_members(home_path, open_fleet(fleet).hosts, None, history_needed=False)
    if members[0].history.fault:
        note("the hosts keep everything: what their releases need is in the history")
    unused, freed = prune_host(
        members, store, lambda: read_lock(Path(registry_path)).snapshots.values(), keep, confirm
    )
    if as_json:
        print_json({"removed": _leavings_json(unused), "freed": freed})
    elif unused.empty:
        say("nothing to remove: everything is in use or recent")
    else:
        say(f"removed; {format_size(freed)} of files on the host")


# The words about a leftover before its age.
_WORDS = {
    LeftoverKind.TRANSFER: "a transfer that ended",
    LeftoverKind.REMOVAL: "a removal that was cut short",
    LeftoverKind.PACKAGES: "packages that came",
    LeftoverKind.INSTALLATION: "an installation that was cut short",
    LeftoverKind.COPY: "a copy that was cut short",
}


def _leavings_lines(unused: Any) -> list[str]:
    lines = []
    for name, found in unused.hosts.items():
        lines += [f"remove snapshot {digest[:12]} on {name}" for digest in found.snapshots]
        lines += [f"remove engine {engine} on {name}" for engine in found.engines]
        lines += [
            f"remove {escaped(each.path)} on {name}, {format_size(each.size)}, "
            f"{_WORDS[each.kind]} {format_age(each.age)} ago"
            for each in found.leftovers
        ]
    lines += [f"remove {each.source}@{each.revision[:12]} in the store" for each in unused.stored]
    lines += [
        f"remove {each.kind} {escaped(each.path.name[:40])} in the store, {format_size(max(each.size, 0))}"
        for each in unused.leftovers
    ]
    kept = dict.fromkeys(line for found in unused.hosts.values() for line in found.kept)
    return [*lines, *(f"keep {line}" for line in kept)]


def _leavings_json(unused: Any) -> dict[str, Any]:
    hosts = {
        name: {
            "snapshots": list(found.snapshots),
            "engines": list(found.engines),
            "leftovers": [each.as_json() for each in found.leftovers],
        }
        for name, found in unused.hosts.items()
    }
    return {
        "hosts": hosts,
        "store": [f"{each.source}@{each.revision}" for each in unused.stored],
        "leftovers": [each.path.name for each in unused.leftovers],
    }
