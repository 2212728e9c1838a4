"""A replica that was taken over invents keys and runs, and takes nothing from what other keys and replicas have."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.hostside.router_lab import REPO
from tests.hostside.use_lab import Replica, numbers
from toolkit.domain.clients.keys import Key, KeyRing

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import router_keys
import use_carry
import use_ledger
import use_periods
import use_prices
import use_sums


class Invented:
    """A host whose ring has the keys ann and bob, a sound replica, and one that was taken over."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.give("ann", "bob")
        self.sound, self.taken_over = Replica(root), Replica(root, "wide-green", "b" * 16)
        self.carrier = use_carry.Carrier(str(root))

    def give(self, *names: str) -> None:
        """Give the host these keys, with the copy that is written with them."""
        (self.root / "router").mkdir(exist_ok=True)
        keys = tuple(
            Key(name, f"{number:064x}", 1.0, revoked=5.0 if name == "bob" else 0.0)
            for number, name in enumerate(names)
        )
        for name in (router_keys.COPY, router_keys.FILE):
            (self.root / "router" / name).write_text(json.dumps(KeyRing(keys).as_json()))

    def used(self, key: str, at: float = 0.0) -> None:
        self.sound.record(at=at or time.time(), key=key)
        self.carrier.all("tiny-blue")

    def invents(self, begin: str, many: int, at: float = 0.0) -> None:
        for number in range(many):
            self.taken_over.record(at=at or time.time(), key=f"{begin}{number}")
        self.carrier.all("wide-green")

    def fill(self) -> None:
        """Invent keys under the names of several programs, until there is no room for more."""
        for program in range(5):
            replica = Replica(self.root, f"wide{program}-green", f"{program:016x}")
            for number in range(20):
                replica.record(at=time.time(), key=f"x{program}-{number}")
            self.carrier.all(f"wide{program}-green")
        assert len(self.carrier.ledger.spent) == 50

    def counted(self, key: str) -> int:
        """Return the requests of a key in this month."""
        now = time.time()
        sums = use_sums.own_sums("", self.carrier.ledger.spent, [key], now)["keys"]
        return int(sums.get(key, [0] * 5)[2])


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invented:
    monkeypatch.setattr(use_ledger, "MOST_KEYS", 50)
    monkeypatch.setattr(use_ledger, "MOST_NEW", 20)
    now = use_periods.DAY_SECONDS * (time.time() // use_periods.DAY_SECONDS) + 43_200
    monkeypatch.setattr(use_carry.time, "time", lambda: now)
    return Invented(tmp_path)


def test_invented_keys_drop_no_other_key_however_many_they_are(host: Invented) -> None:
    for key in ("ann", "bob", "carl"):
        host.used(key)
    host.invents("x", 100)
    # What was carried counts all the same in the records.
    assert len(numbers(host.root, "b" * 16)) == 100
    assert [host.counted(key) for key in ("ann", "bob", "carl")] == [1, 1, 1]
    assert len(host.carrier.ledger.spent) == 3 + 20


def test_one_replica_leaves_room_for_the_keys_of_others(host: Invented) -> None:
    host.invents("x", 100)
    # One that has no key here: a router of another host has got it already.
    for key in ("ann", "dora"):
        host.used(key)
    assert [host.counted(key) for key in ("ann", "dora")] == [1, 1]


def test_a_key_of_the_ring_counts_from_its_first_record_on(host: Invented) -> None:
    host.fill()
    host.used("dora")
    assert host.counted("dora") == 0
    for _ in range(2):
        host.used("ann")
    assert host.counted("ann") == 2
    host.give("ann", "bob", "dora")
    host.used("dora")
    assert host.counted("dora") == 1


def test_a_new_watch_keeps_what_keys_of_the_ring_used(host: Invented) -> None:
    host.used("ann")
    for begin in "abcdef":
        host.invents(begin, 100)
        (host.root / "use/carried.json").unlink(missing_ok=True)
        host.carrier = use_carry.Carrier(str(host.root))
        host.carrier.ledger.learn()
    assert host.counted("ann") == 1
    assert len(host.carrier.ledger.spent) <= 50


def test_names_without_a_key_that_nobody_used_this_month_give_way(
    host: Invented, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("ann", "carl"):
        host.used(key)
    host.fill()
    host.used("dora")
    assert [host.counted(key) for key in ("carl", "dora")] == [1, 0]
    now = time.time()
    monkeypatch.setattr(use_carry.time, "time", lambda: now + 31 * 86_400)
    for key in ("carl", "dora"):
        host.used(key)
    assert [host.counted(key) for key in ("carl", "dora")] == [1, 1]
    monkeypatch.setattr(use_carry.time, "time", lambda: now)
    assert host.counted("ann") == 1


@pytest.mark.parametrize(
    "text",
    [None, "", "{", "[]", '{"keys": 5}', '{"keys": [5]}', '{"keys": [{"name": 5}]}'],
)
def test_while_the_ring_is_damaged_the_former_names_hold(host: Invented, text: str | None) -> None:
    host.used("ann")
    path = host.root / "router/keys.json"
    path.unlink()
    if text is not None:
        path.write_text(text)
    host.fill()
    for key in ("ann", "bob"):
        host.used(key)
    assert [host.counted(key) for key in ("ann", "bob")] == [2, 1]


def test_names_are_those_of_valid_and_revoked_keys(host: Invented) -> None:
    names = use_prices.Prices(str(host.root))
    assert names.names == frozenset()
    names.refresh()
    assert names.names == {"ann", "bob"}


def test_invented_runs_drop_the_last_number_of_no_other_replicas_run(
    host: Invented, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(use_ledger, "MOST_RUNS", 10)
    host.used("ann")
    for number in range(30):
        Replica(host.root, "wide-green", f"{number:016x}").record()
    host.carrier.all("wide-green")
    last = host.carrier.ledger.last
    assert len(last) == 10
    assert last["tiny-blue/" + "a" * 16] == 1
    # Of the others, the newest.
    assert f"wide-green/{29:016x}" in last
    assert f"wide-green/{0:016x}" not in last


def test_a_replica_that_invents_runs_takes_little_memory(
    host: Invented, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(use_carry, "MOST_PAIRS", 5)
    for number in range(30):
        replica: Any = Replica(host.root, "wide-green", f"c{number:015x}")
        for each in range(9):
            replica.record(key=f"x{number}-{each}")
    host.used("ann")
    host.carrier.all("wide-green")
    assert {program: len(pairs) for program, (_, pairs) in host.carrier._pairs.items()} == {
        "tiny-blue": 1,
        "wide-green": 5,
    }
    assert [len(numbers(host.root, f"c{number:015x}")) for number in range(30)] == [5] * 30
