"""Quotas: a key that has used up what it may use in a day or a month is refused until that ends.

`quotas.map` of the router has each such key: NAME -> END|WHAT|PERIOD|TIME, END in seconds since the epoch, the rest for
the words of the refusal. An entry that has ended works no more, also where nobody removes it. What a key used is the
sum of the ledger of this host (`use_ledger.py`) and of what ops machines have told of other hosts:

    <root>/use/elsewhere.json    {"day", "month", "keys": {NAME: [requests and tokens of the day, of the month]}}
"""

from __future__ import annotations

import calendar
import contextlib
import json
import os
import re
import time
from typing import Any

import router_files
import router_keys
import router_socket
from directory import Directory, NotSafe, make_own
from use_ledger import FOLDER, Ledger
from wire import Document

MAP = "quotas.map"
ELSEWHERE = "elsewhere.json"
# Fields of a key, in the order of what is counted; words of the refusal.
QUOTAS = (
    ("requests_per_day", "requests", "day"),
    ("tokens_per_day", "tokens", "day"),
    ("requests_per_month", "requests", "month"),
    ("tokens_per_month", "tokens", "month"),
)
MOST_KEYS = 20_000
_MOST = 10**15
_ROOT_ONLY = 0o600


class Quotas:
    """Enforces the quotas of the host whose toolkit lies in `root`, by the sums of `ledger`."""

    def __init__(self, root: str, ledger: Ledger) -> None:
        self.root, self.ledger = root, ledger
        self._ring: tuple[Any, list[Document]] = (None, [])
        self._other: tuple[Any, Document] = (None, {})
        self._told: dict[str, str] | None = None

    def look(self) -> list[str]:
        """Look once; return what was done, in words."""
        limited = self._limited()
        if not limited and not self._told:
            return []
        self.ledger.learn()
        now = time.time()
        over = exceeded(limited, self.ledger.spent, self._elsewhere(), now)
        if over == self._told:
            return []
        tell(self.root, over)
        before, self._told = self._told or {}, over
        return [
            f"the key {name} has used up its quota of {_words(value)}"
            for name, value in over.items()
            if name not in before
        ]

    def _elsewhere(self) -> Document:
        try:
            seen = os.lstat(os.path.join(self.root, FOLDER, ELSEWHERE))
        except FileNotFoundError:
            return {}
        mark = (seen.st_ino, seen.st_mtime_ns, seen.st_size)
        if mark != self._other[0]:
            self._other = (mark, elsewhere(self.root))
        return self._other[1]

    def _limited(self) -> list[Document]:
        """Return the valid keys that have a quota."""
        path = os.path.join(self.root, "router", router_keys.FILE)
        try:
            seen = os.lstat(path)
        except FileNotFoundError:
            return []
        mark = (seen.st_ino, seen.st_mtime_ns, seen.st_size)
        if mark != self._ring[0]:
            ring = router_keys.sound_ring(os.path.dirname(path)) or {"keys": []}
            keys = [each for each in ring["keys"] if not each["revoked"]]
            limited = [each for each in keys if any(each.get(field) for field, _, _ in QUOTAS)]
            self._ring = (mark, limited)
        return self._ring[1]


