"""Routes: how they change, what they refuse, and their JSON."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.planning.canary_routes import with_shares
from toolkit.errors import InputError
from toolkit.planning.routing.edits import (
    with_hold,
    with_model,
    with_standby,
    with_weights,
    without_model,
    without_standby,
    without_traffic,
)
from toolkit.planning.routing.routes import Route, Routes, Target, backend_name

BLUE = (Target("blue", 8100, 100), Target("green", 8101, 0))
TINY = with_model(Routes(), "tiny", BLUE, created=7)
BOTH = with_model(TINY, "big", (Target("blue", 8200, 100),), created=9)


def test_a_model_keeps_the_time_of_its_first_route() -> None:
    again = with_model(TINY, "tiny", BLUE, created=99)
    assert again == TINY


def test_routes_are_ordered_and_removable() -> None:
    assert [route.model for route in BOTH.routes] == ["big", "tiny"]
    assert without_model(BOTH, "big") == TINY
    assert without_model(TINY, "big") == TINY


def test_weights_of_slots_not_named_stay() -> None:
    canary = with_weights(TINY, "tiny", {"green": 10})
    route = canary.of("tiny")
    assert route == Route("tiny", (Target("blue", 8100, 100), Target("green", 8101, 10)), 7)
    assert (route.weight("green"), route.weight("red"), route.main()) == (10, 0, "blue")


def test_a_route_without_traffic_has_no_main_slot() -> None:
    assert Route("tiny", (Target("blue", 8100),)).main() == ""
    assert Route("tiny", ()).main() == ""


STANDING = with_model(TINY, "tiny", (BLUE[0], replace(BLUE[1], standby=True)), created=7)


def test_a_host_without_a_replica_keeps_its_place() -> None:
    served = {
        host: Target("blue", 8100, 100, host, "10.0.0.1:8444", aliases=("tiny",)) for host in "ab"
    }
    both = with_model(Routes(), "qwen", tuple(served.values()), created=1)
    place = Target("blue", 8100, 0, "b", "10.0.0.1:8444")
    left = with_model(Routes(), "qwen", (served["a"], place), created=1)
    assert without_traffic(both, "qwen", "b") == left
    assert without_traffic(both, "qwen", "c") == both
    assert without_traffic(Routes(), "qwen", "a") == Routes()


def test_a_standby_is_a_backup_until_it_has_traffic_of_its_own() -> None:
    blue, green = STANDING.routes[0].targets
    assert (blue.backup_weight, green.backup_weight) == (0, 100)
    assert with_weights(STANDING, "tiny", {"green": 100}).routes[0].targets[1].backup_weight == 0


def test_a_standby_can_be_retired() -> None:
    assert without_standby(STANDING, "tiny", ["green", "blue"]) == TINY
    assert without_standby(STANDING, "tiny", ["blue"]) is STANDING
    assert without_standby(STANDING, "big", ["green"]) is STANDING


@pytest.mark.parametrize(
    "target",
    [
        Target("green", 8101, 50),
        Target("green", 8101, share=100),
        Target("green", 8101, withdrawn=True),
    ],
)
def test_a_target_with_another_part_becomes_no_standby(target: Target) -> None:
    assert with_standby(TINY, "tiny", ["green"]) == STANDING
    other = with_model(TINY, "tiny", (BLUE[0], target), created=7)
    assert with_standby(other, "tiny", ["green"]) == other


SHARED = with_shares(STANDING, "tiny", {"green": 100})


def test_a_canary_has_a_share_and_is_no_standby_until_it_has_all_traffic() -> None:
    green = SHARED.routes[0].targets[1]
    assert (green.share, green.weight, green.standby) == (100, 0, False)
    assert SHARED.routes[0].main() == "blue"
    gone_on = with_weights(SHARED, "tiny", {"green": 100, "blue": 0}).routes[0].targets[1]
    assert (gone_on.share, gone_on.weight) == (0, 100)
    assert with_shares(SHARED, "tiny", {"green": 0}) == TINY


HELD = with_hold(with_weights(TINY, "tiny", {"blue": 0}), "tiny", 120)


def test_requests_wait_until_a_target_has_a_weight() -> None:
    assert HELD.routes[0].hold == 120
    assert with_shares(HELD, "tiny", {"green": 1}).routes[0].hold == 120
    assert with_weights(HELD, "tiny", {"green": 100}).routes[0].hold == 0
    assert with_hold(HELD, "tiny", 0) == with_weights(TINY, "tiny", {"blue": 0})


def test_the_time_of_a_takeover_is_noted_and_differs_from_host_to_host() -> None:
    noted = Routes((replace(TINY.routes[0], took_over=5.0),))
    assert Routes.from_json(noted.as_json()).routes[0].took_over == 5.0
    assert noted == TINY


@pytest.mark.parametrize("routes", [Routes(), TINY, BOTH, STANDING, SHARED, HELD])
def test_json_and_back(routes: Routes) -> None:
    assert Routes.from_json(routes.as_json()) == routes


def test_an_empty_document_has_no_routes() -> None:
    assert Routes.from_json({}) == Routes()


@pytest.mark.parametrize(
    ("attempt", "words"),
    [
        (lambda: with_weights(Routes(), "tiny", {"blue": 1}), "tiny has no route"),
        (lambda: with_weights(TINY, "tiny", {"red": 1}), "tiny has no slot red"),
        (lambda: Target("blue", 8100, 257), "weight 257 is not between 0 and 256"),
        (lambda: Target("blue", 8100, -1), "weight -1 is not between 0 and 256"),
        (lambda: Target("blue", 0), "0 is not a port"),
        (lambda: Target("blue\nserver x", 8100), "'blue\\nserver x' is not a name for a slot"),
        (
            lambda: with_shares(TINY, "tiny", {"green": 10_001}),
            "a share of 10001 is not between 0 and 10000",
        ),
        (
            lambda: with_shares(TINY, "tiny", {"blue": 100}),
            "blue has a share beside a weight or a part as a standby",
        ),
        (
            lambda: Route("tiny", tuple(Target(name, 8100, share=5001) for name in ("a", "b"))),
            "tiny has shares of more than all requests",
        ),
        (lambda: with_hold(Routes(), "tiny", 1), "tiny has no route"),
        (lambda: with_hold(TINY, "tiny", 1), "tiny is served, so its requests need not wait"),
        (lambda: with_hold(HELD, "tiny", 3601), "requests cannot wait for 3601 s"),
        (lambda: Route("a b", ()), "'a b' cannot be routed"),
        (lambda: Route("", ()), "'' cannot be routed"),
        (lambda: Route("tiny\n", ()), "'tiny\\n' cannot be routed"),
        (lambda: Route("tiny", (BLUE[0], BLUE[0])), "tiny has a slot twice"),
    ],
)
def test_wrong_changes_of_routes_are_refused(attempt: object, words: str) -> None:
    assert callable(attempt)
    with pytest.raises(InputError) as refusal:
        attempt()
    assert refusal.value.message == words


def test_backend_names_fit_haproxy() -> None:
    assert backend_name("Qwen/Qwen2.5-7B") == "model.Qwen:Qwen2.5-7B"
