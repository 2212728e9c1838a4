"""`toolkit status` where the fleet has several hosts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from toolkit.cli.output import note, print_json, say, table
from toolkit.errors import HostError

if TYPE_CHECKING:
    from toolkit.adapters.history.history import History
    from toolkit.adapters.hosts.host import HostPort


def show_fleet(
    hosts: Sequence[HostPort], history: History, model: str | None, as_json: bool
) -> None:
    """Print what runs on all hosts; exit code 7 where one does not answer, the others are shown."""
    from toolkit.cli.show import SLOT_COLUMNS, slot_row
    from toolkit.planning.change.drift import drift_of
    from toolkit.workflows.fleet.fleet_status import observe_fleet

    seen = observe_fleet(hosts, history)
    if as_json:
        print_json(seen.as_json(model))
    else:
        slots = seen.slots(model)
        if slots:
            rows = [(name, *slot_row(slot, seen.facts[name].observed_at)) for name, slot in slots]
            table(("HOST", *SLOT_COLUMNS), rows)
            say()
        else:
            say("nothing is deployed" if model is None else f"{model} is not deployed")
        for name, facts in seen.facts.items():
            if facts.router.running:
                say(f"endpoint: http://{facts.router.bind}/v1  ({name})")
            if facts.held_by:
                owner = facts.held_by
                say(f"{name} is held by {owner.actor} (pid {owner.pid}): {owner.command}")
        for facts in seen.facts.values():
            for words in drift_of(facts):
                note(f"drift: {words}")
        for name in seen.behind:
            note(f"{name}: its router has missed a change; toolkit deploy MODEL tells it")
        if seen.keys_differ:
            note("the hosts do not have the same keys; toolkit keys sync brings them together")
        for each in seen.unfinished:
            note(
                f"unfinished: deployment {each.id}, {each.action} {each.model} on {each.host} "
                f"by {each.actor}: unless it runs, the next deploy, upgrade, rollback or stop ends it"
            )
    if not seen.lost:
        return
    if as_json:
        raise click.exceptions.Exit(HostError.exit_code)
    raise HostError(
        "not all hosts answer:\n  "
        + "\n  ".join(f"{name}: {why}" for name, why in seen.lost.items()),
        hint="toolkit hosts",
    )
