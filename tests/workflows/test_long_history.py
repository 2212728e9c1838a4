"""What commands take from a history, however many hosts, attempts and years it has."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.adapters.history_lab import begin
from tests.workflows.world import World, release
from toolkit.adapters.history.history import History
from toolkit.adapters.store.store import Store
from toolkit.domain.deployment.release import Outcome
from toolkit.planning.routing.routes import Routes
from toolkit.workflows.change.wanted import usual_start
from toolkit.workflows.fleet.prune import prune
from toolkit.workflows.fleet.status import hosts_that_left

# More than any command once read of a history, for a fleet of three hosts.
MANY = 200


def record(history: History, number: int, outcome: Outcome, hosts: list[str]) -> None:
    """Record a deployment of a release on each of `hosts`, each a rollout of its own."""
    with history._db.transaction():
        for at, name in enumerate(hosts):
            begun = begin(history, number, host=name, rollout=f"later {at}")
            history.end_deployment(begun, outcome)


@pytest.fixture(params=["many hosts", "many failures"])
def long(request: pytest.FixtureRequest, world: World) -> World:
    """A fleet that serves release 4 of the model, before it 3, 2 and 1, and of which much was recorded since."""
    for number in (1, 2, 3, 4):
        world.deploy(release(number), standby=False)
    if request.param == "many hosts":
        record(world.history, 4, Outcome.LIVE, [f"far{each}" for each in range(MANY)])
    else:
        record(world.history, 5, Outcome.FAILED, [world.host.name] * MANY)
    return world


def test_prune_keeps_as_many_releases_as_were_asked_for(long: World, tmp_path: Path) -> None:
    unused, _ = prune(long.command(), Store(tmp_path / "store"), frozenset, 3, lambda _: True)
    removed = {each.lstrip("0") for found in unused.hosts.values() for each in found.snapshots}
    assert removed == {"1"}


def test_a_rollback_finds_the_release_before(long: World) -> None:
    long.rollback()
    assert long.serving() == dict.fromkeys(long.hosts, "v3")


def test_the_last_start_is_known(long: World) -> None:
    newest = next(each for each in long.history.deployments("tiny") if each.steps)
    (took,) = [each.ended_at - each.started_at for each in newest.steps if each.kind == "start"]
    assert usual_start(long.history, "tiny") == took


def test_a_host_that_left_still_serves_what_it_served(long: World) -> None:
    stays = long.host.name
    left = set(long.hosts) - {stays}
    found = hosts_that_left(long.history, Routes(), {stays})
    assert found == dict.fromkeys(sorted(left), ("tiny",))
