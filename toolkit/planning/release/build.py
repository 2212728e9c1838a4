"""Version + facts -> release: exactly what to run, and the checks that it must answer."""

from __future__ import annotations

from dataclasses import replace

from toolkit.domain.deployment.release import Release, ReleaseAdapter, Span
from toolkit.domain.engines.engine import EngineLock
from toolkit.domain.files.capabilities import Capabilities, ModelFacts
from toolkit.domain.files.snapshot import Snapshot
from toolkit.domain.gates.kind import Kind
from toolkit.domain.hosts.facts import HostFacts
from toolkit.domain.registry.model import Adapter, Version
from toolkit.domain.registry.release_parts import Check
from toolkit.errors import NothingSuitableError
from toolkit.planning.engines import engine_named
from toolkit.planning.release.capabilities import (
    ASKED,
    UNASKED,
    capabilities,
    kind_of,
    of_tokens,
    vocabulary_of,
    with_defaults,
)

# A replica of a version without checks must answer this before it takes traffic.
DEFAULT_CHECK = Check(prompt="Say hello.", max_tokens=8)
# A thought of so many tokens is an answer; a large model on a CPU needs its time for them.
_THINKING = Check(prompt="Say hello.", max_tokens=64, timeout=120.0)
_DEFAULTS = {
    Kind.COMPLETION: Check(prompt="Once upon a time", max_tokens=8, kind="completion"),
    Kind.EMBEDDING: Check(prompt="Say hello.", kind="embedding"),
    Kind.RERANK: Check(prompt="Say hello.", kind="rerank"),
    Kind.TRANSCRIPTION: Check(prompt="a second of silence", kind="transcription"),
    Kind.CLASSIFICATION: Check(prompt="Say hello.", kind="classification"),
}


def built_adapter(adapter: Adapter, snapshot: Snapshot, kind: Kind = Kind.CHAT) -> ReleaseAdapter:
    """Return an adapter as a release has it; one without checks must answer the default check of its base's `kind`."""
    return ReleaseAdapter(
        adapter.name,
        adapter.source.key,
        adapter.revision,
        snapshot.digest,
        checks_of(adapter.checks, None, kind),
    )


def build_release(
    version: Version, snapshot: Snapshot, lock: EngineLock, facts: HostFacts, number: int
) -> Release:
    """Return the release that runs `version` with the engine of `lock`.

    Raises NothingSuitableError where the version transcribes and the engine has no packages that decode sound, where
    its model needs another package that the engine lacks, and where no client could ask the version.
    """
    engine, able = engine_named(version.engine.name), capabilities(version, snapshot.facts)
    kind = kind_of(version, snapshot.facts)
    if what := of_tokens(version, snapshot.facts):
        raise NothingSuitableError(f"{version.title} {UNASKED.format(what)}", hint=ASKED)
    if kind is Kind.TRANSCRIPTION:
        _require_sound(version.title, lock)
    if snapshot.facts:
        _require_packages(version, lock, snapshot.facts)
    version = with_defaults(version, snapshot.facts)
    return Release(
        model=version.model,
        number=number,
        version=version.name,
        source=version.source.key,
        revision=version.revision,
        snapshot=snapshot.digest,
        engine=lock.id,
        accelerator=str(lock.accelerator),
        memory=version.resources.memory,
        devices=version.resources.devices,
        args=engine.arguments(version, lock.accelerator, facts, vocabulary_of(snapshot.facts)),
        env=dict(engine.environment(version, lock.accelerator, snapshot.size)),
        checks=checks_of(version.checks, able, kind),
        routing=version.routing,
        span=Span(version.resources.hosts) if version.resources.hosts > 1 else None,
        does=able,
        aliases=version.aliases,
        hold=version.hold,
    )


def _require_sound(title: str, lock: EngineLock) -> None:
    if lock.sound:
        return
    place = f"{lock.accelerator} on Python {lock.python}"
    raise NothingSuitableError(
        f"{title} turns speech into text, and the lock of {lock.name} {lock.version} for {place} has no packages that "
        "decode sound",
        hint=f"toolkit engine lock {lock.version} --accelerator {lock.accelerator} --python {lock.python} "
        "--extra audio",
    )


def _require_packages(version: Version, lock: EngineLock, files: ModelFacts) -> None:
    engine = engine_named(version.engine.name)
    if package := engine.lacking(lock.version, lock.accelerator, lock.names, files):
        raise NothingSuitableError(
            f"{version.title} is a model of {', '.join(files.architectures)}, which {lock.name} {lock.version} runs on "
            f"{lock.accelerator} with {package} alone, and the lock of its packages leaves that out",
            hint="serve another model, or make a lock of your own with it, see docs/operations.md#engines",
        )


def checks_of(
    checks: tuple[Check, ...], able: Capabilities | None, kind: Kind
) -> tuple[Check, ...]:
    """Return the checks of a release of `kind`: `checks`, each with a kind, or a default where there are none."""
    if checks:
        return tuple(each if each.kind else replace(each, kind=str(kind)) for each in checks)
    if kind is Kind.CHAT:
        return (_THINKING if able and able.reasoning else DEFAULT_CHECK,)
    return (_DEFAULTS[kind],)
