"""What routes say of a model that sleeps, and what its hosts make of that, without a router."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.hostside.router_lab import REPO
from tests.planning.rendered import render_files
from toolkit.domain.replicas.warmth import WhenAsleep
from toolkit.planning.change.sleep import patience
from toolkit.planning.routing.edits import with_sleep, with_wake
from toolkit.planning.routing.routes import Alternate, Route, Routes, Sleep, Target

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import hold_lease
import reweigh
import routes_file
import seals
import sleeping
import takeover
import warmth

SERVING, STANDBY = Target("blue", 8100, 100), Target("green", 8101, standby=True)
IDLE = Target("green", 8101)

ON_TWO = tuple(
    replace(each, host=host, relay=f"10.0.0.{number}:8090")
    for number, host in enumerate("ab")
    for each in (SERVING, STANDBY)
)

SLEEP = Sleep("5e", "wait", 30, since=7)

Edit = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.fixture
def edits(monkeypatch: pytest.MonkeyPatch) -> list[Edit]:
    """The edits of routes that a watch makes, in place of their effect."""
    made: list[Edit] = []
    monkeypatch.setattr(reweigh, "reweigh", lambda _, edit: made.append(edit))
    return made


def asleep(*targets: Target, at: str = "", due: int = 0, sleep: Sleep = SLEEP) -> dict[str, Any]:
    routes = with_sleep(Routes((Route("tiny", targets, 7),), 4), "tiny", sleep, 60, {"green"})
    return (with_wake(routes, "tiny", due) if due else routes).as_json(at)


@pytest.mark.parametrize(
    ("targets", "names", "weights", "waits", "sleeps"),
    [
        pytest.param((SERVING, STANDBY), set(), [0, 0], True, True, id="none is up"),
        pytest.param((SERVING, STANDBY), {"blue"}, [100, 0], False, True, id="what served is up"),
        pytest.param((SERVING, STANDBY), {"green"}, [0, 0], True, True, id="the standby alone"),
        pytest.param((SERVING, STANDBY), {"blue", "green"}, [100, 0], False, False, id="both"),
        pytest.param((SERVING, IDLE), {"blue"}, [100, 0], False, True, id="an idle one is not up"),
        pytest.param((SERVING, IDLE), {"blue", "green"}, [100, 0], False, False, id="an idle one"),
        pytest.param(ON_TWO, {"a.blue"}, [100, 0, 0, 0], False, True, id="one host of two"),
        pytest.param(ON_TWO, {f"{host}.{slot}" for host in "ab" for slot in ("blue", "green")},
                     [100, 0, 100, 0], False, False, id="two hosts"),
    ],
)  # fmt: skip
def test_targets_get_back_what_they_had(
    targets: tuple[Target, ...], names: set[str], weights: list[int], waits: bool, sleeps: bool
) -> None:
    before = asleep(*targets, at="a" if targets is ON_TWO else "", due=99)
    after = routes_file.edited(before, sleeping.awake("tiny", names))
    found = Routes.from_json(after)
    # an ops machine reads it, and would write it so
    assert found.as_json(before["at"]) == after
    route = found.routes[0]
    assert [each.weight for each in route.targets] == weights
    assert (bool(route.hold), bool(route.sleep)) == (waits, sleeps)
    assert found.serial == (4 if after == before else 5)
    if not sleeps:
        assert route.targets == targets


def test_a_sleeping_model_is_no_swap_without_its_command_and_no_takeover() -> None:
    routes = asleep(SERVING, STANDBY)
    assert hold_lease.waiting(routes) == []
    assert takeover.taken_over(routes, {"tiny": {"blue": False, "green": True}}) == []
    # and routes that know of no sleep are as ever
    assert sleeping.sleepers(Routes((Route("tiny", (SERVING,), 7),)).as_json()) == []


def test_no_takeover_is_for_good_before_the_model_is_awake_everywhere() -> None:
    routes = asleep(*ON_TWO, at="a", due=99)
    awake = {"a.blue", "a.green"}
    partly = routes_file.edited(routes, sleeping.awake("tiny", awake))
    up = {"tiny": {"a.green": True, "b.green": True}}
    # b may have its serving replica up already, which a does not know
    assert takeover.taken_over(partly, up) == []
    wholly = routes_file.edited(partly, sleeping.awake("tiny", {"b.blue", "b.green"}))
    assert takeover.taken_over(wholly, up) == ["tiny"]


TAKEN = Sleep(
    "5e", "wait", 30, since=7, alternates=(Alternate("other", 20, 60), Alternate("third", 40, 90))
)


def in_turn(*others: Target, sleep: Sleep = TAKEN) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the routes before and after `other` makes room for `tiny`, which sleeps."""
    routes = Routes((Route("other", others, 7), Route("tiny", (SERVING, STANDBY), 7)), 4)
    before = with_sleep(routes, "tiny", sleep, 120).as_json()
    edit = sleeping.making_place("other", before["routes"][1], "a0", 99)
    return before, routes_file.edited(before, edit)


