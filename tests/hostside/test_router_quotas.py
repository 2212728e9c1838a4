"""A router refuses a key that has used up its quota, until that ends, and counts with the other hosts."""

from __future__ import annotations

import contextlib
import http.client
import json
import sys
import threading
import time
from calendar import timegm
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostside.keyed import ANN, BOB, TINY, bearer, ring
from tests.hostside.router_lab import REPO, Lab, free_port, lab, router_keys, until
from tests.hostside.router_site import PATH, Site
from tests.hostside.test_use_quotas import OTHER, ledgers, other, told
from tests.hostside.use_lab import Replica
from tests.pace import Pace
from toolkit.domain.clients.keys import KeyRing
from toolkit.planning.routing.keys import with_key

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import use_peers
import use_periods
import use_quotas
import use_sums
import watch

# Eve's one quota ends with the month: on its last day, hers alone tells it from Ann's quota of the day.
EVE = "tk-eve-" + "e" * 32


class Limited:
    """A router, its watch, and a replica whose records the watch carries."""

    def __init__(self, running: Lab, keys: KeyRing) -> None:
        self.lab, root = running, running.root
        for name in ("slots", "watch"):
            (root / name).mkdir(exist_ok=True)
        self.site = Site(running)
        running.give(keys)
        self.replica = Replica(root)
        self.start()

    def start(self) -> None:
        self.watch = watch.Watch(str(self.lab.root), 2.0, 30.0)

    def used(self, key: str, tokens: int) -> list[str]:
        self.replica.record(at=time.time(), key=key, out=tokens, **{"in": 0})
        return self.watch.look()

    def status(self, key: str = ANN, path: str = PATH) -> int:
        return int(self.lab.ask(path, TINY, **bearer(key))[0])

    def end(self) -> None:
        self.site.blue.stop()
        self.site.green.stop()


@pytest.fixture(scope="module")
def standing() -> Iterator[Limited]:
    with lab() as running:
        keys = ring(tokens_per_day=100, requests_per_month=1000)
        found = Limited(running, with_key(keys, "eve", EVE, now=3.0, requests_per_month=1000))
        yield found
        found.end()


@pytest.fixture
def limited(standing: Limited) -> Limited:
    """The router at the beginning of a test, which takes place on one day."""
    _begin_amid_a_day()
    return standing


def _begin_amid_a_day() -> None:
    """Wait for the next day where this one is about to end: what follows is of one day."""
    if (left := _midnight() - time.time()) < 120:
        time.sleep(left + 1)


def _midnight() -> int:
    today = time.gmtime()
    return timegm((today.tm_year, today.tm_mon, today.tm_mday + 1, 0, 0, 0))


def test_a_key_is_let_in_up_to_its_quota_and_refused_from_there_on(limited: Limited) -> None:
    assert limited.used("ann", 99) == []
    assert limited.used("bob", 10_000) == []
    assert limited.status() == 200
    (said,) = limited.used("ann", 1)
    end = _midnight()
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(end))
    assert said == f"the key ann has used up its quota of tokens of this day, which ends at {at}"
    assert [limited.status(key) for key in (ANN, BOB)] == [429, 200]
    assert limited.watch.look() == []

    most = end - time.time()
    status, body, headers = limited.lab.ask(PATH, TINY, **bearer(ANN))
    least = end - time.time()
    assert status == 429
    assert body == {
        "error": {
            "message": f"This key has used up its tokens of this day; it gets in again at {at}.",
            "type": "rate_limit_error",
            "param": None,
            "code": "quota_exceeded",
        }
    }
    assert least - 3 < int(headers["retry-after"]) <= most + 3


def test_the_refusal_has_the_form_of_the_clients_api(limited: Limited) -> None:
    limited.used("ann", 100)
    status, body, _ = limited.lab.ask("/v1/messages", TINY, **bearer(ANN))
    assert (status, body["type"], body["error"]["type"]) == (429, "error", "rate_limit_error")


def test_what_costs_nothing_is_not_refused(limited: Limited) -> None:
    limited.used("ann", 100)
    assert limited.lab.ask("/v1/models", None, **bearer(ANN))[0] == 200


def test_a_reload_and_a_new_watch_go_on_refusing(limited: Limited) -> None:
    limited.used("ann", 100)
    limited.site.reload()
    assert limited.status() == 429
    limited.start()
    assert limited.watch.look()[0].startswith("the key ann has used up its quota of tokens")
    assert [limited.status(key) for key in (ANN, BOB)] == [429, 200]


def test_a_quota_that_has_ended_refuses_nobody_also_without_the_watch(limited: Limited) -> None:
    ended = f"{int(time.time()) - 1}|tokens|day|2026-01-01T00:00:00Z"
    use_quotas.tell(str(limited.lab.root), {"ann": ended})
    until(lambda: limited.status() == 200)
    use_quotas.tell(str(limited.lab.root), {})


