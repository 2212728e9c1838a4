"""Assemble a bundle from a store and a wheelhouse that have all of its files."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from toolkit import __version__
from toolkit.adapters import bundle as disk
from toolkit.adapters.bundle import FileOrigin
from toolkit.adapters.distribution.swarm_library import Wheels
from toolkit.adapters.engines.wheelhouse import Wheelhouse
from toolkit.adapters.hub.port import OpenHub
from toolkit.adapters.store.compiled import CompiledTrees
from toolkit.adapters.store.hashing import digest_file
from toolkit.adapters.store.store import Store
from toolkit.config.registry.lock_file import Lock, lock_text
from toolkit.config.registry.merge import cut_registry
from toolkit.config.registry.reading import RegistryFile
from toolkit.domain.engines.engine import EngineLock
from toolkit.domain.files.bundle import (
    COMPILED,
    LICENCES,
    LOCK,
    MANIFEST,
    README,
    REGISTRY,
    SUMS,
    SWARM,
    UV,
    BundleFile,
    Manifest,
)
from toolkit.domain.files.snapshot import Snapshot
from toolkit.domain.registry.model import Version, parts_of
from toolkit.errors import IntegrityError
from toolkit.planning.upkeep.bundle import (
    describe_engine,
    describe_version,
    licence_files,
    manifest_text,
    sums_text,
    weight_files,
    wheel_files,
)
from toolkit.planning.upkeep.bundle_texts import licences_text, readme_text
from toolkit.workflows.files.bundle_files import WORKERS, require_room
from toolkit.workflows.files.pool import run_all
from toolkit.workflows.files.report import PullReport, counted, reporting


@dataclass(frozen=True, slots=True)
class BundleSpec:
    """The content that a bundle is to have, and its directory."""

    target: Path
    registry: RegistryFile
    lock: Lock
    versions: tuple[Version, ...]
    engines: tuple[EngineLock, ...]

    @property
    def parts(self) -> tuple[Version, ...]:
        """The parts with files of their own, each once: the versions, and their adapters."""
        return parts_of(self.versions)

    def snapshots(self) -> tuple[Snapshot, ...]:
        """Return the pinned files of each part; raises InputError where they are not pinned."""
        return tuple(self.lock.snapshot_of(part) for part in self.parts)


@dataclass(frozen=True, slots=True)
class BundleTools:
    """The adapters that make a bundle. `report` gives a fresh report for each phase."""

    store: Store
    wheelhouse: Wheelhouse
    libraries: Wheels
    open_hub: OpenHub
    uv: Path
    report: Callable[[], PullReport]
    say: Callable[[str], None]
    clock: Callable[[], float] = time.time
    compiled: CompiledTrees | None = None


def assemble(spec: BundleSpec, tools: BundleTools, root: Path) -> tuple[Manifest, str]:
    """Fill `root` and rename it to the bundle's directory; return its manifest and fingerprint.

    Raises SourceError where the disk has no room, IntegrityError where store or wheelhouse are damaged.
    """
    snapshots = spec.snapshots()
    wheels = wheel_files({lock.id: tools.wheelhouse.files(lock) for lock in spec.engines})
    placements = _placements(spec, tools, wheels)
    link = disk.can_link(tools.store.root, root)
    lacking = sum(each.file.size for each in placements if not (root / each.file.path).is_file())
    require_room({root: 0 if link else lacking}, f"the bundle {spec.target}")
    try:
        _place_all(placements, root, tools.report(), spec.target.name, link=link)
    except IntegrityError as error:
        # Packages are hashed as they are copied, so a damaged one shows here.
        wrong = [name for lock in spec.engines for name in tools.wheelhouse.recheck(lock)]
        if not (wrong or tools.libraries.recheck()):
            raise
        raise IntegrityError(
            error.message, hint="the same command again fetches the damaged packages anew"
        ) from error
    texts = {
        version.title: tuple(licence_files(version, snapshot))
        for version, snapshot in zip(spec.parts, snapshots, strict=True)
    }
    keys = {(each.source, each.revision): each for each in snapshots}
    written = [
        disk.write_text(root, REGISTRY, cut_registry(spec.registry, spec.versions)),
        disk.write_text(root, LOCK, lock_text(Lock(root / LOCK, keys))),
        disk.write_text(root, LICENCES, licences_text(spec.parts, texts)),
        *(
            disk.write_text(root, f"engines/{Path(lock.path).name}", Path(lock.path).read_text())
            for lock in spec.engines
        ),
    ]
    manifest = _manifest(spec, tools, wheels, [*(each.file for each in placements), *written])
    return _close(root, spec.target, manifest)


def _placements(
    spec: BundleSpec, tools: BundleTools, wheels: Mapping[str, Iterable[BundleFile]]
) -> list[FileOrigin]:
    """Return every file but the texts that the toolkit writes, each once, the largest first."""
    snapshots = spec.snapshots()
    origins = {
        file.sha256: tools.store.path(snapshot) / file.path
        for snapshot in snapshots
        for file in snapshot.files
    }
    found = {file.path: FileOrigin(file, origins[file.sha256]) for file in weight_files(snapshots)}
    for version, snapshot in zip(spec.parts, snapshots, strict=True):
        files = {file.path: file for file in snapshot.files}
        for path, name in licence_files(version, snapshot).items():
            file = BundleFile(path, files[name].size, files[name].sha256)
            found[path] = FileOrigin(file, origins[file.sha256])
    for lock in spec.engines:
        directory = tools.wheelhouse.directory(lock)
        for file in wheels[lock.id]:
            found[file.path] = FileOrigin(file, directory / Path(file.path).name)
    for python in sorted({lock.python for lock in spec.engines}):
        if not tools.libraries.lacking(python):
            wheel, sha256 = tools.libraries.wheel(python)
            file = BundleFile(f"{SWARM}{wheel.name}", wheel.stat().st_size, sha256)
            found[file.path] = FileOrigin(file, wheel)
    engines = [lock.id for lock in spec.engines]
    for stored in tools.compiled.of_engines(engines) if tools.compiled else ():
        for each in stored.tree.files:
            path = f"{COMPILED}{stored.engine}/{stored.tree.name}/{each.path}"
            file = BundleFile(path, each.size, each.sha256)
            found[path] = FileOrigin(file, stored.directory / each.path)
    uv = digest_file(tools.uv, UV)
    found[UV] = FileOrigin(BundleFile(UV, uv.size, uv.sha256), tools.uv)
    return sorted(found.values(), key=lambda each: -each.file.size)


def _place_all(
    placements: Sequence[FileOrigin], root: Path, report: PullReport, title: str, *, link: bool
) -> None:
    def bring(wanted: FileOrigin, stop: threading.Event) -> None:
        # A hard link would share the bytes of this environment's uv with the bundle.
        shared = link and wanted.file.path != UV
        disk.put(root, wanted, counted(stop, report, wanted.origin.name), link=shared)

    size = sum(each.file.size for each in placements)
    again = "interrupted; what is done is kept, the same command goes on from there"
    with reporting(report, title, len(placements), size, again):
        run_all([partial(bring, each) for each in placements], WORKERS)


def _manifest(
    spec: BundleSpec,
    tools: BundleTools,
    wheels: Mapping[str, Iterable[BundleFile]],
    files: Iterable[BundleFile],
) -> Manifest:
    created = datetime.fromtimestamp(tools.clock(), UTC).replace(microsecond=0)
    return Manifest(
        toolkit=__version__,
        created_at=created.isoformat().replace("+00:00", "Z"),
        versions=tuple(
            describe_version(version, snapshot)
            for version, snapshot in zip(spec.parts, spec.snapshots(), strict=True)
        ),
        engines=tuple(
            describe_engine(lock, Path(lock.path).name, wheels[lock.id]) for lock in spec.engines
        ),
        files=tuple(sorted(files, key=lambda each: each.path)),
    )


def _close(root: Path, target: Path, manifest: Manifest) -> tuple[Manifest, str]:
    """Write the manifest and rename the bundle into place; return the manifest and its fingerprint."""
    readme = disk.write_text(root, README, readme_text(manifest, manifest.size))
    files = sorted((*manifest.files, readme), key=lambda each: each.path)
    whole = replace(manifest, files=tuple(files))
    written = disk.write_text(root, MANIFEST, manifest_text(whole))
    disk.write_text(root, SUMS, sums_text(whole, written.sha256))
    disk.finish(root, target, {*whole.by_path(), MANIFEST, SUMS})
    return whole, written.sha256
