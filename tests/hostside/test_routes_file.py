"""A change of routes takes commands where weights differ alone, and a reload otherwise."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.planning.canary_routes import with_shares
from tests.planning.rendered import render_files
from toolkit.hostside import holds, routes_file
from toolkit.planning.routing.edits import armed, with_hold, with_model, with_weights
from toolkit.planning.routing.routes import PREFIX, Alternate, Route, Routes, Sleep, Target

BLUE = (Target("blue", 8100, 100), Target("green", 8101, 0))
TINY = with_model(Routes(), "tiny", BLUE, created=7)
GREEN = with_weights(TINY, "tiny", {"blue": 0, "green": 100})
CANARY = with_weights(TINY, "tiny", {"blue": 90, "green": 10})
SHARED = with_shares(TINY, "tiny", {"green": 100})
BOTH = with_model(TINY, "org/big", (Target("blue", 8200, 100),), created=9)
MOVED = with_model(TINY, "tiny", (BLUE[0], Target("green", 8109)), created=1)
STANDING = with_model(TINY, "tiny", (BLUE[0], replace(BLUE[1], standby=True)), created=7)
BACK = with_model(
    TINY,
    "tiny",
    (replace(BLUE[0], weight=0, standby=True), replace(BLUE[1], weight=100)),
    created=7,
)
BY_PREFIX = with_model(TINY, "tiny", BLUE, created=7, routing=PREFIX)


def _loaded(routes: Routes) -> dict[str, Any]:
    """Return the servers of a worker that has read the files of `routes`."""
    return {
        routes_file.backend(route.model): {
            name: {
                "weight": weight,
                "address": target.address(""),
                "algorithm": "hash" if route.routing == PREFIX else "roundrobin",
            }
            for target in route.targets
            for name, weight in (
                (target.name, target.weight),
                (routes_file.TWIN + target.name, target.backup_weight),
            )
        }
        for route in routes.routes
    }


@pytest.mark.parametrize(
    ("old", "new", "reload", "commands"),
    [
        pytest.param(TINY, TINY, False, [], id="nothing"),
        pytest.param(
            TINY,
            GREEN,
            False,
            ["green health up", "green weight 100", "blue weight 0"],
            id="a switch: the new one first",
        ),
        pytest.param(
            GREEN,
            TINY,
            False,
            ["blue health up", "blue weight 100", "green weight 0"],
            id="and back",
        ),
        pytest.param(
            TINY,
            CANARY,
            False,
            ["green health up", "green weight 10", "blue weight 90"],
            id="a canary",
        ),
        pytest.param(
            CANARY,
            GREEN,
            False,
            ["green health up", "green weight 100", "blue weight 0"],
            id="from a canary on",
        ),
        pytest.param(
            TINY, with_weights(TINY, "tiny", {"blue": 0}), False, ["blue weight 0"], id="off"
        ),
        pytest.param(TINY, STANDING, False, ["standby:green weight 100"], id="a standby"),
        pytest.param(
            STANDING,
            BACK,
            False,
            [
                "standby:blue weight 100",
                "green health up",
                "green weight 100",
                "blue weight 0",
                "standby:green weight 0",
            ],
            id="a switch to the standby",
        ),
        pytest.param(TINY, SHARED, False, ["standby:green weight 1"], id="a share"),
        pytest.param(
            SHARED,
            GREEN,
            False,
            ["green health up", "green weight 100", "blue weight 0", "standby:green weight 0"],
            id="from a share on",
        ),
        pytest.param(Routes(), TINY, True, [], id="a new model"),
        pytest.param(TINY, BOTH, True, [], id="a model beside it"),
        pytest.param(TINY, Routes(), True, [], id="a model goes"),
        pytest.param(TINY, MOVED, True, [], id="a slot moves to another port"),
        pytest.param(TINY, BY_PREFIX, True, [], id="the routing"),
    ],
)
def test_what_the_router_is_told(
    old: Routes, new: Routes, reload: bool, commands: list[str]
) -> None:
    assert routes_file.needs_reload(render_files(old), render_files(new)) is reload
    assert routes_file.outdated(_loaded(old), new.as_json()) is reload
    assert routes_file.commands(_loaded(old), new.as_json()) == [
        f"set server model.tiny/{each}" for each in commands
    ]


NOW = 1_800_000_000.0
AT = 1_800_000_000_000


@pytest.mark.parametrize(
    ("wanted", "known", "held"),
    [
        pytest.param("", "", "", id="none"),
        pytest.param("120", "", f"120:{AT}:", id="it begins"),
        pytest.param("120", "120:7:", "120:7:", id="it goes on"),
        pytest.param("60", "120:7:", "60:7:", id="with another patience"),
        pytest.param("120", "120", f"120:{AT}:", id="after a start"),
        pytest.param("120", "0:7:9", f"120:{AT}:", id="again"),
        pytest.param("", "120:7:", f"0:7:{AT}", id="it ends"),
        pytest.param("", "120", f"0:{AT - 120_000}:{AT}", id="after a start, it ends"),
        pytest.param("", f"0:7:{AT - 5000}", f"0:7:{AT - 5000}", id="it is replayed"),
        pytest.param("", f"0:7:{AT - 40_000}", "", id="it is over"),
        pytest.param("a120", "", "a120::", id="armed"),
        pytest.param("a120", "a120", "a120::", id="armed, after a start"),
        pytest.param("a120", "120:7:", f"a120:7:{AT}", id="the new release serves, armed"),
        pytest.param("a120", "120", f"a120:{AT - 120_000}:{AT}", id="the same after a start"),
        pytest.param("a120", "a120:7:", "a120:7:", id="armed, requests wait"),
        pytest.param("a120", "a120:7:9", "a120:7:9", id="armed, requests waited"),
        pytest.param("120", "a120:7:", "120:7:", id="an undoing goes on with what has begun"),
        pytest.param("120", "a120::", f"120:{AT}:", id="an undoing begins"),
        pytest.param("120", "a120:7:9", f"120:{AT}:", id="an undoing begins after an outage"),
        pytest.param("", "a120::", "", id="armed, it is over"),
        pytest.param("", "a120:7:", f"0:7:{AT}", id="armed, it is over while requests wait"),
        pytest.param("", f"a120:7:{AT - 5000}", f"0:7:{AT - 5000}", id="armed, over in a replay"),
    ],
)
def test_the_time_of_a_hold_is_kept_in_the_workers(wanted: str, known: str, held: str) -> None:
    def of(value: str) -> dict[str, str]:
        return {"tiny": value} if value else {}

    assert holds.held(of(wanted), NOW, of(known)) == of(held)


def test_each_model_has_its_own_hold() -> None:
    both = {"a": f"0:7:{AT}", "b": f"5:{AT}:"}
    assert holds.held({"b": "5"}, NOW, {"a": "9:7:"}) == both


def test_a_hold_takes_no_reload() -> None:
    off = with_weights(TINY, "tiny", {"blue": 0})
    held = with_hold(off, "tiny", 120)
    assert not routes_file.needs_reload(render_files(off), render_files(held))
    assert render_files(held)["holds.map"] == "tiny 120\n"
    assert holds.of_routes(held.as_json()) == {"tiny": "120"}
    ready = armed(with_weights(held, "tiny", {"blue": 100}), "tiny", 120)
    assert not routes_file.needs_reload(render_files(held), render_files(ready))
    assert render_files(ready)["holds.map"] == "tiny a120\n"
    assert holds.of_routes(ready.as_json()) == {"tiny": "a120"}


def test_a_relay_at_another_port_takes_a_reload_on_its_own_host_too() -> None:
    fleet = [
        with_model(Routes(), "tiny", (Target("blue", 8100, 100, "a", relay),), created=1)
        for relay in ("10.0.0.1:9000", "10.0.0.1:9001")
    ]
    assert routes_file.needs_reload(*(render_files(each, "a") for each in fleet))


def test_a_backend_is_named_as_the_files_name_it() -> None:
    assert "\nbackend model.org:big\n" in render_files(BOTH)["backends.cfg"]
    assert routes_file.backend("org/big") == "model.org:big"
    assert routes_file.model("model.org:big") == "org/big"


WHOLE = Routes(
    (
        Route(
            "tiny",
            (
                Target("blue", 8100, 100, "gpu1", "10.0.0.1:8090", aliases=("small",), kind="chat", context=64),
                Target("green", 8101, 0, "gpu1", "10.0.0.1:8090", standby=True, adapters=("x",)),
                Target("blue", 8100, 0, "gpu2", "10.0.0.2:8090", share=10, waiting=("x",)),
            ),
            1, "prefix", 2.5, 3,
        ),
        Route(
            "doze", (Target("blue", 8102, asleep="serving"),),
            sleep=Sleep("a1", "wait", 9, 1, 0, (Alternate("tiny", 5, 2),)),
        ),
    ),
    7,
)  # fmt: skip
ODD: tuple[Any, ...] = (
    None, True, -1, 0.5, float("nan"), 10**40, 70_000, "", "x", "\ud800", "a\nb", "../x", "serving", [], {}, [[]],
    [None], {"a": 1},
)  # fmt: skip


def varied(value: Any) -> Iterator[Any]:
    """Yield the document with each of its values replaced by each odd one."""
    yield from ODD
    for key, child in value.items() if isinstance(value, dict) else enumerate(value):
        for other in varied(child) if isinstance(child, (dict, list)) else ODD:
            copy = value.copy()
            copy[key] = other
            yield copy


def test_what_a_host_calls_sound_the_ops_machine_can_read() -> None:
    assert routes_file.is_sound(json.dumps(WHOLE.as_json("gpu1")), None)
    sound = 0
    for document in varied(WHOLE.as_json("gpu1")):
        text = json.dumps(document)
        if routes_file.is_sound(text, None):
            sound += 1
            read = Routes.from_json(routes_file.parsed(text))
            for host in ("", "gpu1"):
                render_files(read, host)
            known = routes_file.parsed(text)
            for view in (routes_file.all_weights, routes_file.relays, routes_file.main_slots):
                view(known)
            assert [*map(holds.of_routes, [known]), *map(routes_file.shares, [known])]
        else:
            assert routes_file.parsed(text) == {}
    # Numbers may be other numbers; most odd values are refused.
    assert 50 < sound < 400
