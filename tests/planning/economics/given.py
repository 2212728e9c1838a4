"""Prices, reservations and traffic with round figures."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

from toolkit.config.costs.reading import parse_costs
from toolkit.domain.costs.economics import Costs, Interval, Reservation, Traffic, midnight

DAY = 86_400
FIRST = date(2026, 11, 2)
WEEK = Interval(midnight(FIRST), midnight(FIRST) + 7 * DAY)


def costs(text: str) -> Costs:
    """Return the costs of a file with `text`."""
    return parse_costs(Path("costs.yaml"), text)


def held(
    host: str = "gpu1",
    model: str = "small",
    *,
    span: Interval = WEEK,
    live: bool = True,
    weight: int = 1,
) -> Reservation:
    """Return a replica's time."""
    return Reservation(host, model, 1, span, live, weight)


def use(
    tokens_in: int,
    tokens_out: int,
    *,
    cached: int = 0,
    host: str = "gpu1",
    key: str = "ann",
    model: str = "small",
    day: date = FIRST,
    requests: int = 1,
) -> Traffic:
    """Return a row of use."""
    return Traffic(day, host, key, model, requests, tokens_in, cached, tokens_out)


def rounded(value: Decimal | None, places: int = 4) -> str:
    """Return a figure as a person writes it."""
    return "-" if value is None else f"{value:.{places}f}"
