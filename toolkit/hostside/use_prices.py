"""The names of keys, and the cost of a request to its key, by the ring and the charge that came with it.

A record costs by the price of its day, so a new price changes nothing about what was used before it. Costs are whole
numbers: prices are in millionths of the currency for a million tokens, so tokens times a price are in 10^-12 of it.
"""

from __future__ import annotations

import os
from typing import Any

import router_keys
from directory import mark_of
from wire import Document

# Of a millionth of the currency, see above.
PARTS = 10**6
_FIELDS = ("begins", "input", "cached", "output")
_Price = tuple[Any, ...]


class Prices:
    """The prices of the host at `root`, and `names`: those that its ring gives to keys, revoked ones too."""

    def __init__(self, root: str) -> None:
        self._directory = os.path.join(root, "router")
        self.names: frozenset[str] = frozenset()
        self._mark: Any = None
        self._models: dict[str, list[_Price]] = {}

    def refresh(self) -> None:
        """Read the ring anew where it has changed."""
        try:
            mark = mark_of(os.path.join(self._directory, router_keys.FILE))
        except OSError:
            return
        if mark not in (None, self._mark):
            found = router_keys.sound_ring(self._directory)
            # While keys.json is damaged, the former prices and names hold, else those of its copy.
            if found is None and not (self.names or self._models):
                found = router_keys.copied(self._directory)
            if found is not None:
                self._models = models(found.get("charge"))
                self.names = frozenset(str(each["name"]) for each in found["keys"])
            self._mark = mark

    def cost(self, line: Document, day: str) -> int:
        """Return the cost of a record of the ledger, in 10^-12 of the currency; 0 without prices.

        A model without a price costs as the dearest one, so that a new model is no way around a quota.
        """
        if not self._models:
            return 0
        names = (line["model"], line["program"].rpartition("-")[0])
        known = next((self._models[name] for name in names if name in self._models), None)
        if known is not None:
            price = price_on(known, day)
        else:
            every = [price_on(prices, day) for prices in self._models.values()]
            price = ("", *(max(each[at] for each in every) for at in (1, 2, 3)))
        given, cached, out = line["in"] or 0, line["cached"] or 0, line["out"] or 0
        cost = max(given - cached, 0) * price[1] + min(cached, given) * price[2] + out * price[3]
        return int(cost)


def price_on(prices: list[_Price], day: str) -> _Price:
    """Return the price of a day: the last that has begun by then, or else the first."""
    return next((each for each in reversed(prices) if each[0] <= day), prices[0])


def models(charge: Any) -> dict[str, list[_Price]]:
    """Return the prices of each model in their order: first day, input, cached, output; without what is none."""
    if not isinstance(charge, dict) or not isinstance(charge.get("models"), dict):
        return {}
    found = {}
    for name, prices in charge["models"].items():
        if not isinstance(prices, list) or not prices or not all(map(_is_price, prices)):
            continue
        ordered = [tuple(each[field] for field in _FIELDS) for each in prices]
        found[name] = sorted(ordered)
    return found


def _is_price(given: Any) -> bool:
    return (
        isinstance(given, dict)
        and isinstance(given.get("begins"), str)
        and all(type(given.get(field)) is int and given[field] >= 0 for field in _FIELDS[1:])
    )