def test_a_model_makes_place_and_takes_turns_with_those_that_share_its_device() -> None:
    before, after = in_turn(SERVING, STANDBY)
    # An ops machine reads it, and would write it so.
    found = Routes.from_json(after)
    assert found.as_json() == after
    alternates = (Alternate("tiny", 30, 120), Alternate("third", 40, 90))
    assert found.serial == before["serial"] + 1
    assert found.routes[0] == with_sleep(
        Routes((Route("other", (SERVING, STANDBY), 7),)),
        "other", Sleep("a0", "wait", 20, since=99, alternates=alternates), 60,
    ).routes[0]  # fmt: skip
    assert after["routes"][1] == before["routes"][1]


@pytest.mark.parametrize(
    ("target", "sleep"),
    [
        pytest.param(SERVING, SLEEP, id="it is no alternate"),
        pytest.param(replace(SERVING, weight=0, share=500), TAKEN, id="a canary is under way"),
        pytest.param(replace(SERVING, weight=0, withdrawn=True), TAKEN, id="a guard withdrew it"),
        pytest.param(replace(SERVING, weight=0, former=True), TAKEN, id="a swap is under way"),
        pytest.param(replace(SERVING, waiting=("de",), adapters=("de",)), TAKEN, id="adapters change"),
    ],
)  # fmt: skip
def test_nothing_else_makes_place(target: Target, sleep: Sleep) -> None:
    before, after = in_turn(target, sleep=sleep)
    assert after is before


@pytest.mark.parametrize("policy", ["wait", "wake", "refuse"])
def test_both_sides_write_the_same_map(policy: str) -> None:
    sleep = replace(SLEEP, policy=policy)
    with_adapter = replace(SERVING, adapters=("tiny-de",))
    routes = with_sleep(Routes((Route("tiny", (with_adapter,), 7),)), "tiny", sleep, 0)
    lines = dict(line.split() for line in render_files(routes)["asleep.map"].splitlines())
    assert lines == sleeping.entries(routes.as_json())
    assert lines == dict.fromkeys(("tiny", "tiny-de"), f"{policy}|30|0|tiny")


def test_a_wish_outlives_a_change_of_routes_and_not_the_sleep() -> None:
    known = {"tiny": "wait|30|0|tiny", "wake:tiny": "1", "wake:other": "2"}
    assert sleeping.wishes(known, {"tiny": "wait|30|0|tiny"}) == {"wake:tiny": "1"}
    assert sleeping.wishes(known, {}) == {}


def test_a_router_that_has_just_started_wakes_nothing_on_other_hosts(tmp_path: Path) -> None:
    looking, routes = warmth.Warmth(str(tmp_path)), asleep(*ON_TWO, at="a")
    (route,) = sleeping.sleepers(routes)

    def woken(up: set[str]) -> bool:
        checks = {each.name: each.name in up for each in ON_TWO}
        looking._note_down(routes, route, checks, {})
        return looking._is_woken(route, False, looking._steady(routes, route, checks))

    assert not woken(set())
    # b has booted: its router says for two seconds that all is well
    assert [woken({"b.blue"}) for _ in range(5)] == [False] * 5
    assert not woken(set())
    # a client of b has woken it
    assert [woken({"b.blue"}) for _ in range(warmth.LOOKS)] == [False] * (warmth.LOOKS - 1) + [True]


