"""`toolkit bundle`: make, load and show a directory of models and engines for a site without network."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.adapters.distribution.swarm_library import Wheels
from toolkit.adapters.engines.packages import uv_binary
from toolkit.adapters.engines.wheelhouse import Wheelhouse
from toolkit.adapters.store.compiled import CompiledTrees
from toolkit.cli.arguments.options import (
    dry_run_option,
    home_option,
    json_option,
    registry_option,
    site_options,
    yes_option,
)
from toolkit.cli.opening.context import home_directory, open_hosts, open_hub, open_store
from toolkit.cli.opening.trail import changing
from toolkit.cli.terminal.output import note, print_json, say, table
from toolkit.cli.views.plan import go_ahead
from toolkit.cli.views.pull import PullProgress
from toolkit.config.engine_locks import read_locks
from toolkit.config.paths import expanded
from toolkit.config.registry.lock_file import read_lock
from toolkit.domain.accelerator import Accelerator
from toolkit.domain.quantity import format_seconds, format_size
from toolkit.errors import InputError
from toolkit.planning.upkeep.bundle import choose_engines

if TYPE_CHECKING:
    from toolkit.workflows.files.bundle import Created, Outlook
    from toolkit.workflows.files.bundle_assembly import BundleSpec
    from toolkit.workflows.files.bundle_load import LoadPlan


@click.group()
def bundle() -> None:
    """Carry models and engines to a site without network."""


@bundle.command()
@click.argument("models", nargs=-1, required=True, metavar="MODEL[@VERSION]...")
@click.option("--to", "target", required=True, metavar="DIR", help="The directory to make.")
@click.option(
    "--accelerator",
    "accelerators",
    type=click.Choice([str(each) for each in Accelerator]),
    multiple=True,
    help="What the site computes on; may be repeated.  [default: all that each version can use]",
)
@click.option(
    "--python",
    "pythons",
    multiple=True,
    help="The Python of the site's hosts, as in 3.11; may be repeated.  [default: this fleet's]",
)
@dry_run_option("Show what it would take and stop.")
@registry_option()
@site_options()
def create(dry_run: bool, as_json: bool, **options: Any) -> None:
    """Write all that a site without network needs as one directory."""
    from toolkit.workflows.files.bundle import create_bundle, outlook
    from toolkit.workflows.files.bundle_assembly import BundleTools

    wanted = CreateOptions(**options)
    home = home_directory(wanted.home)
    spec = wanted.spec(home)
    tools = BundleTools(
        open_store(home),
        Wheelhouse(home),
        Wheels(home),
        open_hub,
        uv_binary(),
        PullProgress,
        note,
        compiled=CompiledTrees(home),
    )
    if dry_run:
        _show_outlook(spec, outlook(spec, tools), as_json)
        return
    done = create_bundle(spec, tools)
    if as_json:
        print_json(done.as_json())
    else:
        _tell_created(done)


@dataclass(frozen=True, slots=True)
class CreateOptions:
    """The options of `create` for the content of the bundle and its place."""

    models: tuple[str, ...]
    target: str
    accelerators: tuple[str, ...]
    pythons: tuple[str, ...]
    registry_path: str
    fleet: str | None
    home: str | None

    def spec(self, home: Path) -> BundleSpec:
        """Return the content of the bundle; raises InputError, NothingSuitableError."""
        from toolkit.config.registry.reading import load_registry, read_registry
        from toolkit.workflows.files.bundle_assembly import BundleSpec

        path = Path(self.registry_path)
        registry = read_registry(path, unpinned=True)
        # Other models may wait to be pinned, not one that goes into the bundle.
        versions = {v.title: v for v in map(load_registry(path).version, self.models)}
        engines = choose_engines(
            versions.values(),
            read_locks(home),
            [Accelerator(each) for each in dict.fromkeys(self.accelerators)],
            [_python(each) for each in dict.fromkeys(self.pythons)] or _pythons(self.fleet, home),
        )
        target = expanded(self.target).absolute()
        return BundleSpec(target, registry, read_lock(path), tuple(versions.values()), engines)


@bundle.command()
@changing()
@click.argument("directory", metavar="DIR")
@click.option("--fingerprint", default="", metavar="SHA256", help="Take in no other bundle.")
@yes_option()
@dry_run_option("Check every byte, show what would change and stop.")
@registry_option()
@home_option()
@json_option()
def load(
    directory: str,
    fingerprint: str,
    yes: bool,
    dry_run: bool,
    registry_path: str,
    home: str | None,
    as_json: bool,
) -> None:
    """Check every byte of a bundle and take it in."""
    from toolkit.workflows.files.bundle_load import LoadSite, load_bundle, open_bundle

    home_path = home_directory(home)
    root = expanded(directory).absolute()
    site = LoadSite(
        open_store(home_path),
        Wheelhouse(home_path),
        Wheels(home_path),
        home_path,
        Path(registry_path),
        read_locks(home_path),
        PullProgress,
    )

    def confirm(plan: LoadPlan) -> bool:
        _show_plan(plan)
        return go_ahead(plan.as_json(), yes=yes, question="take it in?")

    found = open_bundle(root, fingerprint)
    plan = load_bundle(found, site, confirm, dry_run=dry_run)
    changed = not plan.empty and not dry_run
    if as_json:
        document = {"path": str(root), "fingerprint": found.fingerprint, **plan.as_json()}
        print_json({**document, "changed": changed, "dry_run": dry_run})
        return
    if plan.empty:
        say("nothing to do: every byte of the bundle is as it was made, and all of it is here")
    elif dry_run:
        _show_plan(plan)
        say("dry run: every byte of the bundle is as it was made; nothing was taken in")
    else:
        say(f"taken in; registry {plan.after.document.path}. Now, for example:")
        say(f"toolkit deploy {found.manifest.versions[0].title}")


@bundle.command()
@click.argument("directory", metavar="DIR")
@json_option()
def show(directory: str, as_json: bool) -> None:
    """List what is in a bundle; hashes nothing but its texts."""
    from toolkit.workflows.files.bundle_load import open_bundle

    found = open_bundle(expanded(directory).absolute())
    manifest = found.manifest
    if as_json:
        more = {"size": manifest.size, "fingerprint": found.fingerprint}
        print_json({"path": str(found.root), **manifest.as_json(), **more})
        return
    table(
        ("VERSION", "SOURCE", "REVISION", "LICENCE", "OPENNESS", "ENGINE", "SIZE"),
        [
            (
                each.title,
                each.source,
                each.revision[:12],
                each.licence,
                each.openness,
                each.engine,
                format_size(each.size),
            )
            for each in manifest.versions
        ],
    )
    say()
    table(
        ("ENGINE", "FOR", "PYTHON", "PACKAGES", "SIZE"),
        [
            (each.id, each.accelerator, each.python, len(each.wheels), format_size(each.size))
            for each in manifest.engines
        ],
    )
    say()
    say(
        f"{len(manifest.files)} files, {format_size(manifest.size)}, made {manifest.created_at} "
        f"by toolkit {manifest.toolkit}"
    )
    say(f"fingerprint {found.fingerprint}")


def _python(text: str) -> str:
    if not re.fullmatch(r"3\.[0-9]{1,2}", text):
        raise InputError(f"{text!r} is not a version of Python", hint="write it like 3.12")
    return text


def _pythons(fleet: str | None, home: Path) -> list[str]:
    """Return the Pythons of the fleet's hosts, each once."""
    return list(dict.fromkeys(host.observe().python for host in open_hosts(fleet, home)))


