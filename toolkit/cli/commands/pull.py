"""`toolkit pull`: bring pinned files into the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import click

from toolkit.adapters.store.store import Store
from toolkit.cli.arguments.numbers import Whole
from toolkit.cli.arguments.options import dry_run_option, home_option, json_option, registry_option
from toolkit.cli.opening.context import home_directory, open_hub, open_store
from toolkit.cli.terminal.output import note, print_json, say, table
from toolkit.cli.views.pull import PullProgress
from toolkit.config.registry.lock_file import Lock, read_lock
from toolkit.domain.files.snapshot import Snapshot
from toolkit.domain.quantity import format_seconds, format_size
from toolkit.domain.registry.model import Version, parts_of
from toolkit.errors import InputError, SourceError, ToolkitError
from toolkit.workflows.files.pull import Pulled, preview, require_licence
from toolkit.workflows.files.pull import pull as pull_version

_GONE = (
    "hosts that have them go on serving them; or pin what their sources have now: "
    "toolkit registry pin MODEL"
)


@click.command()
@click.argument("model", required=False, metavar="MODEL[@VERSION]")
@click.option("--all", "everything", is_flag=True, help="Every version of every model.")
@click.option(
    "--workers",
    type=Whole(1, 64),
    default=8,
    show_default=True,
    help="Files fetched at once.",
)
@dry_run_option("Show what would be fetched and stop.")
@registry_option()
@home_option()
@json_option()
def pull(
    model: str | None,
    everything: bool,
    workers: int,
    dry_run: bool,
    registry_path: str,
    home: str | None,
    as_json: bool,
) -> None:
    """Fetch a pinned version and verify every file."""

    from toolkit.config.registry.reading import load_registry

    if (model is None) != everything:
        raise click.UsageError("name a MODEL[@VERSION], or --all for every version")
    path = Path(registry_path)
    registry = load_registry(path)
    lock = read_lock(path)
    named = registry.versions if model is None else (registry.version(model),)
    for why, command in registry.waiting.values() if everything else ():
        note(f"left out: {why}: {command}")
    versions = list(parts_of(named))
    if everything and any(map(lock.has, versions)):
        versions = _pinned(versions, lock)
    # All refusals come before the first byte.
    for version in versions:
        require_licence(version, registry.policy)
    snapshots = [lock.snapshot_of(version) for version in versions]
    store = open_store(home_directory(home))
    if dry_run:
        _preview(versions, snapshots, store, as_json)
        return

    def fetch(version: Version, snapshot: Snapshot) -> Pulled:
        progress = PullProgress()
        return pull_version(
            version, snapshot, store, open_hub, registry.policy, progress, workers=workers
        )

    wanted = list(zip(versions, snapshots, strict=True))
    pulled, gone = _pulled(wanted, fetch, quiet=as_json)
    failure = _gone(gone) if gone else None
    if as_json:
        print_json({"versions": [each.as_json() for each in pulled]}, failure)
    elif everything:
        note(f"{len(pulled)} version{'s' if len(pulled) != 1 else ''} in the store")
    if failure:
        raise failure


def _pulled(
    wanted: Sequence[tuple[Version, Snapshot]],
    fetch: Callable[[Version, Snapshot], Pulled],
    *,
    quiet: bool,
) -> tuple[list[Pulled], dict[str, SourceError]]:
    """Return the pulled versions, and the errors of versions that their sources do not give, by title."""
    pulled, gone = list[Pulled](), dict[str, SourceError]()
    for version, snapshot in wanted:
        try:
            done = fetch(version, snapshot)
        except SourceError as error:
            # A version that its source has deleted, or closed to this user, does not stop the others.
            if not (error.missing or error.closed):
                raise
            gone[version.title] = error
            continue
        pulled.append(done)
        if not quiet:
            _tell(done)
    return pulled, gone


def _pinned(versions: Sequence[Version], lock: Lock) -> list[Version]:
    """Return the versions whose files are pinned, and say which are left out."""
    for version in versions:
        try:
            lock.snapshot_of(version)
        except InputError as error:
            note(f"left out: {error.message}: {error.hint}")
    return [version for version in versions if lock.has(version)]


def _gone(gone: Mapping[str, SourceError]) -> ToolkitError:
    """Return one error for all versions that their sources do not give."""
    if len(gone) == 1:
        return next(iter(gone.values()))
    hints = dict.fromkeys(_GONE if each.gone else each.hint for each in gone.values())
    return SourceError("\n  ".join(each.message for each in gone.values()), hint="; ".join(hints))


def _preview(
    versions: list[Version], snapshots: list[Snapshot], store: Store, as_json: bool
) -> None:
    rows = [(v, preview(s, store), s) for v, s in zip(versions, snapshots, strict=True)]
    if as_json:
        found = [
            {
                "model": version.model,
                "version": version.name,
                "fetch": lacking.needed,
                "resumed": lacking.resumed,
                "files": len(lacking.missing),
            }
            for version, lacking, _ in rows
        ]
        print_json({"versions": found, "dry_run": True})
        return
    table(
        ("VERSION", "FETCH", "FILES", "OF"),
        [(v.title, format_size(d.needed), len(d.missing), format_size(s.size)) for v, d, s in rows],
    )
    say(f"{format_size(store.free_space())} free in {store.root}; dry run: nothing was fetched")


def _tell(done: Pulled) -> None:
    title, snapshot = done.version.title, done.snapshot
    if done.already_there:
        say(f"{title} is already there: {done.path} (to hash it again: toolkit verify)")
        return
    resumed = f", after {format_size(done.resumed)} of an earlier pull" if done.resumed else ""
    say(
        f"{title} pulled and verified: {len(snapshot.files)} files, {format_size(snapshot.size)}; "
        f"fetched {format_size(done.fetched)} in {format_seconds(done.seconds)}{resumed}"
    )
    say(f"{done.path}")
