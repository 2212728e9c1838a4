"""The days and months, in UTC, by which the use of a key is summed up: `2026-11-27`, `2026-11`.

A clock that is wrong for a while says another day or month, and then the right one again. So the sums of a period stay
beside those of the period that the clock says, and count again once it says that one.
"""

from __future__ import annotations

import time
from typing import Any

# Days, and months, that stay before the present one and after it: a clock may have been wrong twice.
BESIDE = 2
DAY_SECONDS = 86_400


def of_day(at: float) -> str:
    """Return the day in UTC of a time in seconds since the epoch: `2026-11-27`."""
    return time.strftime("%Y-%m-%d", time.gmtime(at))


def of_now(now: float) -> tuple[str, str]:
    """Return the day and the month of `now`, in seconds since the epoch."""
    day = of_day(now)
    return day, day[:7]


def bound(periods: dict[str, Any], now: float) -> None:
    """Drop from `periods` all but the present day and month and those that are the nearest to them."""
    for present in of_now(now):
        same = sorted(each for each in periods if len(each) == len(present))
        before = [each for each in same if each < present]
        after = [each for each in same if each > present]
        for gone in (*before[:-BESIDE], *after[BESIDE:]):
            del periods[gone]


def shown(periods: dict[str, Any], now: float) -> tuple[str, str]:
    """Return the day and the month that older toolkits are told: the last that the clock has reached, if any."""
    found = []
    for present in of_now(now):
        same = sorted(each for each in periods if len(each) == len(present))
        reached = [each for each in same if each <= present]
        found.append(reached[-1] if reached else next(iter(same), present))
    return found[0], found[1]
