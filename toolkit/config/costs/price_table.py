"""Read the shipped table of prices of closed models: dated data of another project, with its digest."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from toolkit.domain.bounds import SMALL_FILE
from toolkit.domain.costs.economics import ApiPrice, ApiRate, Tier
from toolkit.domain.outside import parse_mapping, plainly
from toolkit.errors import InputError

SHIPPED = Path(__file__).resolve().parents[2] / "prices" / "genai-prices-0.2.3.json"
_PRICE = re.compile(r"[0-9]{1,9}(\.[0-9]{1,12})?")
_MINUTE = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")


@dataclass(frozen=True, slots=True)
class PriceTable:
    """Prices of closed models by name, as `source` stated them on the day `read`."""

    source: str
    read: date
    licence: str
    sha256: str
    models: Mapping[str, ApiPrice]


def load_price_table(path: Path = SHIPPED) -> PriceTable:
    """Return the table at `path`; raises InputError where it is damaged: its digest is that of its models."""
    try:
        data = parse_mapping(path.read_bytes(), SMALL_FILE)
        return _table(data)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror}", hint="install the toolkit again"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is no table of prices: {plainly(error)}", hint="install the toolkit again"
        ) from None


def _table(data: Mapping[str, Any]) -> PriceTable:
    models = data["models"]
    text = json.dumps(models, sort_keys=True, separators=(",", ":"))
    if hashlib.sha256(text.encode()).hexdigest() != data["sha256"]:
        raise ValueError("its models are not those of its digest")
    source, read = f"{data['source']} {data['version']}", date.fromisoformat(data["read"])
    return PriceTable(
        source,
        read,
        str(data["licence"]),
        str(data["sha256"]),
        {
            name: ApiPrice(
                name, str(data["currency"]), tuple(_rate(each, read) for each in rates), source
            )
            for name, rates in models.items()
        },
    )


def _rate(data: Mapping[str, Any], read: date) -> ApiRate:
    begins = date.fromisoformat(data["from"]) if "from" in data else None
    first, last = (_minute(each) for each in data["daily"]) if "daily" in data else (0, 0)
    tiers = tuple(
        Tier(
            int(each["over"]),
            _price(each["input"]),
            _price(each["output"]),
            _price(each["cached"]) if "cached" in each else None,
        )
        for each in data["tiers"]
    )
    if not tiers or [each.over for each in tiers] != sorted({0, *(each.over for each in tiers)}):
        raise ValueError("the tiers of a model do not begin at 0 and rise")
    return ApiRate(read, tiers, begins, daily=(first, last) if "daily" in data else None)


def _price(text: Any) -> Decimal:
    if not isinstance(text, str) or not _PRICE.fullmatch(text):
        raise ValueError(f"{str(text)[:40]!r} is no price")
    return Decimal(text)


def _minute(text: str) -> int:
    found = _MINUTE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:40]!r} is no time of day")
    return int(found[1]) * 60 + int(found[2])
