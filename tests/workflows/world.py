"""A whole small world in memory: one host, one model with versions, a history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toolkit.adapters.fakes.distribution import FakeDistribution
from toolkit.adapters.fakes.host import FakeConverge, FakeHost
from toolkit.adapters.history.history import History
from toolkit.adapters.interruption import Interruption
from toolkit.domain.facts import HostFacts
from toolkit.domain.plan import Plan
from toolkit.domain.probe import LockOwner
from toolkit.domain.release import Release
from toolkit.domain.snapshot import FileDigest
from toolkit.planning.change.deploy import Wanted
from toolkit.workflows.change.change import Result, change_release
from toolkit.workflows.change.routers import Doors
from toolkit.workflows.change.stop import stop_model
from toolkit.workflows.change.wanted import ask_rollback
from toolkit.workflows.tools import SnapshotFiles, Timing, Tools

TIMING = Timing(ready=5, drain=5, bake=1)
GB = 10**9


def release(number: int, version: str | None = None, *, memory: int = 3 * GB) -> Release:
    """Return release `number` of the model `tiny`; versions are called v1, v2, …"""
    return Release(
        model="tiny",
        number=number,
        version=version or f"v{number}",
        source="demo/tiny",
        revision=f"{number:040x}",
        snapshot=f"{number:064x}",
        engine="vllm-0.32.0-cpu-py311-aaaaaaaa",
        accelerator="cpu",
        memory=memory,
        devices=1,
        args=("--served-model-name", "tiny"),
        env={},
        checks=({"prompt": "hi", "contains": "", "max_tokens": 8, "timeout": 5.0},),
    )


class FakeSupplies:
    """Everything is at hand."""

    def fetch(self, version: Any, say: Any) -> None:
        """There already."""

    def verify(self, release: Release) -> None:
        """As pinned."""

    def snapshot(self, release: Release) -> SnapshotFiles:
        return SnapshotFiles("/store", (FileDigest("model.safetensors", 8, "0" * 64),))

    def engine_variables(self, engine: str, say: Any) -> Mapping[str, Any]:
        return {"engine_id": engine, "engine_wheelhouse": "/wheels"}

    def engine_packages(self, engine: str) -> tuple[FileDigest, ...]:
        return (FileDigest("vllm.whl", 8, "0" * 64),)


@dataclass
class World:
    """`host` is the machine, `tools` what commands get, `said` what they told people."""

    path: Path
    host: FakeHost = field(default_factory=FakeHost)
    said: list[str] = field(default_factory=list)
    shown: list[Plan] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.time = 1000.0
        self.converge = FakeConverge(self.host)
        self.history = History(self.path / "history.db", self.clock)
        self.tools = Tools(
            host=self.host,
            converge=self.converge,
            history=self.history,
            supplies=FakeSupplies,
            owner=LockOwner("ann@ops", "toolkit deploy tiny", 4711),
            clock=self.clock,
            say=self.said.append,
            provision_digest="base-1",
            doors=Doors([self.host]),
            distribution=FakeDistribution,
            interruption=Interruption(),
        )

    def clock(self) -> float:
        self.time += 0.01
        return self.time

    def confirm(self, plan: Plan) -> bool:
        self.shown.append(plan)
        return True

    def deploy(self, wanted: Release, **more: Any) -> Result:
        def ask(facts: HostFacts) -> Wanted:
            return Wanted("deploy", wanted, "base-1", bake_seconds=1, **more)

        self.host.events.clear()
        return change_release(self.tools, ask, self.confirm, version=None, timing=TIMING)

    def rollback(self, number: int | None = None) -> Result:
        ask = ask_rollback("tiny", number, history=self.history, timing=TIMING, keep_standby=True)
        self.host.events.clear()
        return change_release(self.tools, ask, self.confirm, version=None, timing=TIMING)

    def stop(self) -> Plan:
        self.host.events.clear()
        return stop_model(self.tools, "tiny", self.confirm, timing=TIMING)

    def table(self) -> list[tuple[str, str, str, int]]:
        """Return (slot, version, state, weight) of each slot, as an operator would see them."""
        return sorted(
            (
                slot.slot,
                slot.release.version if slot.release else "",
                "healthy" if slot.healthy else str(slot.process),
                slot.weight,
            )
            for slot in self.host.observe().slots
        )

    def outcomes(self) -> list[tuple[str, int, str]]:
        """Return (action, release, outcome) of each deployment, oldest first."""
        return [
            (each.action, each.release, str(each.outcome))
            for each in reversed(self.history.deployments("tiny"))
        ]
