"""Convert the prices of the package genai-prices into a dated table of this toolkit.

    pip install genai-prices==0.2.3     (in an environment of its own)
    python scripts/price_table.py 2026-11-10 > toolkit/prices/genai-prices-0.2.3.json

The day is the one on which that version of the package was published. The package is no requirement of the toolkit: its
data alone is used.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from datetime import date
from importlib.metadata import version
from typing import Any

from genai_prices import data, types

# Providers of closed models, and makers that sell their own: provider -> the beginning of its models' names.
PROVIDERS = {
    "anthropic": "claude",
    "aws": "nova",
    "cohere": "",
    "deepseek": "",
    "google": "gemini",
    "mistral": "",
    "moonshotai": "",
    "openai": "",
    "x-ai": "",
}
LICENCE = "MIT, Copyright (c) Pydantic Services Inc. 2025 to present"


def main() -> int:
    """Print the table; return the exit status."""
    read = date.fromisoformat(sys.argv[1]).isoformat()
    models = dict(sorted(entries()))
    digest = hashlib.sha256(canonical(models).encode()).hexdigest()
    head = {
        "source": "genai-prices",
        "version": version("genai-prices"),
        "licence": LICENCE,
        "read": read,
        "currency": "USD",
        "sha256": digest,
    }
    lines = ",\n".join(f"  {json.dumps(name)}: {canonical(each)}" for name, each in models.items())
    print(f'{json.dumps(head, indent=1)[:-2]},\n "models": {{\n{lines}\n }}\n}}')
    return 0


def canonical(value: Any) -> str:
    """Return the one text of a JSON value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def entries() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield name and rates of each model, and of its batch prices as a model of its own."""
    for provider in data.providers:
        for model in provider.models if provider.id in PROVIDERS else ():
            if model.deprecated or not model.id.startswith(PROVIDERS[provider.id]):
                continue
            name = f"{provider.id}/{model.id}"
            if rates := list(converted(conditions(model.prices))):
                yield name, rates
            batch = [
                (each.constraint, each.prices)
                for each in model.price_variants or ()
                if each.when == {"processing": "batch"}
            ]
            # Later starts stand first among variants; a table lists them last.
            if rates := sorted(converted(batch), key=lambda rate: rate.get("from", "")):
                yield f"{name}:batch", rates


def conditions(prices: Any) -> list[tuple[Any, Any]]:
    """Return the pairs of constraint and prices."""
    if isinstance(prices, list):
        return [(each.constraint, each.prices) for each in prices]
    return [(None, prices)]


def converted(pairs: list[tuple[Any, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the rates that have a price for input and for output."""
    for constraint, prices in pairs:
        if not prices.input_mtok or not prices.output_mtok:
            continue
        rate: dict[str, Any] = {"tiers": list(tiers(prices))}
        if isinstance(constraint, types.StartDateConstraint):
            rate["from"] = constraint.start_date.isoformat()
        elif constraint is not None:
            rate["daily"] = [
                f"{each:%H:%M}" for each in (constraint.start_time, constraint.end_time)
            ]
        yield rate


def tiers(prices: Any) -> Iterator[dict[str, Any]]:
    """Yield the prices by the length of the prompt, the shortest first."""
    known = {"input": "input_mtok", "cached": "cache_read_mtok", "output": "output_mtok"}
    values = {name: getattr(prices, field, None) for name, field in known.items()}
    starts = {0} | {
        tier.start
        for each in values.values()
        if isinstance(each, types.TieredPrices)
        for tier in each.tiers
    }
    for start in sorted(starts):
        found = {name: at(each, start) for name, each in values.items() if each is not None}
        yield {"over": start, **found}


def at(price: Any, start: int) -> str:
    """Return a price for prompts longer than `start` tokens."""
    if isinstance(price, types.TieredPrices):
        reached = [tier.price for tier in price.tiers if tier.start <= start]
        return str(reached[-1] if reached else price.base)
    return str(price)


if __name__ == "__main__":
    sys.exit(main())
