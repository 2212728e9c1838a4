"""Load a bundle: check every byte, then fill store and wheelhouse, then merge lock and registry.

Nothing is loaded before every byte is checked. The registry is written last, so that it never has a
version without files.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from toolkit.adapters import bundle as disk
from toolkit.adapters.distribution.swarm_library import Wheels
from toolkit.adapters.engines.wheelhouse import Wheelhouse
from toolkit.adapters.sources.directory import LocalFiles
from toolkit.adapters.store.compiled import CompiledTrees
from toolkit.adapters.store.store import Store
from toolkit.config.engine_locks import is_shipped, local_directory, read_lock
from toolkit.config.registry.edit import write_registry
from toolkit.config.registry.lock_file import Lock, change_lock, lock_text, write_text
from toolkit.config.registry.lock_file import read_lock as read_registry_lock
from toolkit.config.registry.merge import merge_lock, merge_registry
from toolkit.config.registry.reading import RegistryFile, parse_registry, read_registry
from toolkit.domain.engines.compiled import CompiledTree
from toolkit.domain.engines.engine import EngineLock
from toolkit.domain.engines.requirements import parse_requirements
from toolkit.domain.files.bundle import (
    COMPILED,
    MANIFEST,
    REGISTRY,
    SUMS,
    SWARM,
    BundleFile,
    Manifest,
    weights_path,
)
from toolkit.domain.files.snapshot import FileDigest
from toolkit.domain.registry.model import HubSource, Version, parts_of
from toolkit.errors import IntegrityError, RefusedError
from toolkit.planning.release.licence_policy import licence_verdict
from toolkit.planning.upkeep.bundle import compiled_trees, contradictions, parse_manifest, sums_text
from toolkit.workflows.files.bundle_files import WORKERS, require_room
from toolkit.workflows.files.pool import run_all
from toolkit.workflows.files.pull import preview
from toolkit.workflows.files.pull_file import FileFetch
from toolkit.workflows.files.report import PullReport, counted, reporting
from toolkit.workflows.files.whole_weights import require_weights
from toolkit.workflows.tools import require_yes

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose texts are read and checked against each other. Its large files are unchecked."""

    root: Path
    manifest: Manifest
    fingerprint: str
    registry: RegistryFile
    lock: Lock
    engines: tuple[EngineLock, ...]

    def versions(self) -> tuple[Version, ...]:
        """Return the versions of its registry."""
        return self.registry.registry.versions

    def parts(self) -> tuple[Version, ...]:
        """Return the parts with files of their own, each once: the versions, and their adapters."""
        return parts_of(self.versions())


