"""A bill: what hosts, models and keys cost over a span."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from toolkit.domain.costs.economics import Costs, Interval, Metered, Rates, Reservation, Traffic
from toolkit.planning.economics.shares import ZERO
from toolkit.planning.economics.work import Tokens


@dataclass(frozen=True, slots=True)
class Situation:
    """All that a bill follows from.

    `keys` are the same tokens by key and model, for large histories: the rows of `traffic` then leave the key out.
    None: the rows of `traffic` have it. `asleep` are the seconds in which models slept, by host and model.
    """

    costs: Costs
    span: Interval
    reservations: tuple[Reservation, ...]
    traffic: tuple[Traffic, ...]
    metered: tuple[Metered, ...] = ()
    keys: tuple[Traffic, ...] | None = None
    asleep: Mapping[tuple[str, str], int] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class HostBill:
    """The cost of a host over the span. `empty` is the part of its time in which no replica held it."""

    host: str
    hours: Decimal
    capital: Decimal
    energy: Decimal
    hosting: Decimal
    people: Decimal
    kwh: Decimal
    energy_source: str
    empty: Decimal

    @property
    def total(self) -> Decimal:
        """The sum."""
        return self.capital + self.energy + self.hosting + self.people


@dataclass(frozen=True, slots=True)
class PerMillion:
    """A cost per million tokens of each kind; None where nothing tells it."""

    input: Decimal | None
    cached: Decimal | None
    output: Decimal | None


@dataclass(frozen=True, slots=True)
class ModelBill:
    """The cost of a model over the span.

    `utilisation` is work over live time, 1 for full load. Without a stated capacity it is None where there was work,
    and so are `working` and `idle`, the parts of the live time's cost. `marginal_total` is the part of the bill that
    follows from the tokens themselves: the energy of the work. `capacity` is what a replica does in a mean live second.
    `asleep` is what the time without work cost in which the model slept; `idle` is the rest of that time.
    """

    model: str
    tokens: Tokens
    live_hours: Decimal
    standby_hours: Decimal
    total: Decimal
    standby: Decimal
    working: Decimal | None
    idle: Decimal | None
    utilisation: Decimal | None
    marginal_total: Decimal | None
    actual: PerMillion
    full: PerMillion | None
    marginal: PerMillion | None
    capacity: Rates | None
    asleep: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class KeyBill:
    """A key's part of a model's bill: that of its tokens' work."""

    key: str
    model: str
    tokens: Tokens
    total: Decimal


@dataclass(frozen=True, slots=True)
class Account:
    """A whole bill. `empty` is what hosts without any replica cost. The totals of models and `empty` are all hosts'."""

    span: Interval
    currency: str
    hosts: tuple[HostBill, ...]
    models: tuple[ModelBill, ...]
    keys: tuple[KeyBill, ...]
    empty: Decimal
    notes: tuple[str, ...] = ()

    @property
    def total(self) -> Decimal:
        """The cost of the fleet."""
        return sum((each.total for each in self.hosts), ZERO)

    @property
    def unused(self) -> Decimal | None:
        """The cost of time without work: idle, asleep, standby and empty; None where a utilisation is not known."""
        found = self.empty
        for each in self.models:
            if each.idle is None:
                return None
            found += each.idle + each.asleep + each.standby
        return found