def test_a_host_whose_requests_still_end_wakes_the_model_nowhere(tmp_path: Path) -> None:
    looking, routes = warmth.Warmth(str(tmp_path)), asleep(*ON_TWO, at="a")
    (route,) = sleeping.sleepers(routes)

    def woken(*up: str) -> bool:
        checks = {each.name: each.name in up for each in ON_TWO}
        looking._note_down(routes, route, checks, {})
        return looking._is_woken(route, False, looking._steady(routes, route, checks))

    assert not any(woken("b.blue") for _ in range(5 * warmth.LOOKS))
    assert not woken()
    assert any(woken("b.blue") for _ in range(warmth.LOOKS))


@pytest.mark.parametrize(
    ("told", "wakes"),
    [
        pytest.param({"tiny/b.blue": "5e"}, True, id="this sleep has ended there"),
        pytest.param({"tiny/b.blue": "5d"}, False, id="a former one has"),
        pytest.param({"other/b.blue": "5e"}, False, id="of another model"),
        pytest.param({"tiny/a.blue": "5e"}, False, id="of this host itself"),
    ],
)
def test_a_host_that_wakes_the_model_before_it_was_down_wakes_it_everywhere(
    tmp_path: Path, told: dict[str, str], wakes: bool
) -> None:
    looking, routes = warmth.Warmth(str(tmp_path)), asleep(*ON_TWO, at="a")
    (route,) = sleeping.sleepers(routes)

    def woken(told: dict[str, str], *up: str) -> bool:
        checks = {each.name: each.name in up for each in ON_TWO}
        checks["b.green"] = True
        looking._note_down(routes, route, checks, told)
        return looking._is_woken(route, False, looking._steady(routes, route, checks))

    assert not any(woken({}, "b.blue") for _ in range(5 * warmth.LOOKS))
    assert woken(told, "b.blue") is wakes


def test_what_was_seen_in_a_former_sleep_is_forgotten(tmp_path: Path) -> None:
    (tmp_path / "router").mkdir()
    looking, sleeps = warmth.Warmth(str(tmp_path)), {}
    for name in ("5d", "5e"):
        routes = asleep(*ON_TWO, at="a", sleep=replace(SLEEP, id=name))
        (tmp_path / "router" / "routes.json").write_text(json.dumps(routes))
        # Of a router that does not run, the looks see nothing.
        looking.look()
        (route,) = sleeping.sleepers(routes)
        seen = [looking._steady(routes, route, {"b.blue": True}) for _ in range(warmth.LOOKS)]
        sleeps[name] = [each["b.blue"] for each in seen]
    # In each, a router of another host that has just started is believed after a while only.
    assert sleeps["5d"] == sleeps["5e"] == [False] * (warmth.LOOKS - 1) + [True]
    (tmp_path / "router" / "routes.json").write_text(json.dumps(Routes().as_json("a")))
    looking.look()
    kept = looking._down, looking._lost, looking._seen, looking._kept, looking._begun
    assert kept == ({}, {}, {}, {}, {})


def test_a_look_at_a_former_sleep_ends_no_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edits: list[Edit]
) -> None:
    watch = warmth.Warmth(str(tmp_path))
    monkeypatch.setattr(watch, "_started", lambda _: True)
    monkeypatch.setattr(watch, "_answers", lambda *_: True)
    former, new = asleep(SERVING), asleep(SERVING, sleep=replace(SLEEP, id="6f"))
    watch._wake(former, former["routes"][0], {"blue": True})
    assert len(edits) == 2
    for edit in edits:
        # A command has put the model to sleep again since the look.
        assert edit(new) is new
        assert edit(former) != former


def test_what_a_host_has_said_of_a_replica_that_is_down_wakes_nothing(tmp_path: Path) -> None:
    looking, routes = warmth.Warmth(str(tmp_path)), asleep(*ON_TWO, at="a")
    (route,) = sleeping.sleepers(routes)
    checks = dict.fromkeys((each.name for each in ON_TWO), False)
    for _ in range(2 * warmth.LOOKS):
        looking._note_down(routes, route, checks, {"tiny/b.blue": "5e"})
        seen = looking._steady(routes, route, checks)
        assert not looking._is_woken(route, False, seen)


