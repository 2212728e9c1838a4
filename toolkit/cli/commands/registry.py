"""`toolkit registry`: list, check and pin the models that may be deployed."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli.arguments.options import (
    dry_run_option,
    json_option,
    registry_option,
    source_option,
)
from toolkit.cli.opening.context import home_directory, open_hub
from toolkit.cli.opening.sightings import take_over_gating
from toolkit.cli.opening.trail import changing
from toolkit.cli.terminal.output import note, print_json, say, table
from toolkit.cli.views.plan import confirmed
from toolkit.config.registry.lock_file import Lock, read_lock
from toolkit.domain.files.capabilities import Capabilities
from toolkit.domain.quantity import format_size, written_size
from toolkit.domain.registry.model import Registry, Version
from toolkit.errors import InputError
from toolkit.planning.guard.words import guard_words
from toolkit.planning.release.capabilities import capabilities
from toolkit.planning.release.licence_policy import licence_verdict
from toolkit.workflows.registry.init import write_shipped

if TYPE_CHECKING:
    from toolkit.workflows.registry.check import Finding
    from toolkit.workflows.registry.pin import Pinned


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
        newest = [_version_json(found, lock, model.newest) for model in found.models.values()]
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
                ", ".join(_name(version) for version in model.versions),
                model.newest.revision[:12],
                _licence(found, model.newest),
                model.newest.openness,
                _needs(model.newest),
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
                "versions": [_version_json(found, lock, version) for version in versions],
            }
        )
        return
    say(
        click.style(entry.name, bold=True) + (f"  {entry.description}" if entry.description else "")
    )
    for version in versions:
        say()
        say(click.style(version.title, bold=True))
        files = lock.snapshot_of(version) if lock.has(version) else None
        pinned = f"{len(files.files)} files, {format_size(files.size)}" if files else "no files yet"
        checks = [
            f"{check.prompt!r} -> {check.contains!r}"
            if check.kind in ("", "chat")
            else f"{check.kind} of {check.prompt!r}"
            for check in version.checks
        ]
        rows: list[tuple[str, str]] = [
            ("source", version.source.key),
            ("revision", version.revision),
            ("pinned", pinned),
            ("licence", _licence(found, version)),
            ("openness", str(version.openness)),
            *([("candidate", "yes; deployed by its name alone")] if version.candidate else []),
            ("engine", f"{version.engine.name} {version.engine.version}"),
            ("needs", _needs(version)),
            *_able_rows(lock, version),
            *((f"--{flag}", _shown(value)) for flag, value in version.serving.items()),
            *version.env.items(),
            *(("check", check) for check in checks),
            *guard_words(version.guard),
            *(("adapter", _adapter_words(found, lock, part)) for part in version.parts[1:]),
        ]
        if version.permission.reason:
            what = ", ".join(version.permission.allowed)
            rows.append(("permission", f"{what}: {version.permission.reason}"))
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


def _check_failure(registry_path: str, faults: Sequence[Finding]) -> InputError | None:
    if not faults:
        return None
    first, count = faults[0], len(faults)
    return InputError(
        f"{registry_path}: {count} fault{'s' if count > 1 else ''}, "
        f"{'the first' if count > 1 else 'this one'}: {first.message}",
        hint=first.hint,
    )


@registry.command()
@changing(at_once=True)
@click.argument("model")
@click.argument("ref", default="")
@click.option("--as", "name", default="", metavar="NAME", help="The name of the new version.")
@click.option(
    "--lock-only", is_flag=True, help="Write digests of versions that stand there already."
)
@source_option()
@dry_run_option("Say what would be written; write nothing.")
@registry_option()
@json_option()
def pin(
    model: str,
    ref: str,
    name: str,
    lock_only: bool,
    source: str,
    dry_run: bool,
    registry_path: str,
    as_json: bool,
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
        "open_hub": open_hub, "report": note, "accept": accept_owner(source), "dry_run": dry_run,
    }  # fmt: skip
    pins = (
        lock_named(path, model, **how)
        if lock_only
        else (pin_named(path, model, ref, version=name, **how),)
    )
    for each in () if dry_run else pins:
        take_over_gating(home_directory(os.environ.get("TOOLKIT_HOME")), each)
    if as_json:
        print_json({"pinned": [pin_json(each) for each in pins], "dry_run": dry_run})
        return
    for each in pins:
        say_pin(each, dry_run=dry_run)


@registry.command()
@changing(at_once=True)
@click.argument("version", metavar="MODEL@VERSION")
@registry_option()
@json_option()
def accept(version: str, registry_path: str, as_json: bool) -> None:
    """Make a candidate a version like any other, without deploying it."""
    from toolkit.workflows.registry.update import accept_version

    changed = accept_version(Path(registry_path), version)
    if as_json:
        print_json({"version": version, "changed": changed})
        return
    say(f"{version} is accepted" if changed else f"{version} is no candidate; nothing was changed")


@registry.command()
@json_option()
def init(as_json: bool) -> None:
    """Write the shipped registry and its schema into this directory."""
    written = write_shipped(Path.cwd())
    if as_json:
        print_json({"written": [str(path) for path in written]})
        return
    for path in written:
        say(f"wrote {path.name}")
    say("next: toolkit registry list")


def _read(registry_path: str) -> tuple[Registry, Lock]:
    from toolkit.config.registry.reading import load_registry

    path = Path(registry_path)
    return load_registry(path), read_lock(path)


def _licence(found: Registry, version: Version) -> str:
    allowed = licence_verdict(version, found.policy).allowed
    return version.licence if allowed else f"{version.licence} (refused)"


def _name(version: Version) -> str:
    return f"{version.name} (candidate)" if version.candidate else version.name


def _adapter_words(found: Registry, lock: Lock, part: Version) -> str:
    pinned = "" if lock.has(part) else ", no files yet"
    guard = "".join(f", {name}: {words}" for name, words in guard_words(part.guard))
    return f"{part.title}  {part.source.key}  {_licence(found, part)}{pinned}{guard}"


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _needs(version: Version) -> str:
    needs = version.resources
    devices = f"{needs.devices} devices, " if needs.devices > 1 else ""
    return f"{' or '.join(needs.accelerators)}, {devices}{written_size(needs.memory)}"


def _adapter_json(found: Registry, lock: Lock, version: Version) -> list[dict[str, Any]]:
    return [
        {
            "name": part.model,
            "source": part.source.key,
            "revision": part.revision,
            "licence": part.licence,
            "base": adapter.base,
            "checks": [check.as_json() for check in part.checks],
            "guard": part.guard.as_json(),
            "licence_allowed": licence_verdict(part, found.policy).allowed,
            "pinned": _pinned_json(lock, part),
        }
        for adapter, part in zip(version.adapters, version.parts[1:], strict=True)
    ]


def _pinned_json(lock: Lock, version: Version) -> dict[str, int] | None:
    if not lock.has(version):
        return None
    files = lock.snapshot_of(version)
    return {"files": len(files.files), "size": files.size}


def _version_json(found: Registry, lock: Lock, version: Version) -> dict[str, Any]:
    verdict = licence_verdict(version, found.policy)
    fields = asdict(version)
    del fields["adapter_of"]
    return {
        **fields,
        "source": version.source.key,
        "adapters": _adapter_json(found, lock, version),
        "checks": [check.as_json() for check in version.checks],
        "guard": version.guard.as_json(),
        "licence_allowed": verdict.allowed,
        "does": able.as_json() if (able := _able(lock, version)) else None,
        "pinned": _pinned_json(lock, version),
    }


def _able(lock: Lock, version: Version) -> Capabilities | None:
    facts = lock.snapshot_of(version).facts if lock.has(version) else None
    return capabilities(version, facts)


def _able_rows(lock: Lock, version: Version) -> list[tuple[str, str]]:
    """Return what a version can do, and the parsers that it gets for that, as rows of `show`."""
    able = _able(lock, version)
    if able is None:
        return []
    named = {"tools read by": able.tool_parser, "thoughts read by": able.reasoning_parser}
    context = [("context", f"{able.context:,} tokens")] if able.context else []
    parsers = [(name, parser) for name, parser in named.items() if parser]
    return [("does", ", ".join(able.words)), *context, *parsers]


def accept_owner(source: str) -> Callable[[str, str], bool]:
    """Return what answers whether a repository of another owner is meant: `source`, where it is given, or a person."""

    def accept(asked: str, repo: str) -> bool:
        if source:
            return repo == source
        return confirmed(f"the Hub leads from {asked} to {repo}, of another owner; pin that one?")

    return accept


def pin_json(pinned: Pinned) -> dict[str, Any]:
    """Return the JSON form of a pin."""
    return {
        "model": pinned.version.model,
        "version": pinned.version.name,
        "source": pinned.version.source.key,
        "revision": pinned.version.revision,
        "licence": pinned.version.licence,
        "files": len(pinned.snapshot.files),
        "size": pinned.snapshot.size,
        "left_out": dict(pinned.left_out),
        "notes": list(pinned.notes),
        "registry_changed": pinned.registry_changed,
        "lock_changed": pinned.lock_changed,
    }


def say_pin(pinned: Pinned, *, dry_run: bool) -> None:
    """Print what a pin did."""
    version = pinned.version
    for path, reason in pinned.left_out.items():
        note(f"left out {path}: {reason}")
    for remark in pinned.notes:
        note(f"note: {remark}")
    what = (
        f"{version.source.key} {version.revision} ({version.licence}, "
        f"{len(pinned.snapshot.files)} files, {format_size(pinned.snapshot.size)})"
    )
    if not pinned.changed:
        say(f"{version.title} is pinned already: {what}; nothing was changed")
    elif dry_run:
        say(f"would pin {version.title}: {what}; nothing was written")
    else:
        say(f"pinned {version.title}: {what}")
