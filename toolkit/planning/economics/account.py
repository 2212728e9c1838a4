"""The bill of a fleet over a span, divided among its models: work, idle time and standby.

    host's cost = rent or write-off + hosting + people + energy

Each price of a host has its own time, power, meter and device. A day's tokens count at the price of the day, since
prices change at midnight. The costs divide among the replicas that hold the host, moment by moment, by the memory that
they hold. A model's live time divides into work and idle time by its utilisation: the seconds that its tokens take at
full load, over the seconds that its replicas were live. Of the time without work, `asleep` is that in which the model
slept. Idle power belongs to the time, and the power on top of it to the work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import TypeVar

from toolkit.domain.costs.economics import (
    HOUR,
    HOURS_A_MONTH,
    MILLION,
    Costs,
    Rates,
    Traffic,
    midnight,
)
from toolkit.planning.economics.bills import (
    Account,
    HostBill,
    KeyBill,
    ModelBill,
    PerMillion,
    Situation,
)
from toolkit.planning.economics.energy import MOST, Energy, energy_of, sources
from toolkit.planning.economics.several_hosts import rates_of, spread, together
from toolkit.planning.economics.shares import ZERO, HostTime, Share, divide
from toolkit.planning.economics.work import Tokens, total, work_of

_ONE = Decimal(1)
# A host, a model, and the day on which the host's price begins; None for a day without a price.
_At = tuple[str, str, date | None]
_Kind = TypeVar("_Kind")


def account(situation: Situation) -> Account:
    """Return the bill. Raises InputError where a host has no price or no energy for a time that it was used."""
    costs, span = situation.costs, situation.span
    by_place = _by_place(spread(situation.traffic, together(situation.reservations)), costs)
    keyed = situation.traffic if situation.keys is None else situation.keys
    by_key = _grouped(keyed, lambda row: (row.key, row.model))
    names = dict.fromkeys([*costs.hosts, *(each.host for each in situation.reservations)])
    times = [divide(each, costs, span, situation.reservations) for each in names]
    paid = [each for periods in times for each in periods]
    _spread_people(
        paid, costs.people * costs.person_hour * Decimal(span.seconds) / HOUR / HOURS_A_MONTH
    )
    sums: dict[str, _Model] = {}
    notes: list[str] = []
    hosts = [_bill_host(situation, each, by_place, sums, notes) for each in times if each]
    placed = {(time.host, model, time.price.begins) for time in paid for model in time.shares}
    _add_homeless({at: each for at, each in by_place.items() if at not in placed}, sums, notes)
    models = {name: _model_bill(name, sums[name]) for name in sorted(sums)}
    return Account(
        span,
        costs.currency,
        tuple(hosts),
        tuple(models.values()),
        _key_bills(by_key, models),
        sum((each.empty for each in hosts), ZERO),
        tuple(sorted(set(notes))),
    )


@dataclass(slots=True)
class _Model:
    """A model's sums over hosts. `worked` are seconds at full load; `lacks` says that a host has no capacity for it."""

    tokens: Tokens = field(default_factory=Tokens)
    worked: Decimal = ZERO
    seconds: int = 0
    standby_seconds: int = 0
    total: Decimal = ZERO
    standby: Decimal = ZERO
    working: Decimal = ZERO
    idle: Decimal = ZERO
    asleep: Decimal = ZERO
    dynamic: Decimal = ZERO
    dynamic_full: Decimal = ZERO
    capacity: tuple[Decimal, ...] = (ZERO, ZERO, ZERO)
    lacks: bool = False
    metered_alone: bool = False

    @property
    def mean(self) -> Rates | None:
        """The tokens of each kind that a replica does in a mean live second at full load."""
        if self.lacks or not self.seconds:
            return None
        first, second, third = (each / self.seconds for each in self.capacity)
        return first, second, third


def _by_place(traffic: Iterable[Traffic], costs: Costs) -> dict[_At, Tokens]:
    """Return the tokens of each model at each host, apart for each of the host's prices."""
    begins: dict[tuple[str, date], date | None] = {}

    def place(row: Traffic) -> _At:
        there = row.host, row.day
        if there not in begins:
            price = costs.price_on(row.host, midnight(row.day))
            begins[there] = price.begins if price else None
        return row.host, row.model, begins[there]

    return _grouped(traffic, place)


def _grouped(traffic: Iterable[Traffic], kind: Callable[[Traffic], _Kind]) -> dict[_Kind, Tokens]:
    """Return the tokens of each kind of rows."""
    found: dict[_Kind, list[Traffic]] = {}
    for row in traffic:
        found.setdefault(kind(row), []).append(row)
    return {each: total(rows) for each, rows in found.items()}


