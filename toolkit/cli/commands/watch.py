"""`toolkit watch`, `promote`, `abort`: look at a release that earns its traffic, and decide for its guards."""

from __future__ import annotations

import time
from typing import Any

import click

from toolkit.adapters.hosts.port import HostPort
from toolkit.cli.arguments.options import site_options
from toolkit.cli.opening.context import home_directory, lock_owner, open_hosts
from toolkit.cli.opening.trail import changing
from toolkit.cli.terminal.output import note, print_json, print_json_line, say, table
from toolkit.cli.terminal.streams import output_is_lost
from toolkit.cli.views.guard import COLUMNS, guard_json, guard_lines, guard_row
from toolkit.domain.gates.verdict import GuardPhase, Verdict
from toolkit.domain.hosts.facts import FleetFacts, GuardFacts
from toolkit.errors import InputError, ReleaseFailedError
from toolkit.workflows.change.wishes import watched, wish
from toolkit.workflows.fleet.look import look

# Seconds between two looks.
_EACH = 1.0


@click.command()
@click.argument("model")
@click.option("--once", is_flag=True, help="Show how it stands now, and end.")
@site_options()
def watch(model: str, once: bool, fleet: str | None, home: str | None, as_json: bool) -> None:
    """Follow a release in its canary and its bake; exit code 8 where it is returned."""
    hosts = open_hosts(fleet, home_directory(home))
    last: list[tuple[str, GuardFacts]] = []
    silent: dict[str, str] = {}
    while True:
        seen = look(hosts)
        guards = watched(seen, model)
        # Of a host that does not answer, nobody knows more than what it showed last.
        last = [*guards, *(each for each in last if each[0] in seen.errors)] or last
        if not last:
            raise seen.failure() if seen.errors else _unwatched(model)
        _show(last, as_json=as_json)
        over = not guards or all(_is_over(each) for _, each in guards)
        if output_is_lost() and not over:
            return
        if over and not once:
            _require_live(seen, model, last)
        if seen.errors and (over or once):
            more = f"what became of {model} there is not known"
            raise seen.failure(hint=f"toolkit watch {model}, once they answer", more=more)
        if over or once:
            return
        for name in seen.unreachable.keys() - silent.keys():
            note(f"{name} does not answer: {seen.unreachable[name]}")
        silent = seen.unreachable
        time.sleep(_EACH)


@click.command()
@changing(at_once=True)
@click.argument("model")
@site_options()
def promote(model: str, **options: Any) -> None:
    """End the watch of a release at once: a canary gets all traffic, a bake is over."""
    _wish("promote", model, **options)


@click.command()
@changing(at_once=True, goes_on=True)
@click.argument("model")
@site_options()
def abort(model: str, **options: Any) -> None:
    """Give all traffic back to the release before, and mark the watched one as failed."""
    _wish("abort", model, **options)


def _wish(wanted: str, model: str, fleet: str | None, home: str | None, as_json: bool) -> None:
    hosts: list[HostPort] = open_hosts(fleet, home_directory(home))
    taken = wish(hosts, model, wanted, lock_owner().actor)
    if as_json:
        print_json({"model": model, "wish": wanted, "hosts": taken})
        return
    # The guard knows better: a release that serves alone keeps its traffic until another replica is up.
    returned = "gives its traffic back where another replica can take it"
    done = "gets all traffic" if wanted == "promote" else returned
    for name, heard in taken.items():
        say(f"{name}: {model} {done if heard else 'is not watched any more'}")


def _unwatched(model: str) -> InputError:
    return InputError(
        f"no guard watches {model}",
        hint=f"toolkit status {model}; toolkit releases {model} --gates",
    )


def _show(guards: list[tuple[str, GuardFacts]], *, as_json: bool) -> None:
    if as_json:
        document = {"guards": [guard_json(name, each) for name, each in guards]}
        print_json_line(document)
        return
    table(COLUMNS, [guard_row(name, each) for name, each in guards])
    for name, each in guards:
        for line in guard_lines(name, each):
            say(line)


def _is_over(guard: GuardFacts) -> bool:
    """Whether nothing more is to come of a guard: a share that passed is followed by the next one."""
    ended = guard.phase is GuardPhase.BAKE and guard.verdict is not None
    return ended or bool(guard.withdrawn)


def _require_live(seen: FleetFacts, model: str, last: list[tuple[str, GuardFacts]]) -> None:
    """Raise ReleaseFailedError where the release that was watched does not serve in the end, or must not."""
    for name, guard in last:
        if guard.verdict and guard.verdict.verdict is Verdict.FAILED and not guard.withdrawn:
            raise ReleaseFailedError(
                f"{model} #{guard.release} ({guard.version}) failed on {name}, and no other replica can take its "
                f"traffic: {guard.verdict.reason}",
                hint=f"toolkit status {model}; the command that deployed it, or the next one, restores what served "
                "before",
            )
        facts = seen.facts.get(name)
        slot = facts.serving_slot(model) if facts else None
        number = slot.release.number if slot and slot.release else None
        if guard.withdrawn or (facts and number != guard.release):
            reason = guard.withdrawn or "its deployment ended"
            raise ReleaseFailedError(
                f"{model} #{guard.release} ({guard.version}) was returned on {name}: {reason}",
                hint=f"toolkit releases {model} --gates",
            )
