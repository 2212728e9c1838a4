"""The use of keys on all hosts of a fleet, for the quotas that each host enforces."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from itertools import zip_longest

from toolkit.domain.clients.use import PERIODS, LedgerSums

# The ledgers that a host takes in at once, see `toolkit/hostside/use_sums.py`.
MOST_LEDGERS = 256


def joined(statements: Iterable[LedgerSums], today: str) -> tuple[LedgerSums, ...]:
    """Return one statement about each ledger, in the order of their identities.

    It is about the newest day and month up to `today`, `2026-11-27` in UTC, of which there is a statement: a host whose
    clock is ahead hides nothing that others say. Use only grows, so of several statements about one period of a ledger
    the larger sums are right. Of too many ledgers those stay of which most hosts tell: one host may invent some.
    """
    known: dict[str, list[LedgerSums]] = {}
    for each in statements:
        known.setdefault(each.ledger, []).append(each)
    most = sorted(known, key=lambda ledger: -len(known[ledger]))[:MOST_LEDGERS]
    return tuple(_larger(known[ledger], today) for ledger in sorted(most))


def _larger(statements: Sequence[LedgerSums], today: str) -> LedgerSums:
    day = _newest({each.day for each in statements}, today)
    month = _newest({each.month for each in statements}, today[:7])
    keys: dict[str, tuple[int, ...]] = {}
    for each in statements:
        holds = {"day": each.day == day, "month": each.month == month}
        for name, sums in each.keys.items():
            valid = [
                used if holds[period] else 0 for used, period in zip(sums, PERIODS, strict=True)
            ]
            both = zip_longest(keys.get(name, ()), valid, fillvalue=0)
            keys[name] = tuple(max(pair) for pair in both)
    return LedgerSums(statements[0].ledger, day, month, keys)


def _newest(periods: Set[str], present: str) -> str:
    """Return the newest period that has begun; where none has, the one that begins first."""
    return max((each for each in periods if each <= present), default=min(periods))
