"""The use of keys in this day and month: the sums of this host's ledger, and those of other hosts, by their ledgers.

    <root>/router/use.json       the sums of this host, which its router hands to the routers of other hosts
    <root>/use/elsewhere.json    {"ledgers": {ID: sums of another host}}

Sums are {"day", "month", "keys": {NAME: [requests and tokens of the day, of the month, cost of the month]}}; those of
this host have their `ledger` too. A ledger has its own random identity, so a host that gets another name is still the
same one. Use only grows, so of two statements about one ledger the larger sum is right: the other one is older. So
statements may come in any order, from hosts and from ops machines, more than once.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from typing import Any

from directory import Directory, NotSafe, make_own
from documents import parsed
from wire import Document

FOLDER, ELSEWHERE = "use", "elsewhere.json"
OWN = "use.json"
# The sums of a key, in order: requests and tokens of a day, of a month, cost of a month in millionths.
PERIODS = ("day", "day", "month", "month", "month")
MOST_LEDGERS, MOST_KEYS = 256, 20_000
_MOST = 10**15
_ROOT_ONLY, _ROUTER_READS = 0o600, 0o640
_DAY_SECONDS = 86_400


def of_day(at: float) -> str:
    """Return the day of a time in UTC: `2026-11-27`."""
    return time.strftime("%Y-%m-%d", time.gmtime(at))


def own_sums(ledger: str, spent: Document, names: list[str], now: float) -> Document:
    """Return the sums of this host for the keys `names`; `spent` is that of the ledger, see `Ledger.spent`."""
    present = {"day": of_day(now), "month": of_day(now)[:7]}
    keys = {}
    for name in names:
        day, month, *sums = spent.get(name, ("", ""))
        known = {"day": day, "month": month}
        used = [
            each if known[period] == present[period] else 0
            for each, period in zip(sums, PERIODS)  # noqa: B905
        ]
        if any(used):
            keys[name] = used
    return {"ledger": ledger, **present, "keys": keys}


def publish(root: str, sums: Document) -> None:
    """Let the router hand out the sums of this host."""
    with Directory(os.path.join(root, "router")) as opened:
        opened.write(OWN, json.dumps(sums), _ROUTER_READS, durable=False)


def read(root: str) -> Document:
    """Return {"own", "elsewhere"}: the sums of this host and of others; `own` is None where it has published none."""
    own = None
    with (
        contextlib.suppress(OSError, NotSafe, ValueError),
        Directory(os.path.join(root, "router")) as opened,
    ):
        own = stated(parsed(opened.read(OWN)))
    return {"own": own, "elsewhere": elsewhere(root)}


def elsewhere(root: str) -> Document:
    """Return {"ledgers": sums by ledger} of other hosts; an empty one where this host knows of none."""
    try:
        with Directory(os.path.join(root, FOLDER)) as opened:
            return told(parsed(opened.read(ELSEWHERE)))
    except (OSError, NotSafe, ValueError):
        return {"ledgers": {}}


def take(root: str, given: Document) -> Document:
    """Take in what keys used on other hosts; return {"taken": whether that was new}. Raises ValueError."""
    new = told(given)["ledgers"]
    make_own(root, FOLDER)
    with Directory(os.path.join(root, FOLDER)) as opened, opened.locked(".elsewhere.lock", 5.0):
        known = elsewhere(root)["ledgers"]
        merged = merged_ledgers(known, new, time.time())
        if merged == known:
            return {"taken": False}
        opened.write(ELSEWHERE, json.dumps({"ledgers": merged}), _ROOT_ONLY)
    return {"taken": True}


def merged_ledgers(known: Document, new: Document, now: float) -> Document:
    """Return the sums of all ledgers, those that changed last at the end; without former months, and within bounds.

    A day that has not come yet is not believed: nothing could replace it.
    """
    tomorrow = of_day(now + _DAY_SECONDS)
    merged = dict(known)
    for ledger, sums in new.items():
        both = _joined(merged.pop(ledger), sums) if ledger in merged else sums
        if sums["day"] <= tomorrow and sums["month"] <= tomorrow[:7]:
            merged[ledger] = both
        elif ledger in known:
            merged[ledger] = known[ledger]
    of_now = [item for item in merged.items() if item[1]["month"] >= of_day(now)[:7]]
    return dict(of_now[-MOST_LEDGERS:])


def total(ledgers: Document, own: str, now: float) -> dict[str, list[int]]:
    """Return {NAME: sums} of the present day and month over all ledgers but this host's `own`."""
    present = {"day": of_day(now), "month": of_day(now)[:7]}
    found: dict[str, list[int]] = {}
    for ledger, sums in ledgers.items():
        if ledger == own:
            continue
        for name, used in sums["keys"].items():
            known = found.setdefault(name, [0] * len(PERIODS))
            for at, period in enumerate(PERIODS):
                if sums[period] == present[period]:
                    known[at] += used[at]
    return found


def _joined(one: Document, other: Document) -> Document:
    """Return the larger sums of two statements about one ledger; a newer day or month begins anew."""
    newest = {each: max(one[each], other[each]) for each in ("day", "month")}
    keys: dict[str, list[int]] = {}
    for each in (one, other):
        for name, used in each["keys"].items():
            known = keys.setdefault(name, [0] * len(PERIODS))
            for at, period in enumerate(PERIODS):
                if each[period] == newest[period]:
                    known[at] = max(known[at], used[at])
    return {**newest, "keys": keys}


def told(given: Any) -> Document:
    """Return {"ledgers"} where that was told; raises ValueError."""
    ledgers = given.get("ledgers") if isinstance(given, dict) else None
    if not isinstance(ledgers, dict) or len(ledgers) > MOST_LEDGERS:
        raise ValueError("not the use of keys")
    return {"ledgers": {_ledger(each): _sums(sums) for each, sums in ledgers.items()}}


def stated(given: Any) -> Document:
    """Return what a host states of itself, with its `ledger`; raises ValueError."""
    if not isinstance(given, dict):
        raise ValueError("not the use of keys")
    return {"ledger": _ledger(given.get("ledger")), **_sums(given)}


def _ledger(given: Any) -> str:
    if not isinstance(given, str) or not re.fullmatch("[0-9a-f]{16}", given):
        raise ValueError("not the use of keys")
    return given


def _sums(given: Any) -> Document:
    sound = (
        isinstance(given, dict)
        and all(
            isinstance(given.get(name), str) and re.fullmatch(form, given[name])
            for name, form in (
                ("day", "[0-9]{4}-[0-9]{2}-[0-9]{2}"),
                ("month", "[0-9]{4}-[0-9]{2}"),
            )
        )
        and isinstance(given.get("keys"), dict)
        and len(given["keys"]) <= MOST_KEYS
        and all(
            re.fullmatch("[A-Za-z0-9._-]{1,64}", name)
            and isinstance(used, list)
            and len(used) == len(PERIODS)
            and all(_is_sum(each) for each in used)
            for name, used in given["keys"].items()
        )
    )
    if not sound:
        raise ValueError("not the use of keys")
    return {each: given[each] for each in ("day", "month", "keys")}


def _is_sum(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST
