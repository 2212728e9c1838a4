"""Version + facts -> release: exactly what to run."""

from __future__ import annotations

from toolkit.domain.engine import EngineLock
from toolkit.domain.facts import HostFacts
from toolkit.domain.model import Adapter, Check, Version
from toolkit.domain.release import Release, ReleaseAdapter, Span
from toolkit.domain.snapshot import Snapshot
from toolkit.planning.engines import engine_named

# A replica of a version without checks must answer this before it takes traffic.
DEFAULT_CHECK = Check(prompt="Say hello.", max_tokens=8)


def built_adapter(adapter: Adapter, snapshot: Snapshot) -> ReleaseAdapter:
    """Return an adapter as a release has it; one without checks must answer the default check."""
    return ReleaseAdapter(
        adapter.name,
        adapter.source.key,
        adapter.revision,
        snapshot.digest,
        adapter.checks or (DEFAULT_CHECK,),
    )


def build_release(
    version: Version, snapshot: Snapshot, lock: EngineLock, facts: HostFacts, number: int
) -> Release:
    """Return the release that runs `version` with the engine of `lock`."""
    engine = engine_named(version.engine.name)
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
        args=engine.arguments(version, lock.accelerator, facts),
        env=dict(engine.environment(version, lock.accelerator, snapshot.size)),
        checks=version.checks or (DEFAULT_CHECK,),
        routing=version.routing,
        span=Span(version.resources.hosts) if version.resources.hosts > 1 else None,
    )
