"""`toolkit update`: pin what a model's tracked branch holds now as a candidate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli.arguments.options import (
    dry_run_option,
    home_option,
    json_option,
    registry_option,
    source_option,
)
from toolkit.cli.opening.context import home_directory, open_hub
from toolkit.cli.opening.sightings import take_over_gating
from toolkit.cli.opening.trail import changing, trail_now
from toolkit.cli.terminal.output import note, print_json, say
from toolkit.cli.views.pin import accept_owner, pin_json, say_pin

if TYPE_CHECKING:
    from toolkit.workflows.registry.update import Updated


@click.command()
@changing()
@click.argument("model")
@click.option("--as", "name", default="", metavar="NAME", help="The name of the candidate.")
@source_option()
@dry_run_option("Say what would be written; write nothing.")
@registry_option()
@home_option()
@json_option()
def update(
    model: str,
    name: str,
    source: str,
    dry_run: bool,
    registry_path: str,
    home: str | None,
    as_json: bool,
) -> None:
    """Pin what a model's tracked branch holds now as a candidate, and say what differs.

    Of a LoRA adapter the candidate is its model's newest version with the newer adapter.
    """
    from toolkit.cli.opening.local_versions import open_local
    from toolkit.workflows.registry.update import update_model
    from toolkit.workflows.registry.update_adapter import is_adapter, update_adapter

    home_path, candidate = home_directory(home), ""
    how: dict[str, Any] = {
        "name": name,
        "open_hub": open_hub,
        "report": note,
        "local": open_local(registry_path, home_path),
        "accept": accept_owner(source),
        "begin": None if dry_run else trail_now().begin_once,
    }
    if is_adapter(Path(registry_path), model):
        done, candidate = update_adapter(Path(registry_path), model, **how)
    else:
        done = update_model(Path(registry_path), model, **how)
    if not dry_run:
        take_over_gating(home_path, done.pinned, done.base.source.key)
    if as_json:
        print_json(
            {
                "pinned": pin_json(done.pinned),
                "base": done.base.name,
                "current": done.current,
                "candidate": candidate,
                "difference": done.difference.as_json() if done.difference else None,
                "dry_run": dry_run,
            }
        )
        return
    _say(done, candidate, dry_run=dry_run)


def _say(done: Updated, candidate: str, *, dry_run: bool) -> None:
    version = done.pinned.version
    if done.current:
        for remark in done.pinned.notes:
            note(f"note: {remark}")
        say(f"{done.base.title} is what its source holds now; nothing was changed")
        return
    say_pin(done.pinned, dry_run=dry_run)
    if done.difference is None:
        say(f"{done.base.title} has no files in the lock to compare with")
    else:
        say(f"{done.base.name} -> {version.name}:")
        for line in done.difference.lines:
            say(f"  {line}")
    if candidate and not dry_run:
        model, _, name = candidate.partition("@")
        say(f"{candidate} has it, a candidate; next: toolkit upgrade {model} --to {name}")
    elif version.candidate and not dry_run:
        say(f"a candidate; next: toolkit upgrade {version.model} --to {version.name}")
