"""Make a bundle: fetch missing files, assemble them beside the target, rename the result into place."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.adapters import bundle as disk
from toolkit.adapters.store.hashing import digest_file
from toolkit.config.registry.merge import cut_registry
from toolkit.domain.files.bundle import MANIFEST, REGISTRY, Manifest
from toolkit.errors import InputError
from toolkit.planning.upkeep.bundle import (
    describe_version,
    parse_manifest,
    weight_files,
    wheel_files,
)
from toolkit.workflows.files.bundle_assembly import BundleSpec, BundleTools, assemble
from toolkit.workflows.files.bundle_files import require_room
from toolkit.workflows.files.pull import preview, pull, require_licence, require_permission
from toolkit.workflows.files.supplies import PackageProgress


@dataclass(frozen=True, slots=True)
class Outlook:
    """The bytes that a bundle would take. `packages_unknown` estimates the wheels still to be downloaded."""

    fetch: int
    weights: int
    wheels: int
    packages_unknown: int
    linked: bool


@dataclass(frozen=True, slots=True)
class Created:
    """A bundle that was made, or that was there already with the same content."""

    target: Path
    manifest: Manifest
    fingerprint: str
    seconds: float
    already_there: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "path": str(self.target),
            "fingerprint": self.fingerprint,
            "size": self.manifest.size,
            "files": len(self.manifest.files),
            "versions": [each.title for each in self.manifest.versions],
            "engines": [each.id for each in self.manifest.engines],
            "seconds": round(self.seconds, 3),
            "already_there": self.already_there,
        }


def outlook(spec: BundleSpec, tools: BundleTools) -> Outlook:
    """Return the size of the bundle; raises an error where policy, pins or the target forbid it."""
    for version in spec.parts:
        require_licence(version, spec.registry.registry.policy)
    snapshots = spec.snapshots()
    for version, snapshot in zip(spec.parts, snapshots, strict=True):
        require_permission(version, snapshot)
    if spec.target.is_mount():
        raise InputError(
            f"{spec.target} is the top of a file system, where nothing can appear at once",
            hint=f"name a directory below it: --to {spec.target / 'bundle'}",
        )
    missing = {
        file.sha256: max(file.size - tools.store.partial_size(file), 0)
        for snapshot in snapshots
        if not tools.store.has(snapshot)
        for file in preview(snapshot, tools.store).missing
    }
    here = [lock for lock in spec.engines if tools.wheelhouse.complete(lock)]
    unknown = [lock for lock in spec.engines if lock not in here]
    placed = wheel_files({lock.id: tools.wheelhouse.files(lock) for lock in here})
    known = {file.path: file.size for files in placed.values() for file in files}
    return Outlook(
        fetch=sum(missing.values()),
        weights=sum(file.size for file in weight_files(snapshots)),
        wheels=sum(known.values()),
        packages_unknown=sum(lock.accelerator.traits.wheels for lock in unknown),
        linked=_linkable(tools.store.root, spec.target.parent),
    )


def create_bundle(spec: BundleSpec, tools: BundleTools) -> Created:
    """Make the bundle, or continue one that was interrupted.

    Raises RefusedError where policy does not allow a licence, InputError where the target is taken,
    SourceError where a file cannot be fetched or the disk has no room, IntegrityError where bytes
    differ from those pinned, BusyError while another process makes the same bundle.
    """
    started = time.monotonic()
    expected = outlook(spec, tools)
    standing = _standing(spec)
    if standing is not None:
        return standing
    spec.target.parent.mkdir(parents=True, exist_ok=True)
    require_room(
        {
            tools.store.root: expected.fetch + expected.packages_unknown,
            spec.target: 0
            if expected.linked
            else expected.weights + expected.wheels + expected.packages_unknown,
        },
        f"the bundle {spec.target}",
    )
    with disk.building(spec.target) as root:
        for version, snapshot in zip(spec.parts, spec.snapshots(), strict=True):
            policy = spec.registry.registry.policy
            pull(
                version,
                snapshot,
                tools.store,
                tools.open_hub,
                policy,
                tools.report(),
                clock=tools.clock,
            )
        for lock in spec.engines:
            if not tools.wheelhouse.complete(lock):
                tools.say(f"downloading {lock.packages} packages of {lock.id}")
            tools.wheelhouse.fill(lock, PackageProgress(tools.say))
        for python in sorted({lock.python for lock in spec.engines}):
            if why := tools.libraries.lacking(python):
                tools.say(f"hosts with Python {python} will get weights over SSH alone: {why}")
        created = assemble(spec, tools, root)
    return Created(spec.target, *created, time.monotonic() - started)


def _standing(spec: BundleSpec) -> Created | None:
    """Return the bundle at the target if it has the same content; raises InputError for anything else."""
    if not disk.is_occupied(spec.target):
        return None
    other = InputError(
        f"{spec.target} is there already, and is not this bundle",
        hint="name another directory, or remove it",
    )
    if not (spec.target / MANIFEST).is_file():
        raise other
    text = disk.read_bundle_text(spec.target, MANIFEST)
    manifest = parse_manifest(text)
    wanted = {
        describe_version(version, snapshot)
        for version, snapshot in zip(spec.parts, spec.snapshots(), strict=True)
    }
    same = (
        set(manifest.versions) == wanted
        and {each.id for each in manifest.engines} == {lock.id for lock in spec.engines}
        and disk.read_bundle_text(spec.target, REGISTRY)
        == cut_registry(spec.registry, spec.versions)
        and all((spec.target / f.path).is_file() for f in manifest.files)
    )
    if not same:
        raise other
    fingerprint = digest_file(spec.target / MANIFEST, MANIFEST).sha256
    return Created(spec.target, manifest, fingerprint, 0.0, already_there=True)


def _linkable(store: Path, target: Path) -> bool:
    """Whether store and target are on one file system, so that hard links spare the room of the bundle."""
    return disk.room_below(store)[0] == disk.room_below(target)[0]
