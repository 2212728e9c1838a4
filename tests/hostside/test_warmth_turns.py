"""Models share a device by sleeping in turn, at real routers."""

from __future__ import annotations

import contextlib
import sys
import threading
from typing import Any

import pytest

from tests.hostside.router_lab import REPO, Backend, lab, until
from tests.hostside.router_pair import Pair, pair
from tests.hostside.router_site import PATH, Site
from tests.hostside.warmth_lab import Slot, Watching, ask, slot, wait_for_rest
from toolkit.planning.routing.edits import with_model, with_sleep
from toolkit.planning.routing.routes import Alternate, Route, Routes, Sleep, Target

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import alternates
import resting
import warmth

__all__ = ["lab", "pair", "slot"]


def test_two_models_share_a_device_by_sleeping_in_turn_and_a_busy_one_is_left_alone(
    site: Site, slot: Slot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alternates, "QUIET", 0.6)
    backend = Backend("blue")
    other = Slot(site.lab.root, backend, monkeypatch, "other")
    with_other = with_model(
        site.lab.routes, "other", (Target("blue", backend.port, 100),), created=1
    )
    site.lab.apply(with_other)
    site.lab.up("other", "blue")
    sleep = Sleep("a1", "wake", 9, alternates=(Alternate("other", 8, 0),))
    site.lab.apply(with_sleep(site.lab.routes, "tiny", sleep, 0))
    watching = Watching(site.lab.root)
    try:
        wait_for_rest(site)
        stream: list[Any] = []
        body = {"model": "other", "gated": True}
        running = threading.Thread(target=lambda: stream.append(site.lab.ask(PATH, body)))
        running.start()
        until(lambda: site.lab.observe()["servers"]["other"]["blue"]["sessions"] == 1)
        # It is busy: the other one is refused, and told when to come again.
        status, _, headers = ask(site)
        assert (status, headers["Retry-After"], headers["X-Toolkit-Error"]) == (
            503, "9", "model_asleep",
        )  # fmt: skip
        watching.look_on(10)
        assert (other.runs, slot.runs) == (True, False)
        backend.turns.release()
        running.join(60)
        assert stream[0][0] == 200
        until(lambda: slot.runs)
        assert not other.runs
        until(lambda: ask(site)[0] == 200)
        until(lambda: "other has nothing to do and makes room for tiny" in watching.said)
        # And back again: each has its turn, and both never run at once.
        until(lambda: "tiny is awake" in watching.said)
        assert site.lab.ask(PATH, {"model": "other"})[0] == 503
        until(lambda: other.runs)
        assert not slot.runs
        until(lambda: site.lab.ask(PATH, {"model": "other"})[0] == 200)
    finally:
        watching.stop()
        other.stop()
        backend.stop()


def test_a_replica_without_a_part_makes_room_too_and_runs_again_afterwards(
    site: Site, slot: Slot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alternates, "QUIET", 0.6)
    with contextlib.ExitStack() as stack:
        slots, targets = [], []
        for name, weight in (("blue", 100), ("green", 0)):
            backend = Backend(name)
            stack.callback(backend.stop)
            slots.append(Slot(site.lab.root, backend, monkeypatch, "other", name))
            stack.callback(slots[-1].stop)
            targets.append(Target(name, backend.port, weight))
        site.lab.apply(with_model(site.lab.routes, "other", tuple(targets), created=1))
        site.lab.up("other", "blue", "green")
        sleep = Sleep("a1", "wake", 9, alternates=(Alternate("other", 8, 0),))
        site.lab.apply(with_sleep(site.lab.routes, "tiny", sleep, 0))
        watching = Watching(site.lab.root)
        stack.callback(watching.stop)
        wait_for_rest(site)
        assert ask(site)[0] == 503
        until(lambda: slot.runs)
        assert [each.runs for each in slots] == [False, False]
        until(lambda: "tiny is awake" in watching.said)
        assert site.lab.ask(PATH, {"model": "other"})[0] == 503
        until(lambda: all(each.runs for each in slots))
        assert not slot.runs