def _spread_people(paid: Iterable[HostTime], money: Decimal) -> None:
    """Add the hours of work for the fleet as a whole to its hosts, over their time."""
    paid = list(paid)
    seconds = sum(each.seconds for each in paid)
    for time in paid:
        each_second = money / seconds
        time.people += each_second * time.seconds
        time.empty_fixed += each_second * time.empty
        for share in time.shares.values():
            share.live_fixed += each_second * share.live
            share.standby_fixed += each_second * share.standby


def _bill_host(
    situation: Situation,
    periods: Sequence[HostTime],
    by_place: Mapping[_At, Tokens],
    sums: dict[str, _Model],
    notes: list[str],
) -> HostBill:
    """Return the bill of a host from its time at each price."""
    host, kwh = periods[0].host, situation.costs.kwh
    live: dict[str, int] = {}
    for time in periods:
        for model, share in time.shares.items():
            live[model] = live.get(model, 0) + share.seconds
    # Nothing says at which of the prices a model slept.
    rest = {
        model: Decimal(situation.asleep.get((host, model), 0)) / seconds if seconds else ZERO
        for model, seconds in live.items()
    }
    found: list[Energy] = []
    unknown: dict[str, int] = {}
    empty = ZERO
    for time in periods:
        tokens = {
            model: by_place.get((host, model, time.price.begins), Tokens()) for model in time.shares
        }
        for model, each in tokens.items():
            unknown[model] = unknown.get(model, 0) + each.unknown
        energy = _bill_period(situation, time, tokens, rest, sums, notes)
        empty += time.empty_fixed + _Power.of(energy, kwh, time, ZERO).a_second * time.empty
        found.append(energy)
    notes += (
        f"{model} at {host}: {number:,} requests with unknown tokens"
        for model, number in unknown.items()
        if number
    )
    total_kwh = sum((each.total for each in found), ZERO)
    return HostBill(
        host,
        Decimal(sum(each.seconds for each in periods)) / HOUR,
        sum((each.capital for each in periods), ZERO),
        total_kwh * kwh,
        sum((each.hosting for each in periods), ZERO),
        sum((each.people for each in periods), ZERO),
        total_kwh,
        sources(found),
        empty,
    )


def _bill_period(
    situation: Situation,
    time: HostTime,
    tokens: Mapping[str, Tokens],
    rest: Mapping[str, Decimal],
    sums: dict[str, _Model],
    notes: list[str],
) -> Energy:
    """Add a host's time at one price to the sums of its models, and return its energy.

    `rest` is the part of its live time in which each model slept.
    """
    costs = situation.costs
    capacities = {model: costs.capacity(model, time.price.device) for model in time.shares}
    rates = {
        model: rates_of(time.shares[model], each.rates) if each else None
        for model, each in capacities.items()
    }
    used = {
        model: _utilisation(tokens[model], rates[model], share.seconds)
        for model, share in time.shares.items()
    }
    for model, use in used.items():
        notes += _remarks(model, time, use)
    # Work without a capacity counts as full load: too much energy rather than too little.
    active = {model: min(_ONE, _ONE if use is None else use) for model, use in used.items()}
    worked = sum((active[model] * share.live for model, share in time.shares.items()), ZERO)
    energy = energy_of(time, costs, situation.metered, worked)
    if energy.refused:
        notes.append(
            f"{time.host}: readings of {energy.refused / 3600:.1f} h are more than {MOST} times its busy watts: stated "
            "watts take their place"
        )
    for model, share in time.shares.items():
        found = sums.setdefault(model, _Model())
        part = active[model] * share.live / worked if worked else ZERO
        power = _Power.of(energy, costs.kwh, time, part)
        _add_share(found, share, power, used[model], rest[model])
        _add_work(found, share, tokens[model], rates[model])
    return energy


def _utilisation(tokens: Tokens, rates: Rates | None, seconds: int) -> Decimal | None:
    if not tokens.all or not seconds:
        return ZERO
    return work_of(tokens, rates).seconds / seconds if rates else None


def _remarks(model: str, time: HostTime, use: Decimal | None) -> Iterable[str]:
    if use is None:
        power = "; its power counts as busy" if time.price.pays_energy else ""
        yield f"{model} at {time.host}: utilisation unknown without its `capacity`{power}"
    elif use > _ONE:
        yield f"{model} at {time.host}: more tokens than its `capacity` allows"


