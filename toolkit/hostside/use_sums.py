"""The use of keys by day and month: the sums of this host's ledger, and those of other hosts, by their ledgers.

    <root>/router/use.json       the sums of this host, which its router hands to the routers of other hosts
    <root>/use/elsewhere.json    {"ledgers": {ID: sums of another host}}

Here sums are {PERIOD: {NAME: sums}}, see `use_periods.py`. In a document they are {"day", "month", "keys": {NAME:
[requests and tokens of the day, of the month, cost of the month]}}, as hosts of an older toolkit and ops machines read
them; `elsewhere.json` has those of other periods in `beside`. The sums of this host have their `ledger` too.

A ledger has its own random identity, so a host that gets another name is still the same one. Use only grows, so of two
statements about one period of a ledger the larger sum is right: the other one is older. So statements may come in any
order, from hosts and from ops machines, more than once.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Iterable
from typing import Any

from directory import Directory, NotSafe, make_own
from documents import parsed
from use_periods import DAY_SECONDS, bound, of_now, shown
from wire import Document

FOLDER, ELSEWHERE = "use", "elsewhere.json"
OWN = "use.json"
# The sums of a key, in order: requests and tokens of a day, of a month, cost of a month in millionths.
PERIODS = ("day", "day", "month", "month", "month")
OF_DAY, OF_MONTH = 2, 3
MOST_LEDGERS, MOST_KEYS = 256, 20_000
# Periods that a document may have beside its day and month.
_MOST_BESIDE = 16
_MOST = 10**15
_ROOT_ONLY, _ROUTER_READS = 0o600, 0o640
_DAY, _MONTH = "[0-9]{4}-[0-9]{2}-[0-9]{2}", "[0-9]{4}-[0-9]{2}"
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
_Sums = dict[str, dict[str, list[int]]]


def own_sums(ledger: str, spent: Document, names: list[str], now: float) -> Document:
    """Return the document of this host: the present sums of the keys `names`; `spent` is that of the ledger."""
    day, month = of_now(now)
    keys = {}
    for name in names:
        periods = spent.get(name, {})
        used = [*periods.get(day, [0] * OF_DAY), *periods.get(month, [0] * OF_MONTH)[:OF_MONTH]]
        if any(used):
            keys[name] = used
    return {"ledger": ledger, "day": day, "month": month, "keys": keys}


def publish(root: str, sums: Document) -> None:
    """Let the router hand out the sums of this host."""
    with Directory(os.path.join(root, "router")) as opened:
        opened.write(OWN, json.dumps(sums), _ROUTER_READS, durable=False)


def read(root: str) -> Document:
    """Return {"own", "elsewhere"}: documents of this host and of others; `own` is None where it has published none."""
    now, own = time.time(), None
    with (
        contextlib.suppress(OSError, NotSafe, ValueError),
        Directory(os.path.join(root, "router")) as opened,
    ):
        ledger, sums = stated(parsed(opened.read(OWN)))
        own = {"ledger": ledger, **_shown(sums, now)}
    ledgers = {ledger: _shown(sums, now) for ledger, sums in elsewhere(root).items()}
    return {"own": own, "elsewhere": {"ledgers": ledgers}}


def elsewhere(root: str) -> dict[str, _Sums]:
    """Return {ID: sums} of other hosts; an empty one where this host knows of none."""
    try:
        with Directory(os.path.join(root, FOLDER)) as opened:
            return told(parsed(opened.read(ELSEWHERE)))
    except (OSError, NotSafe, ValueError):
        return {}


def take(root: str, given: Document) -> Document:
    """Take in a document of other hosts; return {"taken": whether anything in it was new}. Raises ValueError."""
    return take_in(root, told(given))


def take_in(root: str, new: dict[str, _Sums]) -> Document:
    """Take in the sums of other hosts, see `take`."""
    make_own(root, FOLDER)
    with Directory(os.path.join(root, FOLDER)) as opened, opened.locked(".elsewhere.lock", 5.0):
        now, known = time.time(), elsewhere(root)
        merged = merged_ledgers(known, new, now)
        if merged == known:
            return {"taken": False}
        ledgers = {ledger: _whole(sums, now) for ledger, sums in merged.items()}
        opened.write(ELSEWHERE, json.dumps({"ledgers": ledgers}), _ROOT_ONLY)
    return {"taken": True}


def merged_ledgers(known: dict[str, _Sums], new: dict[str, _Sums], now: float) -> dict[str, _Sums]:
    """Return the sums of all ledgers, within bounds, those that changed last at the end.

    A day or month that has not come yet is not believed, but for tomorrow's: clocks differ a little. Where there are
    too many ledgers, those without use in the present month go first, and then those that nobody knew.
    """
    tomorrow = of_now(now + DAY_SECONDS)
    merged = dict(known)
    for ledger, sums in new.items():
        come = {
            period: keys
            for period, keys in sums.items()
            if any(len(period) == len(last) and period <= last for last in tomorrow)
        }
        if come:
            merged[ledger] = _joined(merged.pop(ledger, {}), come)
            bound(merged[ledger], now)
    month = of_now(now)[1]
    surplus = sorted(merged, key=lambda ledger: (month in merged[ledger], ledger in known))
    for ledger in surplus[: max(len(merged) - MOST_LEDGERS, 0)]:
        del merged[ledger]
    return merged


def joined(statements: Iterable[tuple[str, _Sums]]) -> dict[str, _Sums]:
    """Return {ID: sums}: of statements about the same ledger the larger sums, so that none hides another."""
    found: dict[str, _Sums] = {}
    for ledger, sums in statements:
        found[ledger] = _joined(found.get(ledger, {}), sums)
    return found


def total(ledgers: dict[str, _Sums], own: str, now: float) -> dict[str, list[int]]:
    """Return {NAME: sums} of the present day and month over all ledgers but this host's `own`."""
    day, month = of_now(now)
    found: dict[str, list[int]] = {}
    for ledger, sums in ledgers.items():
        if ledger == own:
            continue
        for period, first in ((day, 0), (month, OF_DAY)):
            for name, used in sums.get(period, {}).items():
                known = found.setdefault(name, [0] * len(PERIODS))
                for at, more in enumerate(used, first):
                    known[at] += more
    return found


