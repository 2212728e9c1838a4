"""The use of keys on all hosts of a fleet, for the quotas that each host enforces."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import zip_longest

from toolkit.domain.clients.use import PERIODS, LedgerSums


def joined(statements: Iterable[LedgerSums]) -> tuple[LedgerSums, ...]:
    """Return one statement about each ledger, in the order of their identities.

    Use only grows, so of several statements about one ledger the larger sums are right. A newer day or month begins
    anew.
    """
    known: dict[str, LedgerSums] = {}
    for each in statements:
        known[each.ledger] = _larger(known[each.ledger], each) if each.ledger in known else each
    return tuple(known[ledger] for ledger in sorted(known))


def _larger(one: LedgerSums, other: LedgerSums) -> LedgerSums:
    day, month = max(one.day, other.day), max(one.month, other.month)
    keys: dict[str, tuple[int, ...]] = {}
    for each in (one, other):
        holds = {"day": each.day == day, "month": each.month == month}
        for name, sums in each.keys.items():
            valid = [
                used if holds[period] else 0 for used, period in zip(sums, PERIODS, strict=True)
            ]
            both = zip_longest(keys.get(name, ()), valid, fillvalue=0)
            keys[name] = tuple(max(pair) for pair in both)
    return LedgerSums(one.ledger, day, month, keys)
