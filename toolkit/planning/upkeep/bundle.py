"""The content of a bundle, and its manifest as text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from toolkit.domain.accelerator import Accelerator
from toolkit.domain.bounds import BUNDLE, WHOLE
from toolkit.domain.engines.compiled import CompiledTree
from toolkit.domain.engines.engine import EngineLock
from toolkit.domain.engines.requirements import LockedPackage
from toolkit.domain.excerpt import brief
from toolkit.domain.files.bundle import (
    COMPILED,
    LOCK,
    MANIFEST,
    README,
    REGISTRY,
    SUMS,
    BundleEngine,
    BundleFile,
    BundleVersion,
    Manifest,
    weights_path,
)
from toolkit.domain.files.snapshot import FileDigest, Snapshot, is_safe_path
from toolkit.domain.outside import checked, parse_json, plainly, shown
from toolkit.domain.registry.model import Version
from toolkit.errors import IntegrityError, NothingSuitableError
from toolkit.planning.release.engine_choice import choose_lock

FORMAT = 1
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_TOOLKIT = re.compile(r"[0-9][0-9A-Za-z.+!-]{0,39}\Z")
_CREATED = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z\Z")
_LICENCE = re.compile(r"(LICEN[CS]E|NOTICE|COPYING|USE_POLICY)([._-].*)?\Z", re.IGNORECASE)


def choose_engines(
    versions: Iterable[Version],
    locks: Sequence[EngineLock],
    accelerators: Sequence[Accelerator],
    pythons: Sequence[str],
) -> tuple[EngineLock, ...]:
    """Return the engine locks that the versions need, each once, in the versions' order.

    Without `accelerators`, each version uses those of its resources. Raises InputError or
    NothingSuitableError where there is no such lock, or a version runs on none of `accelerators`.
    """
    found: dict[str, EngineLock] = {}
    for version in versions:
        able = version.resources.accelerators
        usable = [each for each in able if not accelerators or each in accelerators]
        if not usable:
            raise NothingSuitableError(
                f"{version.title} runs on {', '.join(able)}, not on {', '.join(accelerators)}",
                hint=f"leave --accelerator out, or add: --accelerator {able[0]}",
            )
        for accelerator in usable:
            for python in pythons:
                lock = choose_lock(locks, version.engine, accelerator, python)
                found[lock.id] = lock
    return tuple(found.values())


def weight_files(snapshots: Iterable[Snapshot]) -> tuple[BundleFile, ...]:
    """Return the files of all snapshots, each content once, the largest first."""
    contents = {
        file.sha256: BundleFile(weights_path(file.sha256), file.size, file.sha256)
        for snapshot in snapshots
        for file in snapshot.files
    }
    return tuple(sorted(contents.values(), key=lambda each: (-each.size, each.path)))


def wheel_files(
    wheels: Mapping[str, Mapping[str, tuple[str, int]]],
) -> dict[str, tuple[BundleFile, ...]]:
    """Return where the wheels of each engine go; equal ones are one file.

    `wheels` maps engine ids to file names with sha256 and size. A name that two engines use for
    different files gets a directory.
    """
    taken: dict[str, str] = {}
    placed: dict[str, tuple[BundleFile, ...]] = {}
    for engine, names in wheels.items():
        files = []
        for name, (sha256, size) in sorted(names.items()):
            path = f"wheels/{name}"
            if taken.setdefault(path, sha256) != sha256:
                path = f"wheels/{sha256[:12]}/{name}"
                taken[path] = sha256
            files.append(BundleFile(path, size, sha256))
        placed[engine] = tuple(files)
    return placed


def licence_files(version: Version, snapshot: Snapshot) -> dict[str, str]:
    """Return the licence texts of a snapshot: path in the bundle -> path in the snapshot."""
    return {
        f"licences/{version.title}/{file.path}": file.path
        for file in snapshot.files
        if _LICENCE.match(PurePosixPath(file.path).name)
    }


def describe_version(version: Version, snapshot: Snapshot) -> BundleVersion:
    """Return the manifest's line of a version."""
    return BundleVersion(
        title=version.title,
        source=snapshot.source,
        revision=snapshot.revision,
        licence=version.licence,
        openness=str(version.openness),
        engine=f"{version.engine.name} {version.engine.version}",
        snapshot=snapshot.digest,
        files=len(snapshot.files),
        size=snapshot.size,
    )


def describe_engine(lock: EngineLock, name: str, wheels: Iterable[BundleFile]) -> BundleEngine:
    """Return the manifest's line of an engine whose lock has the file name `name`."""
    files = tuple(wheels)
    return BundleEngine(
        id=lock.id,
        version=lock.version,
        accelerator=str(lock.accelerator),
        python=lock.python,
        lock=f"engines/{name}",
        wheels=tuple(file.path for file in files),
        size=sum(file.size for file in files),
    )


def manifest_text(manifest: Manifest) -> str:
    """Return the manifest as the text of its file."""
    return json.dumps({"format": FORMAT, **manifest.as_json()}, indent=1, ensure_ascii=False) + "\n"


