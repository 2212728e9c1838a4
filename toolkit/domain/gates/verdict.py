"""The findings of gates and guards, and the phase of a guard; its order is in `guard`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """The outcome of a gate, of a step of a canary or of a bake. A figure that nobody could measure is never bad."""

    PASSED = "passed"
    FAILED = "failed"
    UNKNOWN = "could not tell"


class Unsure(StrEnum):
    """The policy for a step that could not be judged once its patience is over: give the traffic back, or go on."""

    RETURN = "return"
    GO_ON = "go-on"


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value of the new release, beside the serving one's; None where it was not measured.

    `unit` is what a reader sees behind the value: `ms`, `%`, `of 20`.
    """

    name: str
    new: float | None
    old: float | None = None
    unit: str = ""


def figure_words(figure: Figure) -> str:
    """Return a figure in words: `first token: 41.2 ms, 40 ms before`; a value that nobody measured is a dash."""
    old = "" if figure.old is None else f", {_value(figure.old, figure.unit)} before"
    return f"{figure.name}: {_value(figure.new, figure.unit)}{old}"


def _value(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    return (
        f"{value:,.4g} {unit}".rstrip() if abs(value) < 10_000 else f"{value:,.0f} {unit}".rstrip()
    )


@dataclass(frozen=True, slots=True)
class GateResult:
    """The verdict of one gate (`answers`, `speed`, `shape`, `health`, `canary`, `bake`, ...) with its figures.

    `reason` says in words why it failed or could not tell; it may be empty where it passed. `passed` names the golden
    prompts that the new release passed each time it was asked; nothing keeps it.
    """

    gate: str
    verdict: Verdict
    reason: str = ""
    figures: tuple[Figure, ...] = ()
    passed: tuple[str, ...] = field(default=(), compare=False)

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form that history, hosts and `--json` share."""
        return {
            "gate": self.gate,
            "verdict": str(self.verdict),
            "reason": self.reason,
            "figures": [
                {"name": each.name, "new": each.new, "old": each.old, "unit": each.unit}
                for each in self.figures
            ],
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> GateResult:
        """Return the result whose `as_json` is `data`."""
        figures = tuple(Figure(**each) for each in data.get("figures", ()))
        return GateResult(data["gate"], Verdict(data["verdict"]), data.get("reason", ""), figures)


# The gates that judge a release under traffic: one that fails there has had requests, and is returned.
UNDER_TRAFFIC = ("canary", "bake")


@dataclass(frozen=True, slots=True)
class GateRecord:
    """The result of a gate on a host in the history. `at` is in seconds since the epoch.

    `release` is the release's number; `rollout` is that of its deployment, empty where nothing was deployed.
    """

    model: str
    release: int
    host: str
    rollout: str
    at: float
    result: GateResult

    @property
    def returned(self) -> bool:
        """Whether the release failed under traffic."""
        return self.result.verdict is Verdict.FAILED and self.result.gate in UNDER_TRAFFIC

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "release": self.release,
            "host": self.host,
            "at": self.at,
            **self.result.as_json(),
        }


class GuardPhase(StrEnum):
    """The part of a release's way that the guard of a host watches: a canary's share, or the bake under all traffic."""

    SHARE = "share"
    BAKE = "bake"
    ENDED = "ended"