def test_a_model_that_sleeps_in_part_sleeps_wholly_once_other_hosts_have_put_it_to_sleep() -> None:
    before = asleep(*ON_TWO, at="a", sleep=TAKEN)
    partly = routes_file.edited(before, sleeping.awake("tiny", {"b.blue"}))
    assert (Routes.from_json(partly).routes[0].weight("b.blue"), "hold" in partly["routes"][0]) == (
        100,
        False,
    )
    found = Routes.from_json(routes_file.edited(partly, sleeping.lost("tiny"))).routes[0]
    assert (found.hold, [each.weight for each in found.targets]) == (120, [0, 0, 0, 0])
    assert found.sleep == Routes.from_json(before).routes[0].sleep
    whole = routes_file.edited(before, sleeping.lost("tiny"))
    assert whole["routes"][0]["targets"] == before["routes"][0]["targets"]


@pytest.mark.parametrize("starts", [1, 40, 41, 100, 1300])
@pytest.mark.parametrize("policy", ["wait", "wake", "refuse"])
def test_both_sides_let_requests_wait_as_long(policy: str, starts: int) -> None:
    assert sleeping.patience({"policy": policy, "starts": starts}) == patience(
        WhenAsleep(policy), starts
    )


@pytest.mark.parametrize("step", [-86400.0, 86400.0])
def test_a_clock_that_is_set_while_a_model_wakes_neither_ends_nor_prolongs_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edits: list[Edit], step: float
) -> None:
    routes = asleep(SERVING, due=1030)
    (route,) = routes["routes"]
    watch, clock = warmth.Warmth(str(tmp_path)), [1000.0, 50.0]
    monkeypatch.setattr(watch, "_started", lambda _: False)
    shown = SimpleNamespace(time=lambda: clock[0], monotonic=lambda: clock[1])
    monkeypatch.setattr(warmth, "time", shown)
    assert watch._wake(routes, route, {}) == []
    clock[:] = [1001.0 + step, 51.0]
    assert watch._wake(routes, route, {}) == []
    clock[1] += 30 + warmth.LATE - 2
    assert (watch._wake(routes, route, {}), edits) == ([], [])
    clock[1] += 2
    (words,) = watch._wake(routes, route, {})
    assert words == "tiny is not up long after its time; it counts as awake"
    assert len(edits) == 1


def test_requests_wait_for_the_standby_of_a_replica_whose_start_refuses_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch, routes = warmth.Warmth(str(tmp_path)), asleep(SERVING, STANDBY, due=1030)
    monkeypatch.setattr(watch, "_started", lambda _: True)
    monkeypatch.setattr(watch, "_answers", lambda *_: True)
    monkeypatch.setattr(watch, "_is_refused", lambda program: program == "tiny-blue")
    (route,) = routes["routes"]
    assert watch._get_up(routes, route, {}) == ([], [])
    assert watch._get_up(routes, route, {"green": True}) == (["green"], ["blue"])


def test_nobody_waits_for_a_replica_whose_start_refuses_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edits: list[Edit]
) -> None:
    name = seals.summary_of({"model.safetensors": ["a" * 64]})
    file = tmp_path / "snapshots" / name / "model.safetensors"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"flipped")
    slot = tmp_path / "slots/tiny-blue"
    slot.mkdir(parents=True)
    (slot / "manifest.json").write_text(json.dumps({"release": {"snapshot": name}}))
    routes = asleep(SERVING, due=1030)
    watch, (route,) = warmth.Warmth(str(tmp_path)), routes["routes"]
    monkeypatch.setattr(watch, "_started", lambda _: True)
    # Until its start has hashed the file, nothing is known.
    assert (watch._wake(routes, route, {}), edits) == ([], [])
    seen = file.stat()
    for digest, words in (
        ("a" * 64, []),
        ("b" * 64, ["tiny: blue does not start: its files are not those that were pinned"]),
    ):
        seals.write(str(tmp_path), f"snapshots-{name}", {file.name: [*seals.state(seen), digest]})
        assert watch._wake(routes, route, {}) == words
    (edit,) = edits
    (after,) = Routes.from_json(edit(routes)).routes
    assert (after.sleep, [each.weight for each in after.targets]) == (None, [100])
