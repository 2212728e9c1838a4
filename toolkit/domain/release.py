"""What is to run (release) and the attempts to make it live (deployment, step)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

SLOTS = ("blue", "green")


@dataclass(frozen=True, slots=True)
class Release:
    """Exactly what to run. Immutable; `number` counts up per model.

    `routing` is how replicas share requests out, `engine` the id of an engine lock, `snapshot` the digest over the
    files, `args` what follows `vllm serve SNAPSHOT`, without the address, which belongs to the slot.
    """

    model: str
    number: int
    version: str
    source: str
    revision: str
    snapshot: str
    engine: str
    accelerator: str
    memory: int
    devices: int
    args: tuple[str, ...]
    env: Mapping[str, str]
    checks: tuple[Mapping[str, Any], ...] = ()
    routing: str = "least-connections"

    @property
    def title(self) -> str:
        """How people name it: `tiny #3 (v2)`."""
        return f"{self.model} #{self.number} ({self.version})"

    def same_as(self, other: Release) -> bool:
        """Whether both run exactly the same thing, whatever their numbers."""
        mine, theirs = self.as_json(), other.as_json()
        return {**mine, "number": 0} == {**theirs, "number": 0}

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form that history, hosts and `--json` share."""
        data = asdict(self)
        data["args"] = list(self.args)
        data["env"] = dict(self.env)
        data["checks"] = [dict(check) for check in self.checks]
        return data

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Release:
        """Return the release whose `as_json` is `data`."""
        # of a toolkit that knew one way only
        data = {"routing": "least-connections", **data}
        known = {key: data[key] for key in Release.__dataclass_fields__}
        known["args"] = tuple(known["args"])
        known["checks"] = tuple(known["checks"])
        return Release(**known)


class Outcome(StrEnum):
    """How a deployment or a step stands."""

    RUNNING = "running"
    LIVE = "live"
    DONE = "done"
    FAILED = "failed"
    UNDONE = "undone"


@dataclass(frozen=True, slots=True)
class StepRecord:
    """A step in the history: written when it starts, completed when it ends."""

    seq: int
    kind: str
    detail: str
    outcome: Outcome
    started_at: float
    ended_at: float | None = None


@dataclass(frozen=True, slots=True)
class Deployment:
    """One attempt to make a release live on one host. Times are seconds since the epoch.

    `host` is the host's name in the fleet, empty in a history from before there were fleets;
    `rollout` is shared by the deployments of one command over several hosts, and empty for one alone.
    """

    id: int
    model: str
    action: str
    release: int
    previous: int | None
    slot: str
    actor: str
    outcome: Outcome
    reason: str
    started_at: float
    ended_at: float | None = None
    steps: tuple[StepRecord, ...] = ()
    host: str = ""
    rollout: str = ""
