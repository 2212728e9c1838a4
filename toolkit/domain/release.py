"""What is to run (release) and the attempts to make it live (deployment, step)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

SLOTS = ("blue", "green")
PORTS_TO_MEET = 2


@dataclass(frozen=True, slots=True)
class Span:
    """The hosts that run one replica together: `size` of them.

    `hosts` are the addresses at which they reach each other, the leader's first; none before the release has a place.
    From `port` on, ports of the leader are the replica's: two for each slot.
    """

    size: int
    hosts: tuple[str, ...] = ()
    port: int = 0

    def port_of(self, slot: str) -> int:
        """Return the first of the two ports at which the hosts meet for the replica in `slot`."""
        return self.port + PORTS_TO_MEET * SLOTS.index(slot)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Span:
        """Return the span that stands in the JSON form of a release."""
        return Span(data["size"], tuple(data["hosts"]), data["port"])


@dataclass(frozen=True, slots=True)
class Release:
    """Exactly what to run. Immutable; `number` counts up per model.

    `routing` is how replicas share requests out, `engine` the id of an engine lock, `snapshot` the digest over the
    files, `args` what follows `vllm serve SNAPSHOT`, without the address, which belongs to the slot.
    `span` is there where several hosts run one replica together.
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
    span: Span | None = None

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
        if self.span:
            data["span"]["hosts"] = list(self.span.hosts)
        else:
            del data["span"]
        return data

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Release:
        """Return the release whose `as_json` is `data`."""
        # of a toolkit that knew one way only, and one host for each replica
        data = {"routing": "least-connections", "span": None, **data}
        known = {key: data[key] for key in Release.__dataclass_fields__}
        known["args"] = tuple(known["args"])
        known["checks"] = tuple(known["checks"])
        if known["span"]:
            known["span"] = Span.from_json(known["span"])
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