def exceeded(
    keys: list[Document], spent: dict[str, list[Any]], other: Document, now: float
) -> dict[str, str]:
    """Return the entries of the map: the keys that have used up a quota, with the latest end of these.

    `spent` is {NAME: [day, month, requests and tokens of that day, of that month]}, see `Ledger.spent`.
    """
    day, month = of_day(now), of_day(now)[:7]
    found = {}
    for key in keys:
        own = spent.get(key["name"], ["", "", 0, 0, 0, 0])
        used = [
            (own[2 + at] if own[at // 2] == (day, month)[at // 2] else 0) + _other(other, key["name"], at, now)
            for at in range(4)
        ]  # fmt: skip
        over = [
            (_end(period, now), what, period)
            for at, (field, what, period) in enumerate(QUOTAS)
            if key.get(field) and used[at] >= key[field]
        ]
        if over:
            end, what, period = max(over)
            found[key["name"]] = "|".join((str(end), what, period, _at(end)))
    return found


def elsewhere(root: str) -> Document:
    """Return what keys used on other hosts, as this host was told; an empty document where it was told nothing."""
    try:
        with Directory(os.path.join(root, FOLDER)) as opened:
            return _sound(json.loads(opened.read(ELSEWHERE) or "{}"))
    except (OSError, NotSafe, ValueError):
        return {}


def take(root: str, told: Document) -> Document:
    """Take in what keys used on other hosts; return {"taken"}.

    Use only grows, so of two who tell, the larger sum is right: the other one has seen less.
    """
    given = _sound(told)
    make_own(root, FOLDER)
    with Directory(os.path.join(root, FOLDER)) as opened, opened.locked(".elsewhere.lock", 5.0):
        known = _sound_text(opened.read(ELSEWHERE))
        keys = dict(given["keys"])
        for at, period in enumerate(("day", "month")):
            if known.get(period) == given[period]:
                for name, sums in known["keys"].items():
                    mine = keys.setdefault(name, [0, 0, 0, 0])
                    pair = slice(2 * at, 2 * at + 2)
                    mine[pair] = map(max, zip(mine[pair], sums[pair]))  # noqa: B905  (Python 3.9)
        text = json.dumps({**given, "keys": dict(list(keys.items())[:MOST_KEYS])})
        opened.write(ELSEWHERE, text, _ROOT_ONLY)
    return {"taken": True}


def tell(root: str, entries: dict[str, str]) -> None:
    """Let the router refuse these keys and no others; a router that knows no quotas yet is left alone."""
    directory = os.path.join(root, "router")
    if router_files.read(os.path.join(directory, MAP)) is None:
        return
    with router_files.alone(directory):
        text = "".join(f"{name} {value}\n" for name, value in sorted(entries.items()))
        if text != router_files.read(os.path.join(directory, MAP)):
            router_files.write(directory, {MAP: text}, [MAP], router_files.PRIVATE)
        try:
            processes = router_socket.processes(directory)
        except router_socket.RouterDown:
            return
        for pid in processes["current"] + processes["old"]:
            router_socket.set_map(directory, pid, MAP, entries)


def of_day(at: float) -> str:
    """Return the day of a time in UTC: `2026-11-27`."""
    return time.strftime("%Y-%m-%d", time.gmtime(at))


def _other(other: Document, name: str, at: int, now: float) -> int:
    period = of_day(now) if at < 2 else of_day(now)[:7]
    if other.get("day" if at < 2 else "month") != period:
        return 0
    return int(other["keys"].get(name, (0, 0, 0, 0))[at])


def _end(period: str, now: float) -> int:
    """Return when the present day or month ends, in seconds since the epoch."""
    today = time.gmtime(now)
    if period == "day":
        return calendar.timegm((today.tm_year, today.tm_mon, today.tm_mday + 1, 0, 0, 0))
    year, month = divmod(today.tm_year * 12 + today.tm_mon, 12)
    return calendar.timegm((year, month + 1, 1, 0, 0, 0))


def _at(end: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(end))


def _words(value: str) -> str:
    _, what, period, end = value.split("|")
    return f"{what} of this {period}, which ends at {end}"


def _sound_text(text: str | None) -> Document:
    with contextlib.suppress(ValueError):
        return _sound(json.loads(text or ""))
    return {}


def _sound(told: Any) -> Document:
    """Return what was told where it is sums by key; raises ValueError."""
    if told == {}:
        return {}
    sound = (
        isinstance(told, dict)
        and all(_is_date(told.get(each)) for each in ("day", "month"))
        and isinstance(told.get("keys"), dict)
        and all(
            re.fullmatch("[A-Za-z0-9._-]{1,64}", name)
            and isinstance(sums, list)
            and len(sums) == 4
            and all(_is_sum(each) for each in sums)
            for name, sums in told["keys"].items()
        )
    )
    if not sound:
        raise ValueError("not the use of keys")
    return {each: told[each] for each in ("day", "month", "keys")}


def _is_date(value: Any) -> bool:
    return (
        isinstance(value, str) and re.fullmatch("[0-9]{4}-[0-9]{2}(-[0-9]{2})?", value) is not None
    )


def _is_sum(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST
