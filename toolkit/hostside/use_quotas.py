"""Quotas: a key that has used up its share of a day or a month is refused until that ends.

`quotas.map` of the router has each such key: NAME -> END|WHAT|PERIOD|TIME, END in seconds since the epoch, the rest for
the words of the refusal. An entry that has ended works no more, also where nobody removes it. The use of a key is the
sum of the ledger of this host (`use_ledger.py`) and of what is known of other hosts (`use_sums.py`, `use_peers.py`).
"""

from __future__ import annotations

import calendar
import os
import time
from typing import Any

import router_files
import router_keys
import router_socket
import use_sums
from directory import mark_of
from use_ledger import Ledger
from use_peers import Peers
from use_periods import of_day
from use_sums import PERIODS
from wire import Document

MAP = "quotas.map"
# Fields of a key in the order of the counts, with the words of the refusal.
QUOTAS = (
    ("requests_per_day", "requests"),
    ("tokens_per_day", "tokens"),
    ("requests_per_month", "requests"),
    ("tokens_per_month", "tokens"),
    ("cost_per_month", "budget"),
)


class Quotas:
    """Enforces the quotas of the host whose toolkit lies in `root`, by the sums of `ledger`."""

    def __init__(self, root: str, ledger: Ledger) -> None:
        self.root, self.ledger = root, ledger
        self._ring: tuple[Any, list[Document] | None] = (None, None)
        self._other: tuple[Any, dict[str, list[int]]] = (None, {})
        self._published: Document = {}
        self._told: dict[str, str] | None = None
        self._peers = Peers(root)

    def look(self) -> list[str]:
        """Look once; return what was done, in words."""
        limited = self._limited()
        # The router goes on refusing the same keys while nobody can tell which keys have quotas.
        if limited is None or (not limited and not self._told):
            return []
        self.ledger.learn()
        now = time.time()
        names = [key["name"] for key in limited]
        self._publish(names, now)
        self._hear(set(names))
        over = exceeded(limited, self.ledger.spent, self._elsewhere(now), now)
        if over == self._told:
            return []
        tell(self.root, over)
        before, self._told = self._told or {}, over
        return [
            f"the key {name} has used up its quota of {_words(value)}"
            for name, value in over.items()
            if name not in before
        ]

    def _publish(self, names: list[str], now: float) -> None:
        """Let other hosts know what keys with quotas used here."""
        if not self.ledger.id or not os.path.isdir(os.path.join(self.root, "router")):
            return
        sums = use_sums.own_sums(self.ledger.id, self.ledger.spent, names, now)
        if sums != self._published:
            use_sums.publish(self.root, sums)
            self._published = sums

    def _hear(self, names: set[str]) -> None:
        """Take in what other hosts said, under the names of keys that have quotas alone."""
        said = self._peers.said()
        said.pop(self.ledger.id, None)
        if said:
            told = {ledger: use_sums.only(sums, names) for ledger, sums in said.items()}
            use_sums.take_in(self.root, told)

    def _elsewhere(self, now: float) -> dict[str, list[int]]:
        """Return the keys' use on other hosts in this day and month."""
        file = mark_of(os.path.join(self.root, use_sums.FOLDER, use_sums.ELSEWHERE))
        if file is None:
            return {}
        mark = (file, of_day(now), self.ledger.id)
        if mark != self._other[0]:
            ledgers = use_sums.elsewhere(self.root)
            self._other = (mark, use_sums.total(ledgers, self.ledger.id, now))
        return self._other[1]

    def _limited(self) -> list[Document] | None:
        """Return the valid keys that have a quota.

        While keys.json is damaged, the keys that were read last hold, else those of its copy; None where neither is.
        """
        directory = os.path.join(self.root, "router")
        files = (router_keys.FILE, router_keys.COPY)
        mark = [mark_of(os.path.join(directory, name)) for name in files]
        if mark != self._ring[0]:
            ring, limited = router_keys.sound_ring(directory), self._ring[1]
            if ring is not None:
                limited = _with_quota(ring)
                if mark[0] is not None:
                    router_keys.keep_copy(self.root)
            elif limited is None:
                limited = _with_quota(router_keys.copied(directory))
            self._ring = (mark, limited)
        return self._ring[1]


def _with_quota(ring: Document | None) -> list[Document] | None:
    """Return the valid keys of a ring that have a quota; None without a ring."""
    if ring is None:
        return None
    keys = [each for each in ring["keys"] if not each["revoked"]]
    return [each for each in keys if any(each.get(field) for field, _ in QUOTAS)]


def exceeded(
    keys: list[Document], spent: Document, other: dict[str, list[int]], now: float
) -> dict[str, str]:
    """Return the entries of the map: the keys that have used up a quota, with the latest end of these.

    `spent` is that of the ledger, see `Ledger.spent`; `other` is what `use_sums.total` says.
    """
    names = [key["name"] for key in keys]
    own = use_sums.own_sums("", spent, names, now)["keys"]
    nothing = [0] * len(PERIODS)
    found = {}
    for key in keys:
        name = key["name"]
        used = map(sum, zip(own.get(name, nothing), other.get(name, nothing)))  # noqa: B905  (Python 3.9)
        over = [
            (_end(period, now), what, period)
            for (field, what), period, sums in zip(QUOTAS, PERIODS, used)  # noqa: B905
            if key.get(field) and sums >= key[field]
        ]
        if over:
            end, what, period = max(over)
            found[name] = "|".join((str(end), what, period, _at(end)))
    return found


def tell(root: str, entries: dict[str, str]) -> None:
    """Let the router refuse these keys and no others; a router that knows no quotas yet is left alone."""
    directory = os.path.join(root, "router")
    if router_files.read(os.path.join(directory, MAP)) is None:
        return
    with router_files.alone(directory):
        text = "".join(f"{name} {value}\n" for name, value in sorted(entries.items()))
        if router_files.differs(directory, MAP, text):
            router_files.write(directory, {MAP: text}, [MAP], router_files.PRIVATE)
        try:
            processes = router_socket.processes(directory)
        except router_socket.RouterDown:
            return
        for pid in processes["current"] + processes["old"]:
            router_socket.set_map(directory, pid, MAP, entries)


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