def test_use_on_other_hosts_counts(limited: Limited) -> None:
    limited.used("eve", 0)
    day = use_periods.of_day(time.time())
    keys = {"bob": [0] * 5, "eve": [0, 0, 10**4, 0, 0]}
    told = {"ledgers": {OTHER: {"day": day, "month": day[:7], "keys": keys}}}
    use_sums.take(str(limited.lab.root), told)
    limited.start()
    limited.watch.look()
    _, body, _ = limited.lab.ask(PATH, TINY, **bearer(EVE))
    assert "used up its requests of this month" in body["error"]["message"]
    (limited.lab.root / "use/elsewhere.json").unlink()


def test_a_router_of_an_older_toolkit_takes_no_key_with_a_quota(limited: Limited) -> None:
    base = Path(limited.lab.directory, "haproxy.cfg")
    text = base.read_text()
    base.write_text(text.replace("quotas.map", "other.map"))
    try:
        with pytest.raises(router_keys.RouterError, match="knows no quotas yet"):
            limited.lab.give(ring(tokens_per_day=5))
        limited.lab.give(KeyRing())
    finally:
        base.write_text(text)


def test_hosts_count_together_by_their_routers_alone(pace: Pace) -> None:
    _begin_amid_a_day()
    addresses = {"a": "127.0.0.2", "b": "127.0.0.3"}
    relays = {name: f"{address}:{free_port()}" for name, address in addresses.items()}
    with contextlib.ExitStack() as stack:
        hosts = [
            Limited(
                stack.enter_context(
                    lab(
                        router_relay_bind=relays[name],
                        router_peers=["127.0.0.9"],
                        router_relays=list(relays.values()),
                    )
                ),
                ring(tokens_per_day=100),
            )
            for name in addresses
        ]
        for each in hosts:
            stack.callback(each.end)
        one, two = hosts
        one.used("ann", 60)
        two.used("bob", 500)
        two.used("ann", 39)
        # Neither was told of the other; each may be asked before the other has published.
        until(lambda: two.watch.look() == [] and ledgers(str(two.lab.root)))
        assert ledgers(str(two.lab.root))[one.watch._use.ledger.id]["keys"] == {
            "ann": [1, 60, 1, 60, 0]
        }
        assert [each.status() for each in hosts] == [200, 200]
        (said,) = two.used("ann", 1)
        assert said.startswith("the key ann has used up its quota of tokens of this day")
        (said,) = until(one.watch.look)
        assert said.startswith("the key ann has used up its quota of tokens of this day")
        assert [each.status() for each in hosts] == [429, 429]
        assert [each.status(BOB) for each in hosts] == [200, 200]
        # Replicas, on loopback, do not get what keys used; nor does whoever is no host.
        port = int(relays["a"].partition(":")[2])
        assert got("127.0.0.1", port, "/use") == 404
        assert got("127.0.0.2", port, "/use") == 200
        # A host that is away keeps its last sums, and costs the watch nothing.
        one.lab.kill()
        begun = pace()
        two.watch.look()
        assert pace() - begun < 1
        with pytest.raises(ValueError, match="no sums"):
            use_peers.fetch(str(two.lab.root), "1")
        assert two.status() == 429


def got(address: str, port: int, path: str) -> int:
    link = http.client.HTTPConnection(address, port, timeout=60)
    with contextlib.closing(link):
        link.request("GET", path)
        return link.getresponse().status


@pytest.mark.parametrize("lie", [b"", b"{}", b"[]", b"{", b"[" * 100_000])
def test_a_host_that_says_nonsense_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lie: bytes
) -> None:
    (tmp_path / "router").mkdir()
    (tmp_path / "router" / "haproxy.cfg").write_text("backend use:1\n  x\nbackend use:2\n")
    asked = []

    def fetch(root: str, peer: str) -> bytes:
        asked.append(peer)
        sums = {"ledger": OTHER, **other(1, 2, 3, 4)[OTHER]}
        return json.dumps(sums).encode() if peer == "2" else lie

    monkeypatch.setattr(use_peers, "fetch", fetch)
    monkeypatch.setattr(use_peers, "SECONDS", 60.0)
    peers = use_peers.Peers(str(tmp_path))
    peers._thread = threading.current_thread()
    peers.ask()
    peers.ask()
    assert peers.said() == told(other(1, 2, 3, 4))
    assert asked == ["1", "2", "1", "2"]


def test_a_host_that_speaks_for_the_ledger_of_another_hides_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "router").mkdir()
    (tmp_path / "router" / "haproxy.cfg").write_text("backend use:1\nbackend use:2\n")
    said = {"1": other(9, 90, 9, 90)[OTHER], "2": other(1, 1, 1, 1)[OTHER]}

    def fetch(root: str, peer: str) -> bytes:
        return json.dumps({"ledger": OTHER, **said[peer]}).encode()

    monkeypatch.setattr(use_peers, "fetch", fetch)
    monkeypatch.setattr(use_peers, "SECONDS", 60.0)
    peers = use_peers.Peers(str(tmp_path))
    peers._thread = threading.current_thread()
    peers.ask()
    assert peers.said() == told(other(9, 90, 9, 90))
    assert peers.said() == {}
