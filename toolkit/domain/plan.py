"""Ordered changes with their reasons."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from toolkit.domain.release import Release


class StepKind(StrEnum):
    """Each kind of change; `workflows.act` has one function for each."""

    FETCH = "fetch"
    VERIFY = "verify"
    PROVISION = "provision"
    INSTALL_ENGINE = "install-engine"
    DISTRIBUTE = "distribute"
    STOP = "stop"
    START = "start"
    GATE = "gate"
    HOLD = "hold"
    SHIFT = "shift"
    BAKE = "bake"
    DRAIN = "drain"
    STANDBY = "standby"
    REMOVE = "remove"


class Strategy(StrEnum):
    """How a version is changed; chosen from facts."""

    SIDE_BY_SIDE = "side-by-side"
    ROLLING = "rolling"
    SWAP = "swap"
    SWITCH = "switch"


@dataclass(frozen=True, slots=True)
class Step:
    """One change: what, where, why. `size` in bytes where bytes move."""

    kind: StepKind
    reason: str
    slot: str = ""
    size: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps that a command is about to take on a host. Without steps, nothing needs to change."""

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

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.steps

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
            "steps": [
                {"kind": str(s.kind), "slot": s.slot, "reason": s.reason, "size": s.size}
                for s in self.steps
            ],
        }