def _show_outlook(spec: BundleSpec, found: Outlook, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "path": str(spec.target),
                "versions": [version.title for version in spec.versions],
                "engines": [lock.id for lock in spec.engines],
                "weights": found.weights,
                "wheels": found.wheels,
                "fetch": found.fetch,
                "packages_unknown": found.packages_unknown,
                "linked": found.linked,
                "dry_run": True,
            }
        )
        return
    table(
        ("VERSION", "LICENCE", "SIZE"),
        [
            (version.title, version.licence, format_size(spec.lock.snapshot_of(version).size))
            for version in spec.versions
        ],
    )
    for lock in spec.engines:
        say(f"with {lock.id}, {lock.packages} packages")
    say(
        f"{format_size(found.weights)} of weights, {format_size(found.fetch)} of them to be "
        f"fetched; {format_size(found.wheels)} of packages"
        + (
            f", and up to {format_size(found.packages_unknown)} to be downloaded"
            if found.packages_unknown
            else ""
        )
    )
    how = "as hard links, which take no room" if found.linked else "as copies"
    say(f"to {spec.target}, {how}; dry run: nothing was written")


def _tell_created(done: Created) -> None:
    manifest = done.manifest
    if done.already_there:
        say(f"nothing to do: {done.target} holds this already (to hash it: toolkit bundle load)")
    else:
        say(
            f"{done.target}: {', '.join(each.title for each in manifest.versions)} and "
            f"{', '.join(each.id for each in manifest.engines)}, {len(manifest.files)} files, "
            f"{format_size(manifest.size)} in {format_seconds(done.seconds)}"
        )
    say(f"fingerprint {done.fingerprint}")


def _show_plan(plan: LoadPlan) -> None:
    for version in plan.snapshots:
        note(f"  take in the files of {version.title}")
    for lock in plan.wheels:
        note(f"  take in {lock.packages} packages of {lock.id}")
    for file in plan.libraries:
        note(f"  take in {Path(file.path).name}, with which hosts pass weights on to each other")
    if plan.compiled:
        note(f"  take in what engines have compiled for {len(plan.compiled)} kinds of replicas")
    for lock in plan.engine_locks:
        note(f"  add the engine lock {Path(lock.path).name}")
    path = plan.after.document.path
    if plan.added:
        verb = "write" if plan.before is None else "add to"
        note(f"  {verb} {path}: {', '.join(plan.added)}")
    if plan.lock_changes:
        note(f"  pin their files in {plan.lock.path}")
    note(f"  {format_size(sum(plan.room.values()))} in all")
    for remark in plan.notes:
        note(f"  note: {remark}")
