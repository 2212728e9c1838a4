"""Collect the facts of a version's bill of materials: its pins, its engine's lock, its newest release."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from toolkit.adapters.history.history import History
from toolkit.config.registry.lock_file import Lock
from toolkit.domain.deployment.release import Release
from toolkit.domain.engines.engine import EngineLock
from toolkit.domain.engines.requirements import parse_requirements
from toolkit.domain.registry.model import Policy, Version
from toolkit.errors import InputError
from toolkit.planning.evidence.bom import BomFacts, LockedEngine, Part
from toolkit.planning.release.capabilities import kind_of
from toolkit.planning.release.licence_policy import licence_verdict


def collect_bom(
    version: Version,
    policy: Policy,
    lock: Lock,
    engines: Sequence[EngineLock],
    history: History,
    *,
    engine: str,
    toolkit: str,
    at: float,
) -> BomFacts:
    """Return the facts of `version`; `engine` is the id of the lock to name, empty for that of the newest release.

    Raises InputError where its files are not pinned, or where `engine` is no lock of the version's engine.
    """
    release = _newest(history, version)
    wanted = engine or (release.engine if release else "")
    snapshot = lock.snapshot_of(version)
    return BomFacts(
        parts=tuple(
            Part(each, lock.snapshot_of(each), licence_verdict(each, policy))
            for each in version.parts
        ),
        kind=kind_of(version, snapshot.facts),
        engine=_locked(version, engines, wanted, required=bool(engine)),
        release=release,
        gates=tuple(history.gates(version.model, release.number)) if release else (),
        toolkit=toolkit,
        at=at,
    )


def _newest(history: History, version: Version) -> Release | None:
    """Return the newest release of the version with the revision, engine and adapters that it has now.

    Gates judged those of the release, and the document names those of the registry.
    """
    found = (each for each, _ in history.releases(version.model))
    return next((each for each in found if _is_of(each, version)), None)


def _is_of(release: Release, version: Version) -> bool:
    engine = f"{version.engine.name}-{version.engine.version}-"
    ran = {(each.name, each.source, each.revision) for each in release.adapters}
    return (
        (release.version, release.revision) == (version.name, version.revision)
        and release.engine.startswith(engine)
        and ran == {(each.name, each.source.key, each.revision) for each in version.adapters}
    )


def _locked(
    version: Version, engines: Sequence[EngineLock], wanted: str, *, required: bool
) -> LockedEngine | None:
    """Return the lock that is `wanted`, with its packages."""
    spec = version.engine
    fitting = [each for each in engines if (each.name, each.version) == (spec.name, spec.version)]
    found = next((each for each in fitting if each.id == wanted), None)
    if found is None:
        if required:
            names = ", ".join(each.id for each in fitting) or "none"
            raise InputError(
                f"{wanted!r} is no lock of {spec.name} {spec.version}",
                hint=f"--engine with one of these: {names}",
            )
        return None
    return LockedEngine(found, parse_requirements(Path(found.path).read_text("utf-8")))
