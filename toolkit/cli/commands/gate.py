"""`toolkit gate`: run the gates of a version without making it live, and draft golden prompts."""

from __future__ import annotations

from copy import copy
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli.arguments.options import (
    dry_run_option,
    host_option,
    ready_timeout_option,
    registry_option,
    site_options,
    yes_option,
)
from toolkit.cli.arguments.waiting import wait_option
from toolkit.cli.changing.members import open_members
from toolkit.cli.opening.context import home_directory, open_fleet, open_store, read_pins
from toolkit.cli.opening.trail import changing
from toolkit.cli.terminal.output import note, print_json, say
from toolkit.cli.terminal.standard_input import read_input
from toolkit.cli.views.plan import confirmation, show_gate
from toolkit.config.text_file import read_text
from toolkit.domain.bounds import GOLDEN
from toolkit.domain.gates.verdict import GateResult, figure_words
from toolkit.errors import InputError, ReleaseFailedError
from toolkit.workflows.change.gating import gate_version
from toolkit.workflows.change.wanted import Order, PinSources, want_version
from toolkit.workflows.guard.replicas import serving_replica
from toolkit.workflows.tools import Timing

if TYPE_CHECKING:
    from toolkit.workflows.change.gating import Gated, GatePlan


class _ByModel(click.Group):
    """A group in which the name of a model stands for `run MODEL`."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of that name, or else `run` for the model of that name."""
        found = super().get_command(ctx, cmd_name)
        if found is not None or cmd_name.startswith("-"):
            return found
        named = copy(self.commands["run"])
        assert named.callback is not None, "`run` is a function"
        named.params = [each for each in named.params if each.name != "model"]
        named.callback = partial(named.callback, model=cmd_name)
        return named

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command by its own name: the audit log names a command, and not its model."""
        name, found, rest = super().resolve_command(ctx, args)
        return (found.name if found else name), found, rest


@click.group(cls=_ByModel)
def gate() -> None:
    """Run the gates of MODEL[@VERSION] without making it live, or record golden prompts.

    `toolkit gate MODEL` is short for `toolkit gate run MODEL`.
    """


@gate.command()
@changing()
@click.argument("model", metavar="MODEL[@VERSION]")
@yes_option()
@wait_option()
@dry_run_option()
@ready_timeout_option()
@host_option("On this host of the fleet.  [default: the first that serves the model]")
@registry_option()
@site_options()
def run(
    model: str,
    yes: bool,
    dry_run: bool,
    ready_timeout: float,
    named: tuple[str, ...],
    registry_path: str,
    as_json: bool,
    **of_site: str | None,
) -> None:
    """Ask a version its checks and gates, beside the serving one, on one host.

    A version that does not run is started beside what serves, gets no traffic, and is stopped again. Of one that
    differs in LoRA adapters alone, the serving replica loads the new ones under names that no client can request; those
    whose checks alone changed are asked by their own names.
    """
    home_path = home_directory(of_site["home"])
    pins = read_pins(registry_path, home_path)
    version = pins.registry.version(model)
    if all(part.guard.off for part in version.parts):
        raise InputError(
            f"the guard of {version.title} is off, so it has no gates", hint="see docs/upgrades.md"
        )
    pinned = PinSources(
        pins.registry.policy,
        pins.lock.snapshot_of,
        pins.engines,
        open_store(home_path),
        pins.lock.snapshots,
    )
    want = want_version(version, pinned, action="gate")
    found = open_fleet(of_site["fleet"])
    found.select(named)
    members = open_members(home_path, found.hosts, pins)
    order = Order("gate", version.model, want, version, Timing(ready=ready_timeout), named=named)

    def confirm(plan: GatePlan) -> bool:
        # A replica that runs is asked without a confirmation.
        agreed = yes or plan.asks_alone
        return confirmation(show_gate, yes=agreed, dry_run=dry_run, as_json=as_json)(plan)

    gated = gate_version(members, order, version.guard, confirm)
    failure = None
    if gated.refused:
        hint = f"toolkit releases {version.model} --gates"
        failure = ReleaseFailedError(gated.refused, hint=hint)
    if as_json:
        print_json(_document(gated), failure)
        return
    _show(gated)
    if failure:
        raise failure


@gate.command()
@click.argument("model")
@click.option(
    "--prompts",
    required=True,
    metavar="FILE",
    help="The prompts, one a line; - reads standard input.",
)
@click.option("--output", required=True, metavar="FILE", help="The new file of golden prompts.")
@host_option("Ask this host of the fleet.  [default: the first that serves the model]")
@site_options()
def record(
    model: str,
    prompts: str,
    output: str,
    named: tuple[str, ...],
    fleet: str | None,
    home: str | None,
    as_json: bool,
) -> None:
    """Draft golden prompts from the serving release's answers to given prompts.

    A prompt is a line of text, or a JSON object with `prompt` or `messages` and other fields of a golden prompt.
    Nothing else in the toolkit keeps what is asked or answered.
    """
    from toolkit.config.golden.draft import read_requests
    from toolkit.workflows.guard.record import record_golden

    asked = read_requests("standard input" if prompts == "-" else prompts, _text(prompts))
    found = open_fleet(fleet)
    found.select(named)
    members = open_members(home_directory(home), found.hosts, None, history_needed=False)

    host, replica = serving_replica([each.host for each in members], model, named)
    count = record_golden(host, replica, asked, Path(output), note)
    if as_json:
        print_json(
            {
                "file": output,
                "prompts": count,
                "release": replica.release.as_json(),
                "host": host.name,
            }
        )
        return
    say(
        f"{count} golden prompts in {output}: read them, then name the file under `guard: {{answers: ...}}`"
    )


def _text(prompts: str) -> str:
    if prompts == "-":
        hint = "give a file: --prompts FILE"
        return read_input("the text of the prompts", GOLDEN, hint=hint)
    return read_text(Path(prompts), limit=GOLDEN, hint="--prompts FILE, or - for standard input")


def _document(gated: Gated) -> dict[str, Any]:
    return {
        "release": gated.release.as_json(),
        "host": gated.host,
        "started": gated.started,
        "adapters": list(gated.tried),
        "checked": list(gated.checked),
        "gates": [each.as_json() for each in gated.results],
    }


def _show(gated: Gated) -> None:
    started = ", started for its gates and stopped again" if gated.started else ""
    where = f"of {gated.release.title} on {gated.host}"
    if gated.tried:
        say(
            f"{', '.join(gated.tried)} {where}, loaded for their gates and forgotten again: their checks pass"
        )
    if gated.checked:
        say(f"{', '.join(gated.checked)} {where}, asked by name: the changed checks pass")
    if not gated.tried and not gated.checked:
        say(f"{gated.release.title} on {gated.host}{started}: its checks pass")
    for result in gated.results:
        _show_result(result)


def _show_result(result: GateResult) -> None:
    say(f"{result.gate}: {result.verdict}{f': {result.reason}' if result.reason else ''}")
    for figure in result.figures:
        say(f"  {figure_words(figure)}")
