"""Ordered changes with their reasons."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from toolkit.domain.deployment.change import Change
from toolkit.domain.deployment.release import Release

if TYPE_CHECKING:
    from toolkit.domain.gates.guard import Guard

# The parts in which a share of a model's requests is counted.
WHOLE = 10_000


class StepKind(StrEnum):
    """Each kind of change; `workflows.act` has one function for each."""

    FETCH = "fetch"
    VERIFY = "verify"
    PROVISION = "provision"
    INSTALL_ENGINE = "install-engine"
    DISTRIBUTE = "distribute"
    STOP = "stop"
    DOZE = "doze"
    WAKE = "wake"
    START = "start"
    GATE = "gate"
    ADAPT = "adapt"
    HOLD = "hold"
    CANARY = "canary"
    SHIFT = "shift"
    BAKE = "bake"
    DRAIN = "drain"
    STANDBY = "standby"
    REMOVE = "remove"


# The steps with which a replica begins and ends to hold devices. One that dozes gives its own back, all but a little.
BEGINS = (StepKind.START, StepKind.WAKE)
ENDS = (StepKind.STOP, StepKind.DOZE)


class Strategy(StrEnum):
    """The way in which a version is changed; chosen from facts."""

    SIDE_BY_SIDE = "side-by-side"
    ROLLING = "rolling"
    SWAP = "swap"
    SWITCH = "switch"
    ADAPT = "adapt"


@dataclass(frozen=True, slots=True)
class Step:
    """One change: what, where, why. `size` in bytes where bytes move.

    A canary has its `share` of the model's requests in parts of ten thousand. It and a bake last `seconds`, and until
    `requests` were answered. Requests wait for up to the `seconds` of a hold. A drain lasts no longer than its
    `seconds`, and where it has none as long as the command lets it.
    """

    kind: StepKind
    reason: str
    slot: str = ""
    size: int = 0
    share: int = 0
    seconds: float = 0.0
    requests: int = 0

    @property
    def detail(self) -> str:
        """The words that the history keeps of the step beside its kind."""
        return f"{self.slot} {self.share / WHOLE:.2%}" if self.share else self.slot

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "kind": str(self.kind),
            "slot": self.slot,
            "reason": self.reason,
            "size": self.size,
            "share": self.share / WHOLE,
            "seconds": self.seconds,
            "requests": self.requests,
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps that a command is about to take on a host. Without steps, nothing needs to change.

    `guard` says what the release must prove; None where nothing watches it but the command. `changes` say what differs
    from what runs on the host now, in release and settings.
    """

    action: str
    model: str
    release: Release | None
    previous: Release | None
    slot: str
    port: int
    strategy: Strategy
    steps: tuple[Step, ...]
    devices: tuple[int, ...] = ()
    downtime: str = ""
    notes: tuple[str, ...] = ()
    guard: Guard | None = None
    changes: tuple[Change, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.steps

    def has(self, kind: StepKind) -> bool:
        """Whether the plan has a step of this kind."""
        return any(step.kind is kind for step in self.steps)

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "action": self.action,
            "model": self.model,
            "release": self.release.as_json() if self.release else None,
            "previous": self.previous.number if self.previous else None,
            "slot": self.slot,
            "port": self.port,
            "devices": list(self.devices),
            "strategy": str(self.strategy),
            "downtime": self.downtime or "0 s",
            "notes": list(self.notes),
            "changes": [each.as_json() for each in self.changes],
            "steps": [step.as_json() for step in self.steps],
        }
