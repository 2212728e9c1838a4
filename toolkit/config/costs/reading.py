"""Read `costs.yaml`: prices of hosts, capacities, and prices of closed APIs. Every fault has file and line.

The prices have a file of their own beside the fleet: they change at other times than hosts do, and other people know
them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from toolkit.config.costs.currencies import CURRENCIES
from toolkit.config.costs.values import Values
from toolkit.config.text_file import read_text
from toolkit.config.yaml_text import Where, YamlText, parse_yaml
from toolkit.domain.costs.economics import (
    ApiPrice,
    ApiRate,
    Capacity,
    ChargePrice,
    Costs,
    Exchange,
    HostPrice,
    Purchase,
    Tier,
    is_to_come,
)

MAX_BYTES = 2**20
EXAMPLE = "docs/economics.md has an example"
_TOP = (
    "currency",
    "exchange",
    "energy",
    "people",
    "hosts",
    "offers",
    "capacity",
    "against",
    "apis",
    "stale",
    "charge",
)
_HOST = ("from", "until", "hourly", "purchase", "hosting", "people", "watts", "metered", "device")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,127}")


def load_costs(path: Path, today: date) -> Costs:
    """Return the costs in the file `path`, as it is read on the day `today`.

    Raises InputError with file, line and column.
    """
    return parse_costs(path, read_text(path, limit=MAX_BYTES, hint=EXAMPLE), today)


def parse_costs(path: Path, text: str, today: date = date.max) -> Costs:
    """Return the costs in `text`, the content of `path`; see `load_costs`."""
    return _Reader(parse_yaml(path, text), today).costs()


class _Reader(Values):
    """Reads one document."""

    def __init__(self, document: YamlText, today: date) -> None:
        super().__init__(document, EXAMPLE)
        self.today = today

    def costs(self) -> Costs:
        data = self.mapping((), _TOP)
        currency = self._currency(("currency",)) if "currency" in data else ""
        if not currency:
            raise self.fault((), "the currency is missing", "write `currency: EUR` at the top")
        energy = self.mapping(("energy",), ("kwh", "pue")) if "energy" in data else {}
        people = self.mapping(("people",), ("hour", "hours")) if "people" in data else {}
        kwh = self.amount(("energy", "kwh")) if "kwh" in energy else None
        person_hour = self.amount(("people", "hour")) if "hour" in people else None
        shared = self.amount(("people", "hours")) if "hours" in people else Decimal(0)
        hosts = {name: self._periods(("hosts", name)) for name in self._names("hosts", data)}
        if not hosts:
            raise self.fault(("hosts",), "no host has a price", "write one below `hosts:`")
        offers = {name: self._price(("offers", name)) for name in self._names("offers", data)}
        self._need(hosts, offers, kwh, person_hour, shared)
        return Costs(
            currency,
            hosts,
            offers,
            self._capacities(data),
            kwh or Decimal(0),
            self.amount(("energy", "pue"), least=Decimal(1)) if "pue" in energy else Decimal(1),
            person_hour or Decimal(0),
            shared,
            {name: self._exchange(name, currency) for name in self._names("exchange", data)},
            {name: self._api(name) for name in self._names("apis", data)},
            tuple(
                self.text(("against", number), _NAME, "provider/model")
                for number in range(len(self.sequence(("against",)) if "against" in data else ()))
            ),
            self.whole(("stale",), 1, 3650) if "stale" in data else 60,
            {name: self._charges(name) for name in self._names("charge", data)},
        )

    def _names(self, field: str, data: Mapping[str, Any]) -> Collection[str]:
        found = self.mapping((field,)) if field in data else {}
        for name in found:
            if not _NAME.fullmatch(name):
                raise self.fault((field, name), f"{name[:60]!r} is no name", at_key=True)
        return found

    def _need(
        self,
        hosts: Mapping[str, tuple[HostPrice, ...]],
        offers: Mapping[str, HostPrice],
        kwh: Decimal | None,
        person_hour: Decimal | None,
        shared: Decimal,
    ) -> None:
        """Refuse watts without a price of energy, and hours of work without their price."""
        every = [(("hosts", name), each) for name, periods in hosts.items() for each in periods]
        every += [(("offers", name), each) for name, each in offers.items()]
        for where, each in every:
            if each.pays_energy and kwh is None:
                raise self.fault(
                    where, "it has watts, and energy has no price", "write `energy: {kwh: 0.30}`"
                )
            if each.people and person_hour is None:
                raise self.fault(
                    where, "it has hours of people without a price", "write `people: {hour: 80}`"
                )
        if shared and person_hour is None:
            raise self.fault(("people",), "hours without a price", "write `people: {hour: 80, …}`")

    def _periods(self, where: Where) -> tuple[HostPrice, ...]:
        """Return the prices of a host, in their order; a later one ends the one before."""
        if not isinstance(self.value(where), list):
            return (self._price(where),)
        found: list[HostPrice] = []
        for number in range(len(self.sequence(where))):
            at = (*where, number)
            each = self._price(at)
            if found and each.begins <= found[-1].begins:
                raise self.fault(
                    (*at, "from"), f"{each.begins} is not after {found[-1].begins}, the price above"
                )
            if found:
                before = found[-1]
                each = _of_one_purchase(before, each)
                if before.ends is not None and before.ends >= each.begins:
                    raise self.fault(
                        (*at, "from"), f"the price above holds until {before.ends}: two at a time"
                    )
                last = before.ends or each.begins - timedelta(days=1)
                found[-1] = replace(before, ends=last)
            found.append(each)
        if not found:
            raise self.fault(where, "no price", EXAMPLE)
        return tuple(found)

    def _price(self, where: Where) -> HostPrice:
        data = self.mapping(where, _HOST)
        begins = self._day_of(where, "from", data, "the day from which the price holds")
        ends = self.day((*where, "until")) if "until" in data else None
        if ends is not None and ends < begins:
            raise self.fault((*where, "until"), f"{ends} is before {begins}, its `from`")
        if ("hourly" in data) == ("purchase" in data):
            words = "both a rent and a purchase" if "hourly" in data else "no price"
            hint = "write `hourly: 2.50`, or `purchase: {price: 30000, years: 4}`"
            raise self.fault(where, f"the host has {words}", hint)
        idle, busy = self._watts((*where, "watts")) if "watts" in data else (None, None)
        metered = self._metered((*where, "metered")) if "metered" in data else None
        if "purchase" in data and idle is None and metered is None:
            raise self.fault(
                where, "a bought host needs its power", "write `watts: {idle: 200, busy: 900}`"
            )
        return HostPrice(
            begins,
            ends,
            self.amount((*where, "hourly")) if "hourly" in data else Decimal(0),
            self._purchase((*where, "purchase"), begins) if "purchase" in data else None,
            self.amount((*where, "hosting")) if "hosting" in data else Decimal(0),
            self.amount((*where, "people")) if "people" in data else Decimal(0),
            idle,
            busy,
            metered or Decimal(0),
            metered is not None,
            self.text((*where, "device"), _NAME, "a name") if "device" in data else "",
        )

    def _purchase(self, where: Where, begins: date) -> Purchase:
        data = self.mapping(where, ("price", "years", "residual", "bought"))
        for name in ("price", "years"):
            if name not in data:
                raise self.fault(where, f"the purchase has no `{name}`", f"add `{name}:`")
        years = self.amount((*where, "years"), least=Decimal("0.1"))
        price = self.amount((*where, "price"))
        residual = self.amount((*where, "residual")) if "residual" in data else Decimal(0)
        if residual > price:
            raise self.fault((*where, "residual"), f"{residual} is more than the price {price}")
        bought = self.day((*where, "bought")) if "bought" in data else None
        if bought is not None and bought > begins:
            raise self.fault((*where, "bought"), f"{bought} is after {begins}, the price's `from`")
        return Purchase(price, years, residual, bought)

    def _watts(self, where: Where) -> tuple[Decimal, Decimal]:
        if not isinstance(self.value(where), dict):
            both = self.amount(where)
            return both, both
        data = self.mapping(where, ("idle", "busy"))
        for name in ("idle", "busy"):
            if name not in data:
                raise self.fault(
                    where, f"the watts have no `{name}`", "write `{idle: 200, busy: 900}`"
                )
        idle, busy = self.amount((*where, "idle")), self.amount((*where, "busy"))
        if busy < idle:
            raise self.fault((*where, "busy"), f"{busy} W busy are less than {idle} W idle")
        return idle, busy

    def _metered(self, where: Where) -> Decimal:
        """Return the watts that flow beside a meter."""
        if self.value(where) is True:
            return Decimal(0)
        data = self.mapping(where, ("rest",))
        return self.amount((*where, "rest")) if "rest" in data else Decimal(0)

    def _capacities(self, data: Mapping[str, Any]) -> tuple[Capacity, ...]:
        """Return the capacities, at most one for each model on each device."""
        found: dict[tuple[str, str], Capacity] = {}
        for number in range(len(self.sequence(("capacity",)) if "capacity" in data else ())):
            each = self._capacity(("capacity", number))
            if (each.model, each.device) in found:
                device = f" on {each.device}" if each.device else ""
                raise self.fault(
                    ("capacity", number),
                    f"{each.model}{device} has a capacity above",
                    "keep the one that was measured last",
                )
            found[each.model, each.device] = each
        return tuple(found.values())

    def _capacity(self, where: Where) -> Capacity:
        data = self.mapping(where, ("model", "device", "input", "cached", "output", "measured"))
        for name in ("model", "input", "output"):
            if name not in data:
                raise self.fault(where, f"the capacity has no `{name}`", f"add `{name}:`")
        measured = self._day_of(where, "measured", data, "the day on which it was measured")
        if is_to_come(measured, self.today):
            raise self.fault(
                (*where, "measured"),
                f"{measured} has not come yet",
                "write the day on which it was measured",
            )
        least = Decimal("0.001")
        given = self.amount((*where, "input"), least=least)
        return Capacity(
            self.text((*where, "model"), _NAME, "a model"),
            self.text((*where, "device"), _NAME, "a name") if "device" in data else "",
            given,
            self.amount((*where, "cached"), least=least) if "cached" in data else given,
            self.amount((*where, "output"), least=least),
            measured,
        )

    def _exchange(self, name: str, currency: str) -> Exchange:
        where = ("exchange", name)
        if name not in CURRENCIES or name == currency:
            words = "is the currency itself" if name == currency else "is no currency of ISO 4217"
            raise self.fault(
                where,
                f"{name[:20]!r} {words}",
                "write {USD: {rate: 0.92, read: DATE}}",
                at_key=True,
            )
        data = self.mapping(where, ("rate", "read"))
        if "rate" not in data:
            raise self.fault(where, "the exchange has no `rate`", "what one of it costs")
        rate = self.amount((*where, "rate"), least=Decimal("0.000001"))
        return Exchange(rate, self._day_of(where, "read", data, "the day on which it was read"))

    def _api(self, name: str) -> ApiPrice:
        where: Where = ("apis", name)
        if not isinstance(self.value(where), list):
            data = self.mapping(where)
            code = self._currency((*where, "currency")) if "currency" in data else "USD"
            return ApiPrice(name, code, (self._rate(where),), str(self.document.path))
        rates: list[ApiRate] = []
        codes = set()
        for number in range(len(self.sequence(where))):
            at = (*where, number)
            each = self._rate(at)
            codes.add(self._currency((*at, "currency")) if "currency" in self.value(at) else "USD")
            if len(codes) > 1:
                raise self.fault((*at, "currency"), "the prices of a model have one currency")
            for other in rates:
                if each.begins == other.begins:
                    raise self.fault(at, f"two prices from {each.begins or 'the beginning'} on")
            rates.append(each)
        if not rates:
            raise self.fault(where, "no price", EXAMPLE)
        rates.sort(key=lambda rate: rate.begins or date.min)
        return ApiPrice(name, codes.pop(), tuple(rates), str(self.document.path))

    def _rate(self, where: Where) -> ApiRate:
        known = ("read", "from", "until", "input", "cached", "output", "over", "currency")
        data = self.mapping(where, known)
        read = self._day_of(where, "read", data, "the day on which the price was read")
        begins = self.day((*where, "from")) if "from" in data else None
        ends = self.day((*where, "until")) if "until" in data else None
        if begins is not None and ends is not None and ends < begins:
            raise self.fault((*where, "until"), f"{ends} is before {begins}, its `from`")
        tiers = [self._tier(where, 0)]
        for key in self.mapping((*where, "over")) if "over" in data else ():
            at = (*where, "over", key)
            if not re.fullmatch(r"[1-9][0-9]{0,9}", key):
                raise self.fault(at, f"{key[:20]!r} is no number of tokens", at_key=True)
            self.mapping(at, ("input", "cached", "output"))
            tiers.append(self._tier(at, int(key)))
        return ApiRate(read, tuple(sorted(tiers, key=lambda tier: tier.over)), begins, ends)

    def _tier(self, where: Where, over: int) -> Tier:
        data = self.value(where)
        for name in ("input", "output"):
            if name not in data:
                raise self.fault(where, f"the price has no `{name}`", "per million tokens")
        cached = self.amount((*where, "cached")) if "cached" in data else None
        return Tier(over, self.amount((*where, "input")), self.amount((*where, "output")), cached)

    def _charges(self, name: str) -> tuple[ChargePrice, ...]:
        """Return the prices that keys are charged for a model: one, or a list, each from a later day on."""
        where: Where = ("charge", name)
        if not isinstance(self.value(where), list):
            return (self._charge(where),)
        found: list[ChargePrice] = []
        for number in range(len(self.sequence(where))):
            each = self._charge((*where, number))
            if found and each.begins <= found[-1].begins:
                raise self.fault(
                    (*where, number, "from"),
                    f"{each.begins} is not after {found[-1].begins}, the price above",
                )
            found.append(each)
        if not found:
            raise self.fault(where, "no price", EXAMPLE)
        return tuple(found)

    def _charge(self, where: Where) -> ChargePrice:
        data = self.mapping(where, ("from", "input", "cached", "output"))
        begins = self._day_of(where, "from", data, "the day from which the price holds")
        for name in ("input", "output"):
            if name not in data:
                raise self.fault(where, f"the price has no `{name}`", "per million tokens")
        amounts = {name: self.amount((*where, name)) for name in data if name != "from"}
        for name, amount in amounts.items():
            if amount * 10**6 % 1:
                raise self.fault((*where, name), f"{amount} has more than 6 decimals")
        return ChargePrice(
            begins, amounts["input"], amounts.get("cached", amounts["input"]), amounts["output"]
        )

    def _currency(self, where: Where) -> str:
        code = self.value(where)
        if not isinstance(code, str) or code not in CURRENCIES:
            raise self.unknown(where, "currency", code, sorted(CURRENCIES))
        return code

    def _day_of(self, where: Where, name: str, data: Mapping[str, Any], meaning: str) -> date:
        if name not in data:
            raise self.fault(where, f"`{name}` is missing: {meaning}", f"add `{name}: 2026-11-20`")
        return self.day((*where, name))


def _of_one_purchase(before: HostPrice, price: HostPrice) -> HostPrice:
    """Return the price with the day of the purchase that it repeats: only its other fields have changed since then."""
    first, again = before.purchase, price.purchase
    if first is None or again is None or again.bought is not None:
        return price
    if replace(first, bought=None) != again:
        return price
    return replace(price, purchase=replace(first, bought=first.bought or before.begins))
