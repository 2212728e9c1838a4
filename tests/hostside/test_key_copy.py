"""A damaged keys.json comes back with all that it had, and loosens no quota meanwhile."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.hostside.router_lab import REPO

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import router_keys
import use_ledger
import use_prices
import use_quotas

CLINIC = {
    "name": "clinic", "digest": "a" * 64, "created": 1.0, "revoked": 0.0, "per_minute": 60, "concurrency": 2,
    "requests_per_month": 1, "inside": True,
}  # fmt: skip
GONE = {**CLINIC, "name": "gone", "digest": "b" * 64, "revoked": 4.0}
PRICE = {"begins": "2026-01-01", "input": 1, "cached": 1, "output": 1}
CHARGE = {"told": 1.0, "currency": "EUR", "models": {"tiny": [PRICE]}}
RING = {"keys": [CLINIC, GONE], "locked": 2, "opened": 1, "charge": CHARGE}
DAMAGE = pytest.mark.parametrize("words", ["{", "", None, '{"keys": [{}]}'])


class Host:
    """The files of the keys on one host, without a running router."""

    def __init__(self, root: Path) -> None:
        self.root, self.router = str(root), root / "router"
        router_keys.apply(self.root, RING)
        (self.router / "quotas.map").write_text("")

    def damage(self, words: str | None, name: str = "keys.json") -> None:
        (self.router / name).unlink()
        if words is not None:
            (self.router / name).write_text(words)

    def repair(self) -> dict[str, Any]:
        router_keys.repair(self.root, {})
        found: dict[str, Any] = json.loads((self.router / "keys.json").read_text())
        return found

    def watch(self) -> use_quotas.Quotas:
        return use_quotas.Quotas(self.root, use_ledger.Ledger(self.root))

    def ask(self) -> None:
        line = {
            "n": 1,
            "run": "r",
            "program": "m-blue",
            "at": time.time(),
            "key": "clinic",
            "model": "m",
        }
        ledger = use_ledger.Ledger(self.root)
        with ledger.held(1):
            ledger.append([{**line, "in": 1, "out": 1, "cached": 0}])

    def refused(self) -> list[str]:
        return [line.split()[0] for line in (self.router / "quotas.map").read_text().splitlines()]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """A host at the noon of a day, whose use no midnight divides."""
    noon = time.time() // 86400 * 86400 + 43200
    monkeypatch.setattr(time, "time", lambda: noon)
    return Host(tmp_path)


@DAMAGE
def test_a_repair_brings_all_of_the_ring_back(host: Host, words: str | None) -> None:
    host.damage(words)
    assert host.repair() == RING


@DAMAGE
def test_a_lost_map_does_not_matter_beside_the_copy(host: Host, words: str | None) -> None:
    host.damage(words)
    host.damage(None, "keys.map")
    assert router_keys.sound_ring(str(host.router)) is None
    assert host.repair() == RING


@DAMAGE
def test_a_key_that_the_map_alone_knows_is_marked(host: Host, words: str | None) -> None:
    host.damage(words)
    host.damage(words, "keys-copy.json")
    (key,) = host.repair()["keys"]
    assert (key["name"], key["created"], key["per_minute"], "inside" in key) == (
        "clinic",
        0,
        60,
        False,
    )


def test_a_copy_of_before_a_change_by_an_older_toolkit_brings_no_key_back(host: Host) -> None:
    new = {**CLINIC, "name": "new", "digest": "c" * 64, "created": 3.0}
    (host.router / "keys.map").write_text(f"door locked\n{new['digest']} new|60|2\n")
    host.damage("{")
    ring = host.repair()
    assert {key["name"]: key["created"] for key in ring["keys"]} == {"gone": 1.0, "new": 0.0}


def test_a_door_that_the_map_shows_locked_stays_so(host: Host) -> None:
    (host.router / "keys-copy.json").write_text(json.dumps({"keys": [], "locked": 3, "opened": 3}))
    (host.router / "keys.map").write_text("door locked\n")
    host.damage("{")
    assert router_keys.is_locked(host.repair())


@DAMAGE
def test_quotas_hold_while_the_keys_are_damaged(host: Host, words: str | None) -> None:
    watch = host.watch()
    host.ask()
    assert len(watch.look()) == 1
    host.damage(words)
    for each in (watch, host.watch()):
        each.look()
        assert host.refused() == ["clinic"]
    # Without the copy too: nobody can tell what to change.
    host.damage("{", "keys-copy.json")
    for each in (watch, host.watch()):
        each.look()
        assert host.refused() == ["clinic"]


def test_a_quota_that_is_used_up_meanwhile_holds_too(host: Host) -> None:
    host.damage("{")
    watch = host.watch()
    watch.look()
    assert host.refused() == []
    host.ask()
    watch.look()
    assert host.refused() == ["clinic"]


@pytest.mark.parametrize("words", ["{", "", None])
def test_the_watch_keeps_the_copy_of_keys_that_an_older_toolkit_wrote(
    host: Host, words: str | None
) -> None:
    sound = (host.router / "keys-copy.json").read_text()
    watch = host.watch()
    watch.look()
    host.damage(words, "keys-copy.json")
    watch.look()
    assert (host.router / "keys-copy.json").read_text() == sound


@pytest.mark.parametrize("words", ["{", ""])
def test_prices_and_names_hold_while_the_keys_are_damaged(host: Host, words: str) -> None:
    prices = use_prices.Prices(host.root)
    prices.refresh()
    host.damage(words)
    line = {"model": "tiny", "program": "tiny-blue", "in": 7, "cached": 0, "out": 0}
    for each in (prices, use_prices.Prices(host.root)):
        each.refresh()
        assert each.cost(line, "2026-06-01") == 7
        assert each.names == {"clinic", "gone"}