def only(sums: _Sums, names: set[str]) -> _Sums:
    """Return the sums of the keys `names`."""
    return {
        period: {name: used for name, used in keys.items() if name in names}
        for period, keys in sums.items()
    }


def told(given: Any) -> dict[str, _Sums]:
    """Return {ID: sums} from a document of several ledgers; raises ValueError."""
    ledgers = given.get("ledgers") if isinstance(given, dict) else None
    if not isinstance(ledgers, dict) or len(ledgers) > MOST_LEDGERS:
        raise ValueError("not the use of keys")
    return {_ledger(each): _sums(sums) for each, sums in ledgers.items()}


def stated(given: Any) -> tuple[str, _Sums]:
    """Return the ledger and the sums from the document of one host; raises ValueError."""
    if not isinstance(given, dict):
        raise ValueError("not the use of keys")
    return _ledger(given.get("ledger")), _sums(given)


def _joined(one: _Sums, other: _Sums) -> _Sums:
    """Return the larger sums of two statements about one ledger, period by period."""
    both = {period: dict(keys) for period, keys in one.items()}
    for period, keys in other.items():
        known = both.setdefault(period, {})
        for name, used in keys.items():
            known[name] = list(map(max, known.get(name, used), used))
    return both


def _shown(sums: _Sums, now: float) -> Document:
    """Return the document of the present day and month."""
    day, month = shown(sums, now)
    of_day, of_month = sums.get(day, {}), sums.get(month, {})
    keys = {
        name: [*of_day.get(name, [0] * OF_DAY), *of_month.get(name, [0] * OF_MONTH)]
        for name in {**of_month, **of_day}
    }
    return {"day": day, "month": month, "keys": keys}


def _whole(sums: _Sums, now: float) -> Document:
    """Return the document of all periods."""
    shows = _shown(sums, now)
    beside = {
        period: keys
        for period, keys in sums.items()
        if period not in (shows["day"], shows["month"])
    }
    return {**shows, "beside": beside}


def _ledger(given: Any) -> str:
    if not isinstance(given, str) or not re.fullmatch("[0-9a-f]{16}", given):
        raise ValueError("not the use of keys")
    return given


def _sums(given: Any) -> _Sums:
    """Return the sums in a document."""
    if not isinstance(given, dict):
        raise ValueError("not the use of keys")
    # An older toolkit kept one day and one month.
    beside = given.get("beside", {})
    if not isinstance(beside, dict) or len(beside) > _MOST_BESIDE:
        raise ValueError("not the use of keys")
    day, month = _period(given.get("day"), _DAY), _period(given.get("month"), _MONTH)
    found = {
        _period(period, f"{_DAY}|{_MONTH}"): _keys(keys, OF_DAY if len(period) == 10 else OF_MONTH)
        for period, keys in beside.items()
    }
    keys = _keys(given.get("keys"), len(PERIODS))
    found[day] = {name: used[:OF_DAY] for name, used in keys.items() if any(used[:OF_DAY])}
    found[month] = {name: used[OF_DAY:] for name, used in keys.items() if any(used[OF_DAY:])}
    return {period: used for period, used in found.items() if used}


def _period(given: Any, form: str) -> str:
    if not isinstance(given, str) or not re.fullmatch(form, given):
        raise ValueError("not the use of keys")
    return given


def _keys(given: Any, sums: int) -> dict[str, list[int]]:
    sound = (
        isinstance(given, dict)
        and len(given) <= MOST_KEYS
        and all(
            _NAME.match(name)
            and isinstance(used, list)
            and len(used) == sums
            and all(map(_is_sum, used))
            for name, used in given.items()
        )
    )
    if not sound:
        raise ValueError("not the use of keys")
    return dict(given)


def _is_sum(value: Any) -> bool:
    return type(value) is int and 0 <= value <= _MOST