def test_a_replica_that_a_command_starts_beside_a_sleeping_model_runs_on(
    site: Site, slot: Slot, monkeypatch: pytest.MonkeyPatch
) -> None:
    starting = Slot(site.lab.root, site.green, monkeypatch, "tiny", "green")
    held = {"held": True}
    monkeypatch.setattr(warmth.deployment_lock, "read", lambda _: held)
    site.lab.apply(with_sleep(site.lab.routes, "tiny", Sleep("a1", "wake", 9), 0))
    watching = Watching(site.lab.root)
    try:
        wait_for_rest(site)
        watching.look_on()
        assert starting.runs
        # Without its command it is as any other one without a part.
        held["held"] = False
        until(lambda: not starting.runs)
    finally:
        watching.stop()
        starting.stop()


def test_the_hosts_of_a_fleet_make_place_each_for_its_own_device(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alternates, "QUIET", 0.6)
    with contextlib.ExitStack() as stack:
        slots: dict[str, dict[str, Slot]] = {name: {} for name in pair.routers}
        targets = []
        for name, router in pair.routers.items():
            (router.root / "watch").mkdir()
            backend = Backend(name)
            stack.callback(backend.stop)
            relay = next(each.relay for each in pair.routes.routes[0].targets if each.host == name)
            targets.append(Target("blue", backend.port, 100, name, relay))
            for model, each in (("tiny", pair.engines[name]), ("other", backend)):
                slots[name][model] = Slot(router.root, each, monkeypatch, model)
                stack.callback(slots[name][model].stop)
        pair.apply(with_model(pair.routes, "other", tuple(targets), created=1))
        for router in pair.routers.values():
            router.up("other", "a.blue", "b.blue")
        sleep = Sleep("a1", "wait", 40, alternates=(Alternate("other", 40, 120),))
        pair.apply(with_sleep(pair.routes, "tiny", sleep, 120))
        watching = {name: Watching(each.root) for name, each in pair.routers.items()}
        for each in watching.values():
            stack.callback(each.stop)
        for router in pair.routers.values():
            until(lambda router=router: resting.rests(str(router.root), "tiny-blue"), 60)
        until(lambda: _all_down(pair, "tiny"), 60)
        # On b the other model is busy.
        busy = watching["b"].warmth._alternates
        with pytest.MonkeyPatch.context() as still:
            still.setattr(busy, "_has_nothing_to_do", lambda *_: False)
            assert pair.routers["a"].ask(PATH, {"model": "tiny"})[2]["X-Toolkit-Slot"] == "a.blue"
            assert (slots["a"]["tiny"].runs, slots["a"]["other"].runs) == (True, False)
            # Clients of b get it from a, and the other one from b.
            until(lambda: pair.answers("b") == {"a.blue": 20}, 60)
            assert pair.routers["b"].ask(PATH, {"model": "other"})[0] == 200
            assert (slots["b"]["tiny"].runs, slots["b"]["other"].runs) == (False, True)
        # Once it has nothing to do, b follows, and all routes are the same.
        until(lambda: slots["b"]["tiny"].runs and not slots["b"]["other"].runs, 60)
        until(lambda: _routes(pair, "a") == _routes(pair, "b"), 60)
        until(lambda: _all_down(pair, "other"), 60)
        # And back again, by a client of b.
        assert pair.routers["b"].ask(PATH, {"model": "other"})[0] == 200
        for each in slots.values():
            until(lambda each=each: each["other"].runs and not each["tiny"].runs, 60)
        until(lambda: _routes(pair, "a") == _routes(pair, "b"), 60)


def _all_down(pair: Pair, model: str) -> bool:
    """Whether the checks of both routers have noticed that no replica of a model is up; a real start takes longer."""
    seen = [each.observe()["servers"][model] for each in pair.routers.values()]
    return not any(server["up"] for servers in seen for server in servers.values())


def _routes(pair: Pair, at: str) -> tuple[Route, ...]:
    """What a router has for each model, without its own name and the number of its changes."""
    return Routes.from_json(pair.routers[at].observe()["routes"]).routes
