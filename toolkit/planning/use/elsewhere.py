"""What keys used on the other hosts of a fleet, for the quotas that each host enforces."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from toolkit.domain.use import NO_KEY, PROBE, UseRow


def elsewhere(rows: Iterable[UseRow], host: str, today: str) -> dict[str, Any]:
    """Return {"day", "month", "keys": {NAME: [requests, tokens of `today`, requests, tokens of its month]}}.

    The sums are of all hosts but `host`. `today` is a day in UTC: `2026-11-27`.
    """
    keys: dict[str, list[int]] = {}
    for row in rows:
        if row.host == host or row.key in (NO_KEY, PROBE) or row.day[:7] != today[:7]:
            continue
        sums = keys.setdefault(row.key, [0, 0, 0, 0])
        tokens = row.tokens_in + row.tokens_out
        if row.day == today:
            sums[0] += row.requests
            sums[1] += tokens
        sums[2] += row.requests
        sums[3] += tokens
    return {"day": today, "month": today[:7], "keys": keys}
