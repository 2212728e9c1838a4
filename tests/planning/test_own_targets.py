"""One host's targets of a model, from the routes that are there to those after a step."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.planning.facts import release
from toolkit.planning.change.own_targets import OwnTargets
from toolkit.planning.routing.routes import PREFIX, Route, Routes, Target

PORTS = {"blue": 18600, "green": 18601}
BLUE = Target("blue", 18600, 100, "alpha", "10.0.0.1:8002")
GREEN = Target("green", 18601, 0, "alpha", "10.0.0.1:8002")
BETA = Target("blue", 18600, 100, "beta", "10.0.0.2:8002")
OWN = OwnTargets("tiny", "alpha", "10.0.0.1:8002", PORTS, {})


def routes(*targets: Target, routing: str = "least-connections") -> Routes:
    return Routes((Route("tiny", targets, 7, routing),))


def targets(found: Routes) -> tuple[Target, ...]:
    route = found.of("tiny")
    assert route
    return route.targets


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param((BLUE, BETA), (BLUE, replace(GREEN, share=100), BETA), id="beside the former"),
        pytest.param(
            (BLUE, replace(GREEN, share=100), BETA),
            (BLUE, replace(GREEN, share=100), BETA),
            id="again",
        ),
        pytest.param((BETA,), (replace(GREEN, share=100), BETA), id="the first on its host"),
    ],
)
def test_a_share_leaves_the_other_weights(
    before: tuple[Target, ...], after: tuple[Target, ...]
) -> None:
    assert targets(OWN.shared(routes(*before), "green", 100, 9)) == after


@pytest.mark.parametrize(
    ("standbys", "blue"),
    [
        pytest.param(set(), replace(BLUE, weight=0), id="the former is no standby"),
        pytest.param({"blue"}, replace(BLUE, weight=0, standby=True), id="the former stands by"),
        # A slot with traffic is never its own standby.
        pytest.param({"blue", "green"}, replace(BLUE, weight=0, standby=True), id="both served"),
    ],
)
def test_all_traffic_of_the_host_goes_to_one_slot(standbys: set[str], blue: Target) -> None:
    found = OWN.shifted(routes(BLUE, BETA), "green", standbys, 9, None)
    assert targets(found) == (blue, replace(GREEN, weight=100), BETA)


@pytest.mark.parametrize(("routing", "after"), [(None, PREFIX), ("least-connections",) * 2])
def test_routing_follows_the_release_that_gains(routing: str | None, after: str) -> None:
    found = OWN.shifted(routes(BLUE, routing=PREFIX), "green", (), 9, routing).of("tiny")
    assert found
    assert (found.routing, found.created) == (after, 7)


def test_a_first_route_has_the_time_of_its_change() -> None:
    found = OWN.shifted(Routes(), "green", (), 9, None).of("tiny")
    assert found
    assert found.created == 9


def test_a_target_tells_what_its_release_does() -> None:
    aliased = replace(release(2), aliases=("small",))
    own = replace(OWN, releases={"green": aliased})
    assert own.target("green", 0).aliases == ("small",)
    assert own.target("blue", 0).aliases == ()


@pytest.mark.parametrize(
    ("there", "slots"),
    [
        ((), set()),
        ((BETA,), set()),
        ((BLUE, GREEN, BETA), {"blue"}),
        ((BLUE, replace(GREEN, standby=True)), {"blue", "green"}),
        ((BLUE, replace(GREEN, share=100)), {"blue"}),
    ],
)
def test_traffic_is_a_weight_or_a_standby(there: tuple[Target, ...], slots: set[str]) -> None:
    assert OWN.with_traffic(routes(*there) if there else Routes()) == slots