@dataclass(frozen=True, slots=True)
class LoadSite:
    """The ops machine that loads a bundle. `report` gives a fresh report for each phase."""

    store: Store
    wheelhouse: Wheelhouse
    libraries: Wheels
    home: Path
    registry_path: Path
    locks: tuple[EngineLock, ...]
    report: Callable[[], PullReport]
    clock: Callable[[], float] = time.time


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """The changes that loading a bundle would make. `before` is None where there is no registry yet.

    `added` names the versions that are new in the registry, `room` the bytes for each place.
    """

    snapshots: tuple[Version, ...]
    wheels: tuple[EngineLock, ...]
    libraries: tuple[BundleFile, ...]
    compiled: tuple[tuple[str, CompiledTree], ...]
    engine_locks: tuple[EngineLock, ...]
    before: RegistryFile | None
    after: RegistryFile
    added: tuple[str, ...]
    lock: Lock
    lock_changes: bool
    room: dict[Path, int]
    notes: tuple[str, ...]

    @property
    def empty(self) -> bool:
        """Whether all of the bundle is here already."""
        return not (
            self.snapshots
            or self.wheels
            or self.libraries
            or self.compiled
            or self.engine_locks
            or self.added
            or self.lock_changes
        )

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints of it."""
        return {
            "snapshots": [version.title for version in self.snapshots],
            "engines": [lock.id for lock in self.wheels],
            "swarm_libraries": [file.path for file in self.libraries],
            "compiled": [tree.name for _, tree in self.compiled],
            "engine_locks": [Path(lock.path).name for lock in self.engine_locks],
            "registry": str(self.after.document.path),
            "versions_added": list(self.added),
            "bytes": sum(self.room.values()),
            "notes": list(self.notes),
        }


def open_bundle(root: Path, fingerprint: str = "") -> Bundle:
    """Return the bundle in `root`, its texts checked against the manifest and each other.

    `fingerprint` is the sha256 of the manifest, if the maker told it over another channel.
    Raises InputError where the directory is no bundle, IntegrityError where the bundle is damaged.
    """
    disk.require_bundle(root)
    text = disk.read_bundle_text(root, MANIFEST)
    found = hashlib.sha256(text.encode()).hexdigest()
    if fingerprint and found != fingerprint.lower():
        raise IntegrityError(
            f"this bundle's fingerprint is {found}, not {fingerprint}",
            hint="it is another bundle, or somebody changed it; do not take it in",
        )
    manifest = parse_manifest(text)
    large = ("weights/", "wheels/", SWARM, COMPILED)
    texts = [file for file in manifest.files if not file.path.startswith(large)]
    _refuse(root, [fault for file in texts if (fault := disk.check(root, file, lambda _: None))])
    registry = read_registry(root / REGISTRY)
    engines = tuple(read_lock(root / engine.lock) for engine in manifest.engines)
    bundle = Bundle(root, manifest, found, registry, read_registry_lock(root / REGISTRY), engines)
    faults = contradictions(
        manifest,
        {part.title: bundle.lock.snapshot_of(part) for part in bundle.parts()},
        {lock.id: parse_requirements(Path(lock.path).read_text()) for lock in engines},
    )
    _refuse(root, faults)
    return bundle


def check_bundle(bundle: Bundle, report: PullReport) -> None:
    """Hash every file; raises IntegrityError that names each one that is missing or differs."""
    faults: list[str] = []

    def look(file: BundleFile, stop: threading.Event) -> None:
        fault = disk.check(bundle.root, file, counted(stop, report, file.path))
        if fault:
            faults.append(fault)

    manifest = bundle.manifest
    with reporting(report, f"checking {bundle.root.name}", len(manifest.files), manifest.size):
        largest_first = sorted(manifest.files, key=lambda file: -file.size)
        run_all([partial(look, file) for file in largest_first], WORKERS)
    try:
        same = disk.read_bundle_text(bundle.root, SUMS) == sums_text(manifest, bundle.fingerprint)
    except IntegrityError as error:
        faults.append(error.message)
    else:
        faults += [] if same else [f"{SUMS}: does not say what {MANIFEST} says"]
    _refuse(bundle.root, sorted(faults))
    for path in disk.strays(bundle.root, {*manifest.by_path(), MANIFEST, SUMS}):
        # Any program may have put a file there, with control characters in its name.
        name = path if path.isprintable() else ascii(path)
        report.note(f"{name} is not of the bundle and is left alone")


def plan_load(bundle: Bundle, site: LoadSite) -> LoadPlan:
    """Return the changes to make; nothing is changed.

    Raises RefusedError or IntegrityError where this machine's registry, lock or engine lock contradicts
    the bundle, SourceError where the disk has no room.
    """
    path = site.registry_path
    before, added = None, tuple(version.title for version in bundle.versions())
    if path.exists() or path.is_symlink():
        before = read_registry(path, unpinned=True)
        merged = merge_registry(before, bundle.registry)
        after, added = merged.file, merged.added
    else:
        after = parse_registry(path, bundle.registry.document.text)
    here = read_registry_lock(path)
    lock = merge_lock(here, bundle.lock.snapshots.values())
    missing = tuple(
        version
        for version in bundle.parts()
        if not site.store.has(bundle.lock.snapshot_of(version))
    )
    wheels = tuple(each for each in bundle.engines if not site.wheelhouse.complete(each))
    libraries = tuple(
        file
        for file in bundle.manifest.files
        if file.path.startswith(SWARM) and site.libraries.wants(file.sha256)
    )
    trees = CompiledTrees(site.home)
    compiled = tuple(
        (engine, tree)
        for engine, tree in compiled_trees(bundle.manifest)
        if not trees.has(tree.name)
    )
    unknown = {each.id for each in bundle.engines} - {each.id for each in site.locks}
    engine_locks = tuple(each for each in bundle.engines if each.id in unknown)
    plan = LoadPlan(
        snapshots=missing,
        wheels=wheels,
        libraries=libraries,
        compiled=compiled,
        engine_locks=engine_locks,
        before=before,
        after=after,
        added=added,
        lock=lock,
        lock_changes=lock_text(lock) != lock_text(here),
        room=_room(
            bundle, site, missing, wheels, (*libraries, *(f for _, t in compiled for f in t.files))
        ),
        notes=(*_engine_notes(site, engine_locks), *_registry_notes(before, after, added, bundle)),
    )
    require_room(plan.room, f"the bundle {bundle.root}")
    return plan


def load_bundle(
    bundle: Bundle,
    site: LoadSite,
    confirm: Callable[[LoadPlan], bool],
    *,
    dry_run: bool = False,
) -> LoadPlan:
    """Load the bundle and return what was done; an empty plan means that everything was here already.

    Every byte of the bundle is checked first, even with `dry_run` and with an empty plan. Raises
    IntegrityError where a file differs from the manifest, with nothing loaded, RefusedError where
    `confirm` returns false, and what `plan_load` raises.
    """
    plan = plan_load(bundle, site)
    if not plan.empty and not dry_run:
        require_yes(plan, confirm, "nothing was taken in")
    check_bundle(bundle, site.report())
    if dry_run or plan.empty:
        return plan
    texts = [(Path(lock.path).name, _same_text(bundle, lock)) for lock in plan.engine_locks]
    for version in plan.snapshots:
        _take_snapshot(bundle, site, version)
    for lock in plan.wheels:
        _take_wheels(bundle, site, lock)
    for file in plan.libraries:
        site.libraries.take_in(bundle.root / file.path, file.sha256)
    _take_compiled(bundle, site, plan)
    for name, text in texts:
        target = local_directory(site.home) / name
        target.parent.mkdir(parents=True, exist_ok=True)
        write_text(target, text)
    if plan.lock_changes:
        # The bundle was checked for long, so that another command may have locked other digests.
        incoming = bundle.lock.snapshots.values()
        change_lock(site.registry_path, lambda lock: merge_lock(lock, incoming))
    if plan.before is None or plan.added:
        write_registry(site.registry_path, plan.before, plan.after)
    return plan


def _same_text(bundle: Bundle, lock: EngineLock) -> str:
    """Return the text of an engine lock; raises IntegrityError where it is no longer that which was checked."""
    path = Path(lock.path).relative_to(bundle.root).as_posix()
    text = disk.read_bundle_text(bundle.root, path)
    if hashlib.sha256(text.encode()).hexdigest() != lock.digest:
        _refuse(bundle.root, [f"{path}: it has changed since it was checked"])
    return text


def _take_compiled(bundle: Bundle, site: LoadSite, plan: LoadPlan) -> None:
    for engine, tree in plan.compiled:
        top = bundle.root / COMPILED / engine / tree.name
        data = ((top / file.path).read_bytes() for file in tree.files)
        CompiledTrees(site.home).take_in(tree, engine, data)


def _take_snapshot(bundle: Bundle, site: LoadSite, version: Version) -> None:
    snapshot = bundle.lock.snapshot_of(version)
    report = site.report()
    download = preview(snapshot, site.store)
    # The directory of a model made in house is on the machine that made the bundle.
    origin = replace(version, source=HubSource(version.source.key))
    with (
        reporting(report, version.title, len(download.missing), download.size),
        site.store.stage(snapshot) as staging,
    ):
        files = LocalFiles(bundle.root, lambda file: weights_path(file.sha256))
        fetch = FileFetch(origin, site.store, staging, files, report)
        run_all([partial(fetch, file) for file in staging.link_present()], WORKERS)
        require_weights(version, snapshot, staging.files)
        staging.commit(version.licence, site.clock())


def _take_wheels(bundle: Bundle, site: LoadSite, lock: EngineLock) -> None:
    engine = next(each for each in bundle.manifest.engines if each.id == lock.id)
    report = site.report()
    with reporting(report, lock.id, len(engine.wheels), engine.size):
        site.wheelhouse.take_in(
            lock,
            [bundle.root / path for path in engine.wheels],
            lambda size: report.advance("packages", size),
        )


def _room(
    bundle: Bundle,
    site: LoadSite,
    versions: tuple[Version, ...],
    engines: tuple[EngineLock, ...],
    others: tuple[BundleFile | FileDigest, ...],
) -> dict[Path, int]:
    contents = {
        file.sha256: max(file.size - site.store.partial_size(file), 0)
        for version in versions
        for file in preview(bundle.lock.snapshot_of(version), site.store).missing
    }
    wanted = {lock.id for lock in engines}
    wheels = sum(each.size for each in bundle.manifest.engines if each.id in wanted)
    wheels += sum(file.size for file in others)
    return {site.store.root: sum(contents.values()), site.home: wheels}


def _engine_notes(site: LoadSite, locks: tuple[EngineLock, ...]) -> list[str]:
    notes = []
    for lock in locks:
        name = Path(lock.path).name
        others = [each for each in site.locks if Path(each.path).name == name]
        mine = next((each for each in others if not is_shipped(each)), None)
        if mine is not None:
            raise RefusedError(
                f"{mine.path} is another lock than the bundle's {name}",
                hint="keep one of the two: move that file away, then load again",
            )
        if others:
            notes.append(
                f"{lock.id} stands before {others[0].id}, which came with the toolkit: "
                "the next deploy of a model on that engine makes a new release"
            )
    return notes


def _registry_notes(
    before: RegistryFile | None, after: RegistryFile, added: tuple[str, ...], bundle: Bundle
) -> list[str]:
    notes = []
    for title in added:
        name = title.partition("@")[0]
        last = after.registry.models[name].newest.title
        if before is not None and name in before.registry.models and last == title:
            notes.append(f"{title} stands last and is what `toolkit upgrade {name}` takes now")
    for version in bundle.parts():
        verdict = licence_verdict(version, after.registry.policy)
        if not verdict.allowed:
            notes.append(f"{verdict.reason}, so deploy will refuse it; {verdict.hint}")
    return notes


def _refuse(root: Path, faults: list[str] | tuple[str, ...]) -> None:
    if not faults:
        return
    more = len(faults) - _SHOWN
    shown = [*faults[:_SHOWN], *([f"and {more} more"] if more > 0 else [])]
    raise IntegrityError(
        f"{root} is not as it was made; nothing was taken in:\n  " + "\n  ".join(shown),
        hint=f"bring these files over again: (cd {root} && sha256sum --quiet -c {SUMS})",
    )
