"""The costs of serving: prices of hosts, prices of closed APIs, capacities, and the time that models hold hosts.

Money is `decimal.Decimal` in the currency of the costs; prices of tokens are per million tokens. Moments are whole
seconds since the epoch, and days begin at midnight UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

MILLION = Decimal(1_000_000)
HOUR = Decimal(3600)
# A month of twelve equal ones in a year of 8,760 hours.
HOURS_A_MONTH = Decimal(730)
HOURS_A_YEAR = Decimal(8760)
# Kilowatt hours: a meter may count in steps of so much, so that a short stretch seems to have that much.
STEP = Decimal(1)

# Input, cached and output tokens a second.
Rates = tuple[Decimal, Decimal, Decimal]


@dataclass(frozen=True, slots=True)
class Interval:
    """A stretch of time, from `begins` until just before `ends`, in seconds since the epoch."""

    begins: int
    ends: int

    @property
    def seconds(self) -> int:
        """Its length, 0 where it ends before it begins."""
        return max(0, self.ends - self.begins)

    def within(self, other: Interval) -> Interval:
        """Return the part of it that lies in `other`; it may be empty."""
        return Interval(max(self.begins, other.begins), min(self.ends, other.ends))

    @property
    def days(self) -> tuple[date, ...]:
        """The days (UTC) that it touches."""
        if not self.seconds:
            return ()
        first, last = day_of(self.begins), day_of(self.ends - 1)
        return tuple(first + timedelta(days=each) for each in range((last - first).days + 1))


def day_of(moment: float) -> date:
    """Return the day (UTC) of a moment."""
    return datetime.fromtimestamp(moment, UTC).date()


def is_to_come(day: date, today: date) -> bool:
    """Whether a day has come nowhere yet: a day later than today's is today's of another time zone."""
    return day - today > timedelta(days=1)


def midnight(day: date) -> int:
    """Return the moment at which a day begins in UTC."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


@dataclass(frozen=True, slots=True)
class Purchase:
    """A bought host: its price, what it is worth after so many `years`, and no costs of capital afterwards.

    It is written off from the day `bought` on; None: from the first day of its price.
    """

    price: Decimal
    years: Decimal
    residual: Decimal = Decimal(0)
    bought: date | None = None

    @property
    def hourly(self) -> Decimal:
        """The straight-line write-off per hour while it lasts."""
        return (self.price - self.residual) / (self.years * HOURS_A_YEAR)


@dataclass(frozen=True, slots=True)
class HostPrice:
    """The price of a host from the day `begins` to the day `ends` (both included; None: until further notice).

    `hourly` is a rent; a bought host has a `purchase`. `hosting` is per month, `people`
    are hours of work per month. `watts_idle` and `watts_busy` are the stated power of the host; `metered` says that its
    energy is read from a meter, beside which `watts_rest` flow. None of the three: the rent includes the energy.
    """

    begins: date
    ends: date | None = None
    hourly: Decimal = Decimal(0)
    purchase: Purchase | None = None
    hosting: Decimal = Decimal(0)
    people: Decimal = Decimal(0)
    watts_idle: Decimal | None = None
    watts_busy: Decimal | None = None
    watts_rest: Decimal = Decimal(0)
    metered: bool = False
    device: str = ""

    @property
    def pays_energy(self) -> bool:
        """Whether energy is paid beside the other costs."""
        return self.metered or self.watts_idle is not None


@dataclass(frozen=True, slots=True)
class Capacity:
    """The speed of one replica at full load with one kind of token alone, in tokens a second, measured on a day."""

    model: str
    device: str
    input: Decimal
    cached: Decimal
    output: Decimal
    measured: date

    @property
    def rates(self) -> Rates:
        """The three figures."""
        return self.input, self.cached, self.output


@dataclass(frozen=True, slots=True)
class Exchange:
    """The price of one unit of another currency, as read on a day."""

    rate: Decimal
    read: date


