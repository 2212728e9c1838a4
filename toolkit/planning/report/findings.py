"""All that a report says, as facts; how it looks is decided elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from toolkit.domain.hosts.facts import FleetFacts
from toolkit.planning.economics.summary import Summary
from toolkit.planning.objectives.measured import Measured, Source
from toolkit.planning.report.changes import PastChange, Reign
from toolkit.planning.report.latency import Before
from toolkit.planning.report.use import Sum, UseColumn
from toolkit.planning.upkeep.currency import Currency, EngineCurrency
from toolkit.planning.use.reconciled import Reconciled


@dataclass(frozen=True, slots=True)
class Use:
    """The use of the period: sums by model and by key, and columns of `step` days of the models `names`.

    `releases` are the records beside the engines' own counters.
    """

    models: tuple[Sum, ...] = ()
    keys: tuple[Sum, ...] = ()
    columns: tuple[UseColumn, ...] = ()
    step: int = 1
    names: tuple[str, ...] = ()
    releases: tuple[Reconciled, ...] = ()


@dataclass(frozen=True, slots=True)
class UpstreamFindings:
    """The content of sources and package indexes, by model, and of engines; nothing where they were not asked."""

    models: Mapping[str, Currency] = field(default_factory=dict)
    engines: tuple[EngineCurrency, ...] = ()
    asked: bool = False
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of the period, a line for each model; nothing where no prices are `stated`.

    `notes` are remarks on the bill, `fault` is why there is none.
    """

    models: tuple[Summary, ...] = ()
    notes: tuple[str, ...] = ()
    stated: bool = False
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Findings:
    """A report of the time from `since` to `until`, seconds since the epoch.

    `changes` are those of the period, `reigns` all that reach into it. `drift` says in words what is not as it was
    deployed; `remarks` what else deserves a look. `history_fault` is why the history could not be read in full.
    `objectives` are over windows of their own, up to `until`; `source` is where their figures are from.
    """

    since: float
    until: float
    fleet: FleetFacts
    changes: tuple[PastChange, ...] = ()
    reigns: tuple[Reign, ...] = ()
    latency: tuple[Before, ...] = ()
    use: Use = field(default_factory=Use)
    drift: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    upstream: UpstreamFindings = field(default_factory=UpstreamFindings)
    history_fault: str = ""
    cost: Cost = field(default_factory=Cost)
    objectives: tuple[Measured, ...] = ()
    source: Source = field(default_factory=Source)

    def as_json(self) -> dict[str, Any]:
        """Return how much of each there is, for a program that has a report made."""
        endings = [str(each.ending) for each in self.changes]
        return {
            "since": self.since,
            "until": self.until,
            "members": len(self.fleet.labels),
            "unreachable": self.fleet.unreachable,
            "changes": {ending: endings.count(ending) for ending in sorted(set(endings))},
            "requests": sum(each.requests for each in self.use.models),
            "tokens_in": sum(each.tokens_in for each in self.use.models),
            "tokens_out": sum(each.tokens_out for each in self.use.models),
            "drift": list(self.drift),
            "history_fault": self.history_fault,
            "objectives_from": "prometheus" if self.source.prometheus else "hosts",
        }
