"""`toolkit registry`: list, check and pin the models that may be deployed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
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
from toolkit.cli.terminal.output import note, print_json, say, table
from toolkit.cli.views.pin import accept_owner, pin_json, say_pin
from toolkit.cli.views.version import (
    licence_words,
    needs_words,
    version_json,
    version_name,
    version_rows,
)
from toolkit.config.paths import absolute
from toolkit.config.registry.lock_file import Lock, read_lock
from toolkit.config.shipped import of_registry
from toolkit.domain.registry.model import Registry
from toolkit.errors import InputError
from toolkit.workflows.registry.init import write_shipped

if TYPE_CHECKING:
    from toolkit.workflows.registry.check import Remark


@click.group()
def registry() -> None:
    """List, show, check and pin what may be deployed."""


@registry.command("list")
@registry_option()
@json_option()
def list_models(registry_path: str, as_json: bool) -> None:
    """List the models with their newest version."""
    found, lock = _read(registry_path)
    if as_json:
        newest = [version_json(found, lock, model.newest) for model in found.models.values()]
        print_json({"models": newest})
        return
    if not found.models:
        say(f"no models in {found.path}")
        return
    table(
        ("MODEL", "VERSIONS", "REVISION", "LICENCE", "OPENNESS", "NEEDS", "PINNED"),
        [
            (
                model.name,
                ", ".join(version_name(version) for version in model.versions),
                model.newest.revision[:12],
                licence_words(found, model.newest),
                model.newest.openness,
                needs_words(model.newest),
                "yes" if lock.has(model.newest) else "no files yet",
            )
            for model in found.models.values()
        ],
    )
    for why, command in found.waiting.values():
        note(f"{why}: {command}")


@registry.command()
@click.argument("model")
@registry_option()
@json_option()
def show(model: str, registry_path: str, as_json: bool) -> None:
    """Show everything about MODEL or MODEL@VERSION."""
    found, lock = _read(registry_path)
    entry = found.model(model.partition("@")[0])
    versions = (found.version(model),) if "@" in model else entry.versions
    if as_json:
        print_json(
            {
                "model": entry.name,
                "description": entry.description,
                "versions": [version_json(found, lock, version) for version in versions],
            }
        )
        return
    say(
        click.style(entry.name, bold=True) + (f"  {entry.description}" if entry.description else "")
    )
    for version in versions:
        say()
        say(click.style(version.title, bold=True))
        rows = version_rows(found, lock, version)
        width = max(len(name) for name, _ in rows)
        for name, value in rows:
            say(f"  {name.ljust(width)}  {value}")


@registry.command()
@registry_option()
@json_option()
def check(registry_path: str, as_json: bool) -> None:
    """Check the registry, its lock, licences and directories."""
    from toolkit.workflows.registry.check import check_registry

    checked = check_registry(Path(registry_path))
    failure = _check_failure(registry_path, checked.faults)
    models, versions = checked.registry.models, checked.registry.versions
    if as_json:
        findings = [asdict(each) for each in checked.findings]
        print_json({"path": registry_path, "models": len(models), "findings": findings}, failure)
        return
    for finding in checked.findings:
        say(f"{'FAULT' if finding.fault else 'note '}  {finding.words}")
        if finding.hint:
            say(f"       {finding.hint}")
    pinned = sum(map(checked.lock.has, versions))
    if failure and not models:
        raise failure
    say(
        f"{len(models)} model{'s' * (len(models) != 1)}, "
        f"{len(versions)} version{'s' * (len(versions) != 1)}, {pinned} with pinned files"
    )
    if failure:
        raise failure


def _check_failure(registry_path: str, faults: Sequence[Remark]) -> InputError | None:
    if not faults:
        return None
    first, count = faults[0], len(faults)
    return InputError(
        f"{registry_path}: {count} fault{'s' if count > 1 else ''}, "
        f"{'the first' if count > 1 else 'this one'}: {first.message}",
        hint=first.hint,
    )


@registry.command()
@changing()
@click.argument("model")
@click.argument("ref", default="")
@click.option("--as", "name", default="", metavar="NAME", help="The name of the new version.")
@click.option(
    "--lock-only", is_flag=True, help="Write digests of versions that stand there already."
)
@source_option()
@dry_run_option("Say what would be written; write nothing.")
@registry_option()
@home_option()
@json_option()
def pin(
    model: str,
    ref: str,
    name: str,
    lock_only: bool,
    dry_run: bool,
    registry_path: str,
    as_json: bool,
    **options: Any,
) -> None:
    """Pin what REF of MODEL is today (default: what it tracks) as its newest version.

    MODEL may be the name of an adapter: then its revision is replaced in its place.
    """
    from toolkit.workflows.registry.pin_adapter import lock_named, pin_named

    path = Path(registry_path)
    if lock_only and (ref or name):
        raise InputError(
            "--lock-only writes digests of versions that stand in the registry; it takes no "
            f"{'REF' if ref else '--as'}",
            hint=f"toolkit registry pin {model} --lock-only",
        )

    how: dict[str, Any] = {
        "open_hub": open_hub, "report": note, "accept": accept_owner(options["source"]),
        "begin": None if dry_run else trail_now().begin_once,
    }  # fmt: skip
    pins = (
        lock_named(path, model, **how)
        if lock_only
        else (pin_named(path, model, ref, version=name, **how),)
    )
    for each in () if dry_run else pins:
        take_over_gating(home_directory(options["home"]), each)
    if as_json:
        print_json({"pinned": [pin_json(each) for each in pins], "dry_run": dry_run})
        return
    for each in pins:
        say_pin(each, dry_run=dry_run)


@registry.command()
@changing()
@click.argument("model", metavar="MODEL@VERSION")
@registry_option()
@home_option()
@json_option()
def accept(model: str, registry_path: str, as_json: bool, **_: Any) -> None:
    """Make a candidate a version like any other, without deploying it."""
    from toolkit.workflows.registry.update import accept_version

    changed = accept_version(Path(registry_path), model, trail_now().begin_once)
    if as_json:
        print_json({"version": model, "changed": changed})
        return
    say(f"{model} is accepted" if changed else f"{model} is no candidate; nothing was changed")


@registry.command()
@registry_option()
@json_option()
def init(registry_path: str, as_json: bool) -> None:
    """Write the shipped registry, and its schema beside it."""
    path = Path(registry_path)
    written = write_shipped(path)
    if as_json:
        print_json({"written": [str(absolute(str(each))) for each in written]})
        return
    for each in written:
        say(f"wrote {each}")
    say(f"next: {of_registry('toolkit registry list', path)}")


def _read(registry_path: str) -> tuple[Registry, Lock]:
    from toolkit.config.registry.reading import load_registry

    path = Path(registry_path)
    return load_registry(path), read_lock(path)