def sums_text(manifest: Manifest, manifest_sha256: str) -> str:
    """Return the text by which `sha256sum -c` checks the whole bundle."""
    sums = {file.path: file.sha256 for file in manifest.files} | {MANIFEST: manifest_sha256}
    return "".join(f"{sums[path]}  {path}\n" for path in sorted(sums))


def parse_manifest(text: str) -> Manifest:
    """Return the manifest in `text`; raises IntegrityError where it is no manifest, or has a path that leads out.

    Every text in a manifest is one line that a terminal can print, so that none can pass for the fingerprint.
    """
    try:
        data = parse_json(text, BUNDLE)
        _require_lines(data)
        if data["format"] != FORMAT:
            raise _bad(f"it has format {shown(data['format'])}, not {FORMAT}")
        manifest = checked(
            Manifest(
                toolkit=data["toolkit"],
                created_at=data["created_at"],
                versions=tuple(BundleVersion(**each) for each in data["versions"]),
                engines=tuple(
                    BundleEngine(**{**each, "wheels": tuple(each["wheels"])})
                    for each in data["engines"]
                ),
                files=tuple(map(_file, data["files"])),
            )
        )
    except (ValueError, KeyError, TypeError) as error:
        raise _bad(plainly(error)) from None
    for pattern, value in ((_TOOLKIT, manifest.toolkit), (_CREATED, manifest.created_at)):
        if not pattern.match(value):
            raise _bad(f"{shown(value)} does not tell when it was made, and by which toolkit")
    for file in manifest.files:
        _check_file(file)
    named = {path for engine in manifest.engines for path in (engine.lock, *engine.wheels)}
    lacking = {README, REGISTRY, LOCK, *named} - set(manifest.by_path())
    if lacking or len(manifest.by_path()) != len(manifest.files):
        raise _bad(f"it does not name {', '.join(sorted(lacking)) or 'each file once'}")
    return manifest


def compiled_trees(manifest: Manifest) -> tuple[tuple[str, CompiledTree], ...]:
    """Return the trees that engines have compiled, each with the id of its engine lock."""
    files: dict[tuple[str, str], list[FileDigest]] = {}
    for file in manifest.files:
        parts = file.path.split("/", 3)
        if file.path.startswith(COMPILED) and len(parts) == 4:
            _, engine, name, path = parts
            digest = FileDigest(path, file.size, file.sha256)
            files.setdefault((engine, name), []).append(digest)
    return tuple(
        (engine, CompiledTree(name, tuple(each))) for (engine, name), each in sorted(files.items())
    )


def contradictions(
    manifest: Manifest,
    versions: Mapping[str, Snapshot],
    engines: Mapping[str, Sequence[LockedPackage]],
) -> tuple[str, ...]:
    """Return how a manifest differs from the locks that came with it, a line each.

    `versions` maps `model@version` to what the registry's lock pins, `engines` ids to their packages.
    """
    files = manifest.by_path()
    faults = []
    if set(versions) != {each.title for each in manifest.versions}:
        faults.append("registry and manifest name different versions")
    for title, snapshot in versions.items():
        for file in snapshot.files:
            found = files.get(weights_path(file.sha256))
            if found is None or (found.size, found.sha256) != (file.size, file.sha256):
                faults.append(f"{title}: {file.path} of the lock is not in the manifest")
    for engine in manifest.engines:
        packages = engines.get(engine.id)
        if packages is None:
            faults.append(f"{engine.id}: {engine.lock} is another lock")
            continue
        digests = {files[path].sha256 for path in engine.wheels if path in files}
        faults += [
            f"{engine.id}: no wheel of {package.pin}"
            for package in packages
            if not digests & set(package.sha256)
        ]
    faults += [
        f"{COMPILED}{engine}/{tree.name}: {words}"
        for engine, tree in compiled_trees(manifest)
        if (words := tree.fault())
    ]
    return tuple(faults)


def _require_lines(data: Any) -> None:
    """Raise ValueError where a text in a document, or a name of a field, is not one printable line."""
    if isinstance(data, str):
        if not data.isprintable():
            raise ValueError(f"{shown(data)} is not one line of text")
    elif isinstance(data, dict):
        for name, value in data.items():
            _require_lines(name)
            _require_lines(value)
    elif isinstance(data, list):
        for value in data:
            _require_lines(value)


def _file(entry: dict[str, Any]) -> BundleFile:
    file = BundleFile(**entry)
    size: Any = file.size
    if type(size) is not int or not 0 <= size <= WHOLE:
        raise _bad(f"{shown(file.path)}: {shown(size)} is no size")
    return file


def _check_file(file: BundleFile) -> None:
    path = file.path
    if not is_safe_path(path):
        raise _bad(f"the path {shown(path)} leads out of the bundle")
    if path in (MANIFEST, SUMS) or not _SHA256.match(file.sha256):
        raise _bad(f"{path}: it cannot be checked")


def _bad(why: str) -> IntegrityError:
    return IntegrityError(
        f"{MANIFEST} is not one that `toolkit bundle create` wrote: {brief(why)}",
        hint="bring the bundle over again",
    )
