"""Distribution without hosts: the contract on the fake, and the limit of the rate."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.adapters.tree_lab import Heard, is_interrupted, make_tree, spreads_once
from toolkit.adapters.distribution.delivery import Throttle
from toolkit.adapters.fakes.distribution import FakeDistribution
from toolkit.adapters.fakes.host import FakeHost
from toolkit.domain.hosts.fleet import Host

ALPHA, BETA = Host("alpha"), Host("beta")


def test_the_fake_brings_a_tree_once(tmp_path: Path) -> None:
    hosts = {"alpha": FakeHost(ALPHA), "beta": FakeHost(BETA)}
    tree = make_tree(tmp_path, "a1", {"one": 100})
    spreads_once(FakeDistribution(hosts), tree, (ALPHA, BETA))
    assert [host.facts.snapshots for host in hosts.values()] == [("a1",), ("a1",)]


def test_the_fake_can_be_interrupted(tmp_path: Path) -> None:
    fake, tree = FakeDistribution(), make_tree(tmp_path, "a1", {"one": 100})
    is_interrupted(fake, fake.interruption, tree, (ALPHA, BETA))
    assert fake.sent == []
    spreads_once(fake, tree, (ALPHA, BETA))
    assert fake.sent == [("alpha", "snapshots", "a1"), ("beta", "snapshots", "a1")]


def test_the_fake_names_a_host_that_fails_and_serves_the_others(tmp_path: Path) -> None:
    fake = FakeDistribution(failing={"alpha": "no room"})
    tree = make_tree(tmp_path, "a1", {"one": 100}, kind="wheelhouse")
    assert fake.spread(tree, (ALPHA, BETA), Heard()) == {"alpha": "no room", "beta": ""}
    assert fake.sent == [("beta", "wheelhouse", "a1")]


@pytest.mark.parametrize(
    ("limit", "asked_at", "waits"),
    [
        (0, [(0.0, 10**9), (0.0, 10**9)], []),
        (100, [(0.0, 50), (0.0, 50), (0.2, 10)], [0.0, 0.5, 0.8]),
        # An idle period does not raise the later rate.
        (100, [(0.0, 50), (9.0, 50), (9.0, 50)], [0.0, 0.0, 0.5]),
    ],
)
def test_the_rate_is_shared_by_all_who_send(
    limit: int, asked_at: list[tuple[float, int]], waits: list[float]
) -> None:
    now, slept = [0.0], list[float]()
    throttle = Throttle(limit, slept.append, lambda: now[0])
    for at, count in asked_at:
        now[0] = at
        throttle.take(count)
    assert slept == pytest.approx(waits)
