"""The guard of a model: what a new version must prove before and while it takes traffic, and what was found."""

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

    `reason` says in words why it failed or could not tell; it may be empty where it passed.
    """

    gate: str
    verdict: Verdict
    reason: str = ""
    figures: tuple[Figure, ...] = ()

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

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "release": self.release,
            "host": self.host,
            "at": self.at,
            **self.result.as_json(),
        }


@dataclass(frozen=True, slots=True)
class ShareStep:
    """One step of a canary: `share` of the requests (0 to 1) for `seconds`, and until `requests` were answered."""

    share: float
    seconds: float
    requests: int = 0


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What traffic and probes may show of the new release before it is a breach.

    `slower` is the ratio of times to those of the serving release, `errors` the share of failed requests that it may
    have more, `growth` the ratio to which its memory may grow while it is watched.
    """

    slower: float = 1.25
    errors: float = 0.02
    growth: float = 1.5


@dataclass(frozen=True, slots=True)
class Guard:
    """What a version must prove. It belongs to the deployment and not to the release: changing it restarts nothing.

    The gates run before any traffic. `steps` are the canary, `bake` the seconds of watching under all traffic (None:
    as the command says). A step that cannot be judged holds for up to `patience` seconds, then follows `unsure`.
    """

    steps: tuple[ShareStep, ...] = ()
    bake: float | None = None
    tolerance: Tolerance = field(default_factory=Tolerance)
    patience: float = 1800.0
    unsure: Unsure = Unsure.RETURN
