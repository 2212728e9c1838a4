"""`toolkit releases`, `logs`: look, change nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import click

from toolkit.cli.arguments.numbers import Whole
from toolkit.cli.arguments.options import site_options
from toolkit.cli.opening.context import home_directory, open_fleet, open_history, open_ports
from toolkit.cli.terminal.output import note, print_json, say, say_whole, table
from toolkit.cli.terminal.streams import output_is_lost
from toolkit.cli.views.replicas import replicas_json, replicas_of, replicas_words
from toolkit.domain.deployment.release import Deployment
from toolkit.domain.gates.verdict import GateRecord, Verdict, figure_words
from toolkit.domain.moment import moment_text
from toolkit.domain.quantity import format_seconds
from toolkit.errors import InputError
from toolkit.workflows.fleet.follow import follow_model, latest_log
from toolkit.workflows.fleet.look import look
from toolkit.workflows.fleet.status import log_host, log_slot


@click.command()
@click.argument("model")
@click.option("--limit", type=Whole(1), default=20, show_default=True, help="Deployments to show.")
@click.option("--gates", "with_gates", is_flag=True, help="Show what each gate measured.")
@click.option(
    "--hosts",
    "with_hosts",
    is_flag=True,
    help="Ask the hosts, too: show where each release serves, stands by or dozes.",
)
@site_options()
def releases(
    model: str,
    limit: int,
    with_gates: bool,
    with_hosts: bool,
    fleet: str | None,
    home: str | None,
    as_json: bool,
) -> None:
    """List a model's releases and how each deployment of them went."""
    home_path = home_directory(home)
    history = open_history(home_path)
    known, deployments = history.releases(model), history.deployments(model, limit)
    gates = history.gates(model)
    if not known:
        raise InputError(f"{model} has no releases in this history", hint=f"toolkit deploy {model}")
    seen = look(open_ports(open_fleet(fleet).hosts, home_path)) if with_hosts else None
    there = replicas_of(model, seen) if seen else {}
    failure = seen.failure() if seen and seen.errors else None
    if as_json:
        print_json(
            {
                "releases": [
                    {
                        **release.as_json(),
                        "created_at": created,
                        **({"replicas": replicas_json(there, release.number)} if seen else {}),
                    }
                    for release, created in known
                ],
                "deployments": [asdict(each) for each in deployments],
                "gates": [each.as_json() for each in gates],
            },
            failure,
        )
        return
    several = seen is not None and len(seen.facts) + len(seen.errors) > 1
    table(
        (*_RELEASE_COLUMNS, *(["REPLICAS"] if seen else []), "FAILED"),
        [
            (
                f"#{each.number}", each.version, each.revision[:12], each.engine, moment_text(created),
                *([replicas_words(there, each.number, several=several)] if seen else []),
                _failed(each.number, gates),
            )
            for each, created in known
        ],
    )  # fmt: skip
    for each, _ in known:
        if each.adapters:
            say(f"#{each.number} has the adapters {each.adapter_words}")
    if with_gates:
        say()
        _show_gates(gates)
    say()
    hosts = any(each.host for each in deployments)
    table(
        ("DEPLOYMENT", *(["HOST"] if hosts else []), *_DEPLOYMENT_COLUMNS),
        [
            (str(each.id), *([each.host or "-"] if hosts else []), *_deployment_row(each))
            for each in deployments
        ],
    )
    if failure:
        raise failure


def _failed(number: int, gates: Sequence[GateRecord]) -> str:
    """Return the gate that a release failed last, empty where it failed none."""
    found = (each for each in gates if each.release == number)
    return next((each.result.gate for each in found if each.result.verdict is Verdict.FAILED), "")


def _show_gates(gates: Sequence[GateRecord]) -> None:
    """Print the result of each gate, the newest first, and below it what it measured."""
    if not gates:
        say("no gate has measured anything yet")
    for each in gates:
        result = each.result
        words = f": {result.reason}" if result.reason else ""
        where = f" on {each.host}" if each.host else ""
        say(f"#{each.release} {result.gate} {result.verdict}{where}, {moment_text(each.at)}{words}")
        for figure in result.figures:
            say(f"    {figure_words(figure)}")


@click.command()
@click.argument("model")
@click.option(
    "-f",
    "--follow",
    is_flag=True,
    help="Go on with new lines, in the slot that serves, until Ctrl-C.",
)
@click.option(
    "-n",
    "--lines",
    type=Whole(0),
    default=50,
    show_default=True,
    help="Lines to begin with.",
)
@click.option(
    "--slot",
    type=click.Choice(["blue", "green"]),
    default=None,
    help="Which slot.  [default: the one that serves]",
)
@click.option("--previous", is_flag=True, help="The log of the start before this one.")
@click.option(
    "--host",
    "named",
    default=None,
    metavar="HOST",
    help="On which host of the fleet.  [default: the first that has the model]",
)
@site_options()
def logs(
    model: str,
    named: str | None,
    fleet: str | None,
    home: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Show a replica's log."""
    log = LogOptions(**options)
    follow = log.follow and not log.previous
    if follow and as_json:
        # One document has an end, and a log that goes on has none.
        raise InputError(
            "-f is for people, --json for programs", hint=f"toolkit logs {model} --json"
        )
    chosen = open_fleet(fleet).select([named] if named else [])
    host = log_host(open_ports(chosen, home_directory(home)), model)
    program = f"{model}-{log.slot or log_slot(host, model)}"
    if follow and not log.slot:
        found = follow_model(host, model, log.lines, note)
    elif follow or log.previous or as_json:
        found = host.logs(program, log.lines, follow=follow, previous=log.previous)
    else:
        found = latest_log(host, program, log.lines, note)
    shown = list(found) if as_json else _print_lines(found)
    if as_json:
        print_json({"host": host.name, "program": program, "lines": shown})
    elif not shown and log.lines:
        note(f"{program} has no log here")


@dataclass(frozen=True, slots=True)
class LogOptions:
    """The options of `logs` that choose the log and its lines."""

    follow: bool
    lines: int
    slot: str | None
    previous: bool


def _print_lines(lines: Any) -> list[str]:
    shown = []
    for line in lines:
        say_whole(line)
        shown = [line]
        if output_is_lost():
            break
    return shown


_RELEASE_COLUMNS = ("RELEASE", "VERSION", "REVISION", "ENGINE", "CREATED")
_DEPLOYMENT_COLUMNS = ("ACTION", "RELEASE", "OUTCOME", "STARTED", "TOOK", "BY", "REASON")


def _deployment_row(each: Deployment) -> tuple[str, ...]:
    seconds = (each.ended_at or 0.0) - each.started_at
    # The clock may have been set back meanwhile.
    took = format_seconds(seconds) if seconds >= 0 else "-"
    return (
        each.action,
        f"#{each.release}" if each.release else "-",
        str(each.outcome),
        moment_text(each.started_at),
        took,
        each.actor,
        each.reason.splitlines()[0][:80] if each.reason else "",
    )
