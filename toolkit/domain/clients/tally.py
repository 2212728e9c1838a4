"""The hosts' counts of the requests of a model in an hour: how they ended, and how soon answers began."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# Upper bounds in seconds by which hosts count: until the first token, and between two tokens of an answer.
FIRST = (
    *(0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5),
    *(3.0, 4.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 40.0, 60.0, 80.0, 120.0, 160.0, 300.0),
)
GAP = (
    *(0.005, 0.01, 0.015, 0.02, 0.025, 0.03, 0.04, 0.05, 0.06, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3),
    *(0.4, 0.5, 0.75, 1.0, 2.5, 5.0),
)
# Reasons: of refusals for how often the client asked, of one for the operator's wish that the model sleeps, and of an
# answer that broke off after it had begun.
OWN_LIMITS = ("rate_limit_exceeded", "quota_exceeded")
ASLEEP, BROKE_OFF = "model_asleep", "replica_broke_off"


@dataclass(frozen=True, slots=True)
class Tally:
    """The counts of one host for one hour, in hours since the epoch (UTC), one model or adapter, and one release.

    `release` is 0 and `version` empty for requests that no replica took. The names of `counts` are those of
    `toolkit/hostside/tally.py`: `200`, `503:no_replica`, `first<=0.5`, `gone<=2`, `gap<=0.05`.
    """

    hour: int
    host: str
    model: str
    version: str
    release: int
    counts: Mapping[str, int] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class WatchedHour:
    """The seconds of an hour in which a host read its router's log."""

    hour: int
    host: str
    seconds: float