@dataclass(frozen=True, slots=True)
class Tier:
    """Prices per million tokens for requests whose prompt has more than `over` tokens.

    `cached` is None where the API has no price of its own for cached tokens.
    """

    over: int
    input: Decimal
    output: Decimal
    cached: Decimal | None = None


@dataclass(frozen=True, slots=True)
class ApiRate:
    """The prices of a closed model from the day `begins` to the day `ends`, both included; None: without that end.

    `read` is the day on which somebody read them at their source. With `daily`, they hold between two minutes of each
    day (UTC) alone.
    """

    read: date
    tiers: tuple[Tier, ...]
    begins: date | None = None
    ends: date | None = None
    daily: tuple[int, int] | None = None

    def holds(self, day: date) -> bool:
        """Whether the day is one of its days."""
        return (self.begins is None or self.begins <= day) and (
            self.ends is None or day <= self.ends
        )


@dataclass(frozen=True, slots=True)
class ApiPrice:
    """A closed model, `provider/model`, with all its prices in one currency, and where they come from."""

    name: str
    currency: str
    rates: tuple[ApiRate, ...]
    source: str


@dataclass(frozen=True, slots=True)
class ChargePrice:
    """The charge to keys for a million tokens of a model, from the day `begins` on, in the currency of the costs."""

    begins: date
    input: Decimal
    cached: Decimal
    output: Decimal


@dataclass(frozen=True, slots=True)
class Costs:
    """The content of a file of costs: prices of hosts by name, of other devices (`offers`), and what goes with them.

    `kwh` is the price of a kilowatt hour; `pue` multiplies every stated or metered watt. `person_hour` is the price of
    an hour of work; `people` are hours a month for the fleet as a whole. `stale` is the age in days from which a price
    counts as stale. `charge` is what keys are charged for each model, for their quotas of cost.
    """

    currency: str
    hosts: Mapping[str, tuple[HostPrice, ...]]
    offers: Mapping[str, HostPrice] = field(default_factory=dict)
    capacities: tuple[Capacity, ...] = ()
    kwh: Decimal = Decimal(0)
    pue: Decimal = Decimal(1)
    person_hour: Decimal = Decimal(0)
    people: Decimal = Decimal(0)
    exchange: Mapping[str, Exchange] = field(default_factory=dict)
    apis: Mapping[str, ApiPrice] = field(default_factory=dict)
    against: tuple[str, ...] = ()
    stale: int = 60
    charge: Mapping[str, tuple[ChargePrice, ...]] = field(default_factory=dict)

    def capacity(self, model: str, device: str) -> Capacity | None:
        """Return the capacity of a replica of `model` on `device`; one without a device holds for all devices."""
        known = {(each.model, each.device): each for each in self.capacities}
        return known.get((model, device)) or known.get((model, ""))

    def price_on(self, host: str, moment: int) -> HostPrice | None:
        """Return the price of a host at a moment; None where it costs nothing then."""
        day = day_of(moment)
        for each in self.hosts.get(host, ()):
            if each.begins <= day and (each.ends is None or day <= each.ends):
                return each
        return None


@dataclass(frozen=True, slots=True)
class Reservation:
    """A replica's time on a host: `live` while it takes traffic, else it stands by or is being started.

    `weight` is the memory that it holds, for sharing a host's cost among its replicas. It runs over so many `hosts`
    together, of which one answers, and has a reservation of each.
    """

    host: str
    model: str
    release: int
    span: Interval
    live: bool
    weight: int = 1
    hosts: int = 1


@dataclass(frozen=True, slots=True)
class Traffic:
    """Use of a model on a day by a key at a host. `tokens_in` includes the `cached` ones.

    `unknown` are requests whose tokens nobody could count.
    """

    day: date
    host: str
    key: str
    model: str
    requests: int
    tokens_in: int
    cached: int
    tokens_out: int
    unknown: int = 0


@dataclass(frozen=True, slots=True)
class Metered:
    """The energy that a meter counted on a host between two readings, in kilowatt hours."""

    host: str
    span: Interval
    kwh: Decimal
