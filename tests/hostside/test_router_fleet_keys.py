"""Routers of several hosts count the requests of a key together."""

from __future__ import annotations

import time

from tests.hostside.router_lab import patient, until
from tests.hostside.router_pair import PATH, Pair, kill, pair
from toolkit.domain.clients.keys import KeyRing
from toolkit.planning.routing.keys import with_key

__all__ = ["pair"]


def admitted(pair: Pair, at: list[str], key: str, count: int) -> int:
    """Return how many of `count` requests with the key were answered, sent to the hosts in turn."""
    asked = (
        pair.routers[at[n % len(at)]].ask(PATH, {"model": "tiny"}, Authorization=f"Bearer {key}")
        for n in range(count)
    )
    return sum(status == 200 for status, _, _ in asked)


def test_hosts_count_the_requests_of_a_key_together(pair: Pair) -> None:
    ring = KeyRing()
    # each name has one of the hosts count its requests
    keys = {name: f"tk-{name}-" + name[0] * 32 for name in ("ann", "bob", "cleo", "dan")}
    for name, key in keys.items():
        ring = with_key(ring, name, key, now=1.0, per_minute=10)
    for router in pair.routers.values():
        patient(router)
        router.give(ring)
    for key in (keys["ann"], keys["bob"]):
        assert admitted(pair, ["a", "b"], key, 24) == 10
    # also where a client knows one of the hosts only
    for key in (keys["cleo"], keys["dan"]):
        began = time.monotonic()
        assert admitted(pair, ["a"], key, 12) == 10
        status, _, headers = pair.routers["b"].ask(
            PATH, {"model": "tiny"}, Authorization=f"Bearer {key}"
        )
        assert status == 429
        # A minute less what has passed, and the grain of the count.
        assert 59 - (time.monotonic() - began) <= int(headers["Retry-After"]) <= 61


def test_a_host_that_counts_alone_admits_its_share(pair: Pair) -> None:
    ring = KeyRing()
    keys = [f"tk-{n}-" + "k" * 40 for n in range(6)]
    for number, key in enumerate(keys):
        ring = with_key(ring, f"user{number}", key, now=1.0, per_minute=11)
    for router in pair.routers.values():
        router.give(ring)
    kill(pair.routers["b"])
    until(lambda: not pair.routers["a"].observe()["servers"]["tiny"]["b.blue"]["up"])
    found = {admitted(pair, ["a"], key, 14) for key in keys}
    # host a counts some of the keys itself, and of the others it has 11 // 2 or the rest
    assert found in ({11, 5}, {11, 6})


def test_a_host_that_counts_alone_goes_on_from_what_was_admitted_before(pair: Pair) -> None:
    ring = KeyRing()
    keys = [f"tk-{n}-" + "k" * 40 for n in range(6)]
    for number, key in enumerate(keys):
        ring = with_key(ring, f"user{number}", key, now=1.0, per_minute=10)
    for router in pair.routers.values():
        patient(router)
        router.give(ring)
    assert [admitted(pair, ["a"], key, 11) for key in keys] == [10] * 6
    kill(pair.routers["b"])
    until(lambda: not pair.routers["a"].observe()["servers"]["tiny"]["b.blue"]["up"])
    assert [admitted(pair, ["a"], key, 3) for key in keys] == [0] * 6
