"""Make a bundle: pull and download what is missing, put it together, let it appear by one rename."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.adapters import bundle as disk
from toolkit.adapters.store.hashing import digest_file
from toolkit.config.registry_merge import cut_registry
from toolkit.domain.bundle import MANIFEST, REGISTRY, Manifest
from toolkit.errors import InputError
from toolkit.planning.upkeep.bundle import (
    describe_version,
    parse_manifest,
    weight_files,
    wheel_files,
)
from toolkit.workflows.files.bundle_assembly import Wish, Workshop, assemble
from toolkit.workflows.files.bundle_files import require_room
from toolkit.workflows.files.pull import preview, pull, require_licence, require_permission
from toolkit.workflows.files.supplies import PackageProgress


@dataclass(frozen=True, slots=True)
class Outlook:
    """What making a bundle would take, in bytes. `packages_unknown`: wheels that are still to be downloaded."""

    fetch: int
    weights: int
    wheels: int
    packages_unknown: int
    linked: bool


@dataclass(frozen=True, slots=True)
class Created:
    """A bundle that was made, or was there already with just this in it."""

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


def outlook(wish: Wish, shop: Workshop) -> Outlook:
    """Return what the bundle would take; raises where policy, pins or the target forbid it."""
    for version in wish.versions:
        require_licence(version, wish.registry.registry.policy)
    snapshots = wish.snapshots()
    for version, snapshot in zip(wish.versions, snapshots, strict=True):
        require_permission(version, snapshot)
    if wish.target.is_mount():
        raise InputError(
            f"{wish.target} is the top of a file system, where nothing can appear at once",
            hint=f"name a directory below it: --to {wish.target / 'bundle'}",
        )
    missing = {
        file.sha256: max(file.size - shop.store.partial_size(file), 0)
        for snapshot in snapshots
        if not shop.store.has(snapshot)
        for file in preview(snapshot, shop.store).missing
    }
    here = [lock for lock in wish.engines if shop.wheelhouse.complete(lock)]
    unknown = [lock for lock in wish.engines if lock not in here]
    placed = wheel_files({lock.id: shop.wheelhouse.files(lock) for lock in here})
    known = {file.path: file.size for files in placed.values() for file in files}
    return Outlook(
        fetch=sum(missing.values()),
        weights=sum(file.size for file in weight_files(snapshots)),
        wheels=sum(known.values()),
        packages_unknown=sum(lock.accelerator.traits.wheels for lock in unknown),
        linked=_linkable(shop.store.root, wish.target.parent),
    )


def create_bundle(wish: Wish, shop: Workshop) -> Created:
    """Make the bundle, or take up one that was interrupted.

    Raises RefusedError where policy does not allow a licence, InputError where the target is taken,
    SourceError where something cannot be had or the disk has no room, IntegrityError where bytes
    are not those pinned, BusyError while another process makes the same bundle.
    """
    started = time.monotonic()
    expected = outlook(wish, shop)
    standing = _standing(wish)
    if standing is not None:
        return standing
    wish.target.parent.mkdir(parents=True, exist_ok=True)
    require_room(
        {
            shop.store.root: expected.fetch + expected.packages_unknown,
            wish.target: 0
            if expected.linked
            else expected.weights + expected.wheels + expected.packages_unknown,
        },
        f"the bundle {wish.target}",
    )
    with disk.building(wish.target) as root:
        for version, snapshot in zip(wish.versions, wish.snapshots(), strict=True):
            policy = wish.registry.registry.policy
            pull(
                version,
                snapshot,
                shop.store,
                shop.open_hub,
                policy,
                shop.report(),
                clock=shop.clock,
            )
        for lock in wish.engines:
            if not shop.wheelhouse.complete(lock):
                shop.say(f"downloading {lock.packages} packages of {lock.id}")
            shop.wheelhouse.fill(lock, PackageProgress(shop.say))
        for python in sorted({lock.python for lock in wish.engines}):
            if why := shop.libraries.lacking(python):
                shop.say(f"hosts with Python {python} will get weights over SSH alone: {why}")
        created = assemble(wish, shop, root)
    return Created(wish.target, *created, time.monotonic() - started)


def _standing(wish: Wish) -> Created | None:
    """Return what stands at the target if it is this very bundle; raises InputError for anything else."""
    if not disk.is_occupied(wish.target):
        return None
    other = InputError(
        f"{wish.target} is there already, and is not this bundle",
        hint="name another directory, or remove it",
    )
    if not (wish.target / MANIFEST).is_file():
        raise other
    text = disk.read_bundle_text(wish.target, MANIFEST)
    manifest = parse_manifest(text)
    wanted = {
        describe_version(version, snapshot)
        for version, snapshot in zip(wish.versions, wish.snapshots(), strict=True)
    }
    same = (
        set(manifest.versions) == wanted
        and {each.id for each in manifest.engines} == {lock.id for lock in wish.engines}
        and disk.read_bundle_text(wish.target, REGISTRY)
        == cut_registry(wish.registry, wish.versions)
        and all((wish.target / f.path).is_file() for f in manifest.files)
    )
    if not same:
        raise other
    fingerprint = digest_file(wish.target / MANIFEST, MANIFEST).sha256
    return Created(wish.target, manifest, fingerprint, 0.0, already_there=True)


def _linkable(store: Path, target: Path) -> bool:
    """Whether store and target are on one file system, so that the bundle takes no room of its own."""
    return disk.room_below(store)[0] == disk.room_below(target)[0]
