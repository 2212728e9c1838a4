"""A bill as JSON. Money is a text with six decimals, so that no reader makes a binary fraction of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from toolkit.domain.costs.economics import day_of

if TYPE_CHECKING:
    from toolkit.config.costs.price_table import PriceTable
    from toolkit.domain.costs.economics import ApiPrice, ApiRate
    from toolkit.planning.economics.bills import Account, HostBill, KeyBill, ModelBill, PerMillion
    from toolkit.planning.economics.comparison import Comparison
    from toolkit.planning.economics.work import Tokens
    from toolkit.workflows.fleet.cost import Bill

_CENT = Decimal("0.000001")


def document(
    made: Sequence[Bill], prices: PriceTable, today: date, notes: Sequence[str]
) -> dict[str, Any]:
    """Return what `toolkit cost --json` prints: the first of the bills, and the others as scenarios."""
    span = made[0].account.span
    return {
        "since": day_of(span.begins).isoformat(),
        "until": day_of(span.ends - 1).isoformat(),
        "days": float(span.seconds / 86_400),
        "currency": made[0].account.currency,
        "prices": {**_origin(prices), "today": today.isoformat()},
        **_bill(made[0]),
        "keys": [_key(each) for each in made[0].account.keys],
        "notes": [*notes, *made[0].account.notes],
        "what_if": [{"scenario": each.scenario, **_bill(each)} for each in made[1:]],
    }


def _origin(prices: PriceTable) -> dict[str, str]:
    return {
        "source": prices.source,
        "read": prices.read.isoformat(),
        "licence": prices.licence,
        "sha256": prices.sha256,
    }


def _bill(bill: Bill) -> dict[str, Any]:
    account: Account = bill.account
    return {
        "total": money(account.total),
        "unused": money(account.unused),
        "empty": money(account.empty),
        "hosts": [_host(each) for each in account.hosts],
        "models": [_model(each) for each in account.models],
        "apis": [_comparison(each) for each in bill.beside],
    }


def _host(host: HostBill) -> dict[str, Any]:
    return {
        "host": host.host,
        "hours": float(host.hours),
        "capital": money(host.capital),
        "energy": money(host.energy),
        "hosting": money(host.hosting),
        "people": money(host.people),
        "total": money(host.total),
        "empty": money(host.empty),
        "kwh": float(host.kwh),
        "energy_source": host.energy_source,
    }


def _model(model: ModelBill) -> dict[str, Any]:
    return {
        "model": model.model,
        **_tokens(model.tokens),
        "unknown": model.tokens.unknown,
        "live_hours": float(model.live_hours),
        "standby_hours": float(model.standby_hours),
        "utilisation": None if model.utilisation is None else float(model.utilisation),
        "total": money(model.total),
        "working": money(model.working),
        "idle": money(model.idle),
        "asleep": money(model.asleep),
        "standby": money(model.standby),
        "marginal_total": money(model.marginal_total),
        "per_million": {
            "actual": _kinds(model.actual),
            "full": _kinds(model.full),
            "marginal": _kinds(model.marginal),
        },
    }


def _tokens(tokens: Tokens) -> dict[str, int]:
    return {
        "requests": tokens.requests,
        "tokens_in": tokens.input,
        "cached": tokens.cached,
        "tokens_out": tokens.output,
    }


def _key(key: KeyBill) -> dict[str, Any]:
    return {"key": key.key, "model": key.model, **_tokens(key.tokens), "total": money(key.total)}


def _kinds(prices: PerMillion | None) -> dict[str, str | None] | None:
    if prices is None:
        return None
    return {
        "input": money(prices.input),
        "cached": money(prices.cached),
        "output": money(prices.output),
    }


def _comparison(each: Comparison) -> dict[str, Any]:
    even = each.even
    return {
        "model": each.model,
        "api": each.quote.api,
        "cost": money(each.quote.cost),
        "uncached": money(each.quote.uncached),
        "ours": money(each.ours),
        "api_is_cheaper": each.api_is_cheaper,
        "read": each.quote.read.isoformat(),
        "source": each.quote.source,
        "stale": each.quote.stale,
        "changes": list(each.quote.changes),
        "break_even": None
        if even is None
        else {
            "factor": None if even.factor is None else float(even.factor),
            "utilisation": None if even.utilisation is None else float(even.utilisation),
            "within": even.within,
        },
    }


def api_document(known: Mapping[str, ApiPrice], prices: PriceTable) -> dict[str, Any]:
    """Return what `toolkit cost --list-apis --json` prints."""
    return {
        **_origin(prices),
        "apis": [
            {
                "name": name,
                "currency": each.currency,
                "source": each.source,
                "rates": [_rate(rate) for rate in each.rates],
            }
            for name, each in sorted(known.items())
        ],
    }


def _rate(rate: ApiRate) -> dict[str, Any]:
    return {
        "read": rate.read.isoformat(),
        "from": rate.begins.isoformat() if rate.begins else None,
        "until": rate.ends.isoformat() if rate.ends else None,
        "daily": list(rate.daily) if rate.daily else None,
        "tiers": [
            {
                "over": tier.over,
                "input": f"{tier.input:f}",
                "cached": None if tier.cached is None else f"{tier.cached:f}",
                "output": f"{tier.output:f}",
            }
            for tier in rate.tiers
        ],
    }


def money(value: Decimal | None) -> str | None:
    """Return an amount of money with six decimals."""
    return None if value is None else f"{value.quantize(_CENT):f}"
