"""Which routes are right where the routers of a fleet differ, and which of them have missed a change."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.planning.facts import host, release, slot
from toolkit.planning.routing.agreement import (
    behind,
    fleet_routes,
    have_moved,
    newest,
    settled,
    with_routes,
)
from toolkit.planning.routing.edits import with_former, with_model, with_sleep
from toolkit.planning.routing.routes import Alternate, Routes, Sleep, Target


def test_of_routers_that_differ_the_one_told_last_is_right() -> None:
    def told(serial: int, blue: int) -> Routes:
        target = Target("blue", 8100, blue, "h1", "10.0.0.1:8090")
        return with_model(Routes(serial=serial), "tiny", (target,), created=1)

    old, new = told(4, 100), told(5, 0)
    facts = {
        "h1": replace(host(slot("blue", release(1), weight=100)), name="h1", routes=old.as_json("h1")),
        "h2": replace(host(), name="h2", routes=new.as_json("h2")),
    }  # fmt: skip
    assert fleet_routes(facts) == new
    assert behind(facts, new) == ("h1",)
    (seen,) = with_routes(facts, new)["h1"].slots
    assert (seen.weight, seen.idle) == (0, True)


def test_a_host_that_missed_a_sleep_has_the_part_that_its_fleet_knows() -> None:
    serving = Target("blue", 8100, 100, "h1", "10.0.0.1:8090")
    awake = with_model(Routes(), "tiny", (serving,), created=1)
    asleep = with_sleep(awake, "tiny", Sleep("a1", "wait", 9), 60)
    facts = {"h1": replace(host(slot("blue", release(1), weight=100)), routes=awake.as_json("h1"))}
    (seen,) = with_routes(facts, asleep)["h1"].slots
    assert (seen.weight, seen.asleep, seen.serves_awake, seen.idle) == (0, "asleep", True, False)


def _counted(serial: int, own: int, weight: int) -> Routes:
    target = Target("blue", 8100, weight, "h1", "10.0.0.1:8090")
    return replace(with_model(Routes(), "tiny", (target,), created=1), serial=serial, own=own)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param([], Routes(), id="none"),
        pytest.param([_counted(4, 0, 1), _counted(5, 0, 2)], _counted(5, 0, 2), id="a command"),
        pytest.param(
            [_counted(9, 5, 1), _counted(5, 0, 2)], _counted(5, 0, 2),
            id="a host that missed the command has counted more",
        ),
        pytest.param(
            [_counted(5, 0, 1), _counted(6, 1, 2)], _counted(6, 1, 2), id="a host's own change since",
        ),
        pytest.param(
            [_counted(7, 2, 1), _counted(5, 0, 2), _counted(6, 1, 3)], _counted(7, 2, 1),
            id="the most own changes since",
        ),
        pytest.param(
            [_counted(5, 0, 1), _counted(5, 0, 2), _counted(5, 0, 2)], _counted(5, 0, 2),
            id="a tie: what most have",
        ),
        pytest.param(
            [_counted(5, 0, 1), _counted(5, 0, 2)], _counted(5, 0, 1), id="a tie of all: the first",
        ),
    ],
)  # fmt: skip
def test_the_routes_of_the_latest_command_are_right(found: list[Routes], expected: Routes) -> None:
    assert newest(found) == expected
    assert settled({f"h{number}": each for number, each in enumerate(found)}) == expected


def test_routes_know_how_many_of_their_changes_are_a_hosts_own() -> None:
    told = _counted(7, 2, 1)
    assert told.as_json("h1")["own"] == 2
    assert Routes.from_json(told.as_json("h1")) == told
    # An older toolkit's have no such count.
    assert Routes.from_json({"serial": 7}).age == (7, 0)
    assert "own" not in _counted(7, 0, 1).as_json("h1")
    assert (told.age, told.later().age) == ((5, 2), (8, 0))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        pytest.param({"relay": "10.9.9.2:29999"}, "10.9.9.2:29999", id="provisioned anew"),
        pytest.param({"relay": "10.0.0.2:8090"}, "10.0.0.2:8090", id="as before"),
        pytest.param({"relay": ""}, "10.0.0.2:8090", id="provisioned alone"),
        pytest.param({"relay": "no address"}, "10.0.0.2:8090", id="not readable"),
        pytest.param({}, "10.0.0.2:8090", id="not kept"),
        pytest.param(None, "10.0.0.2:8090", id="by an older toolkit"),
    ],
)
def test_routes_lead_to_where_a_host_was_provisioned_to_listen(
    settings: dict[str, str] | None, expected: str
) -> None:
    known = (
        Target("blue", 8100, 100, "h1", "10.0.0.1:8090"),
        Target("blue", 8100, 100, "h2", "10.0.0.2:8090"),
    )
    told = with_model(Routes(serial=4), "tiny", known, created=1)
    facts = {
        "h1": replace(host(), name="h1", routes=told.as_json("h1")),
        "h2": replace(host(), name="h2", routes=told.as_json("h2"), settings=settings),
    }
    routes = fleet_routes(facts)
    assert [each.relay for each in routes.routes[0].targets] == ["10.0.0.1:8090", expected]
    moved = expected != "10.0.0.2:8090"
    assert routes.serial == (5 if moved else 4)
    assert behind(facts, routes) == (("h1", "h2") if moved else ())
    assert have_moved(facts) is moved


def _woken(*names: str) -> Routes:
    """Return routes that fell asleep, with these targets awake again; without a sleep where all are."""
    targets = tuple(
        Target("blue", 8100, 100, each, f"10.0.0.{number}:8090", standby=False)
        for number, each in enumerate(("h1", "h2"), 1)
    )
    awake = with_model(Routes(), "tiny", targets, created=1)
    if len(names) == 2:
        return awake
    slept = with_sleep(awake, "tiny", Sleep("a1", "wait", 30, due=1000 + len(names)), 60)
    (route,) = slept.routes
    parts = (replace(x, weight=100, asleep="") if x.host in names else x for x in route.targets)
    return replace(slept, routes=(replace(route, targets=tuple(parts)),))


def _asleep(due: int = 0, ident: str = "a1", alternates: tuple[Alternate, ...] = ()) -> Routes:
    sleep = Sleep(ident, "wait", 30, due=due, alternates=alternates)
    return with_sleep(_woken("h1", "h2"), "tiny", sleep, 60)


@pytest.mark.parametrize(
    ("own", "fleet", "missed"),
    [
        pytest.param(_woken("h1"), _woken("h2"), False, id="each is up first in its own eyes"),
        pytest.param(_woken("h1", "h2"), _woken("h2"), False, id="it is ahead of the newest"),
        pytest.param(_woken("h1"), _woken("h1", "h2"), False, id="the others are all up"),
        pytest.param(_asleep(), _asleep(due=99), False, id="it does not know yet that it wakes"),
        pytest.param(_asleep(), _woken("h1", "h2"), False, id="it will see the others up"),
        pytest.param(_woken("h1", "h2"), _asleep(), True, id="nobody told it of the sleep"),
        pytest.param(_asleep(), _asleep(ident="b2"), True, id="of another sleep"),
        pytest.param(
            _asleep(), _asleep(alternates=(Alternate("b", 5, 5),)), True, id="of its alternates"
        ),
        pytest.param(
            _asleep(due=9), with_model(_asleep(due=9), "other", (), created=1), True, id="a model"
        ),
        pytest.param(
            _asleep(due=9),
            with_former(_woken("h1", "h2"), "tiny", "h1.blue"),
            True,
            id="of a change since",
        ),
    ],
)
def test_a_host_that_wakes_a_model_in_its_own_time_has_missed_nothing(
    own: Routes, fleet: Routes, missed: bool
) -> None:
    facts = {"h1": replace(host(), name="h1", routes=own.as_json("h1"))}
    assert behind(facts, fleet) == (("h1",) if missed else ())