@dataclass(frozen=True, slots=True)
class _Power:
    """Money for energy at a host: for a second of its time, for a model's work, and for one more second of work."""

    a_second: Decimal
    work: Decimal
    more: Decimal | None

    @staticmethod
    def of(energy: Energy, kwh: Decimal, time: HostTime, part: Decimal) -> _Power:
        """Return it for a model that did `part` of the host's work."""
        return _Power(
            energy.idle * kwh / time.seconds,
            energy.busy * kwh * part,
            None if energy.per_second is None else energy.per_second * kwh,
        )


def _add_share(
    model: _Model, share: Share, power: _Power, used: Decimal | None, rest: Decimal
) -> None:
    live = share.live_fixed + power.a_second * share.live
    standby = share.standby_fixed + power.a_second * share.standby
    model.seconds += share.seconds
    model.standby_seconds += share.standby_seconds
    model.total += live + standby + power.work
    model.standby += standby
    model.dynamic += power.work
    part = min(_ONE, used or ZERO)
    model.working += live * part + power.work
    # Nobody works while it sleeps; records of the day may say more seconds than it was live.
    resting = min(_ONE - part, rest)
    model.asleep += live * resting
    model.idle += live * (_ONE - part - resting)
    if power.more is None:
        model.metered_alone = True
    else:
        model.dynamic_full += power.more * share.live


def _add_work(model: _Model, share: Share, tokens: Tokens, rates: Rates | None) -> None:
    model.tokens += tokens
    if rates is None:
        # A replica that only stands by needs no capacity.
        model.lacks = model.lacks or bool(share.seconds)
        return
    model.worked += work_of(tokens, rates).seconds
    model.capacity = tuple(
        before + each * share.seconds for before, each in zip(model.capacity, rates, strict=True)
    )


def _add_homeless(
    homeless: Mapping[_At, Tokens], sums: dict[str, _Model], notes: list[str]
) -> None:
    places: dict[tuple[str, str], Tokens] = {}
    for (host, model, _), tokens in homeless.items():
        places[host, model] = places.get((host, model), Tokens()) + tokens
    for (host, model), tokens in places.items():
        if tokens.all:
            notes.append(
                f"{model} at {host}: {tokens.all:,} tokens while nothing says that it ran there"
            )
        sums.setdefault(model, _Model()).tokens += tokens


def _model_bill(name: str, sums: _Model) -> ModelBill:
    mean = sums.mean
    known = mean is not None or not sums.tokens.all
    full = marginal = None
    if mean:
        fixed = sums.total - sums.dynamic
        full = _per_million((fixed + sums.dynamic_full) / sums.seconds, mean)
        if not sums.metered_alone:
            marginal = _per_million(sums.dynamic_full / sums.seconds, mean)
    return ModelBill(
        name,
        sums.tokens,
        Decimal(sums.seconds) / HOUR,
        Decimal(sums.standby_seconds) / HOUR,
        sums.total,
        sums.standby,
        sums.working if known else None,
        sums.idle if known else None,
        (sums.worked / sums.seconds if sums.seconds else ZERO) if known else None,
        None if sums.metered_alone or (not known and sums.dynamic) else sums.dynamic,
        _actual(sums.total, sums.tokens, mean),
        full,
        marginal,
        mean,
        sums.asleep if known else ZERO,
    )


def _actual(money: Decimal, tokens: Tokens, mean: Rates | None) -> PerMillion:
    """Return the cost of a million tokens of each kind, where all tokens together cost `money`."""
    work = work_of(tokens, mean)
    return PerMillion(
        *(
            money * seconds / work.seconds / count * MILLION if count else None
            for seconds, count in (
                (work.input, tokens.fresh),
                (work.cached, tokens.cached),
                (work.output, tokens.output),
            )
        )
    )


def _per_million(money_a_second: Decimal, rates: Rates) -> PerMillion:
    return PerMillion(*(money_a_second / each * MILLION for each in rates))


def _key_bills(
    by_key: Mapping[tuple[str, str], Tokens], models: Mapping[str, ModelBill]
) -> tuple[KeyBill, ...]:
    """Return each key's part of each model's bill, by the work of its tokens."""
    work = {
        (key, model): work_of(tokens, models[model].capacity).seconds
        for (key, model), tokens in by_key.items()
    }
    whole: dict[str, Decimal] = {}
    for (_, model), seconds in work.items():
        whole[model] = whole.get(model, ZERO) + seconds
    found = [
        KeyBill(
            key,
            model,
            tokens,
            models[model].total * work[key, model] / whole[model] if whole[model] else ZERO,
        )
        for (key, model), tokens in by_key.items()
    ]
    return tuple(sorted(found, key=lambda each: (-each.total, each.key, each.model)))
