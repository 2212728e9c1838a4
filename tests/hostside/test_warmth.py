"""A model sleeps and wakes at a real router: by its clients, without a command."""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import replace
from typing import Any

import pytest

from tests.hostside.router_lab import REPO, lab, until
from tests.hostside.router_pair import pair
from tests.hostside.router_site import PATH, Site
from tests.hostside.warmth_lab import Slot, Watching, ask, sleep_now, slot, wait_for_rest
from tests.pace import Pace
from toolkit.planning.routing.edits import with_sleep, with_wake
from toolkit.planning.routing.routes import Routes, Sleep

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import warmth

__all__ = ["lab", "pair", "slot"]


def test_a_model_falls_asleep_once_its_requests_have_ended_and_wakes_for_the_one_that_waits(
    site: Site, slot: Slot, pace: Pace
) -> None:
    watching = Watching(site.lab.root)
    try:
        stream: list[Any] = []
        body = {"model": "tiny", "gated": True}
        running = threading.Thread(target=lambda: stream.append(site.lab.ask(PATH, body)))
        running.start()
        until(lambda: site.lab.observe()["servers"]["tiny"]["blue"]["sessions"] == 1)
        sleep_now(site, "wait", hold=60)
        watching.look_on()
        assert slot.runs
        site.blue.turns.release()
        running.join(60)
        assert stream[0][0] == 200
        wait_for_rest(site)
        assert not slot.runs
        # It takes no restart of the host's units, and a restart of the watch changes nothing.
        until(lambda: slot.starts == 2)
        before = slot.starts
        watching.stop()
        watching = Watching(site.lab.root)
        watching.look_on()
        assert (slot.starts, slot.runs) == (before, False)
        began = pace()
        status, answer, _ = ask(site)
        assert (status, answer["slot"]) == (200, "blue")
        assert pace() - began < 6
        until(lambda: "tiny is awake" in watching.said)
        assert any(
            words.startswith("tiny wakes: a start usually takes 30 s") for words in watching.said
        )
        found = Routes.from_json(site.lab.observe()["routes"]).routes[0]
        assert (found.sleep, found.hold, found.weight("blue")) == (None, 0, 100)
        # a second one waits for nothing
        assert ask(site)[0] == 200
    finally:
        watching.stop()


def test_a_model_that_is_put_to_sleep_while_it_starts_rests_again(site: Site, slot: Slot) -> None:
    watching = Watching(site.lab.root)
    try:
        sleep_now(site, "refuse")
        wait_for_rest(site)
        # A start that does not come to its end.
        script = slot.place / "run"
        script.write_text(script.read_text().replace("exec sleep 600", "exec sleep 601"))
        site.lab.apply(with_wake(site.lab.routes, "tiny", int(time.time()) + 20))
        starting = ["sleep", "601"]
        until(lambda: warmth.processes.command_line(slot.child.pid) == starting)
        site.lab.apply(with_sleep(site.lab.routes, "tiny", Sleep("b2", "refuse", 9), 0))
        wait_for_rest(site)
        watching.look_on()
        assert warmth.processes.command_line(slot.child.pid) == ["sleep", "infinity"]
        (route,) = Routes.from_json(site.lab.observe()["routes"]).routes
        assert route.sleep and (route.sleep.id, route.sleep.due) == ("b2", 0)
    finally:
        watching.stop()


@pytest.mark.parametrize(
    ("path", "shape"),
    [(PATH, {"type": "server_error"}), ("/v1/messages", {"type": "overloaded_error"})],
)
def test_a_refusal_says_when_the_model_is_up_and_wakes_it_or_not(
    site: Site, slot: Slot, path: str, shape: dict[str, str]
) -> None:
    watching = Watching(site.lab.root)
    try:
        sleep_now(site, "refuse", starts=42)
        wait_for_rest(site)
        status, answer, headers = ask(site, path)
        assert (status, headers["Retry-After"], headers["X-Toolkit-Error"]) == (
            503,
            "42",
            "model_asleep",
        )
        assert answer["error"]["message"] == "This model sleeps; its operator wakes it."
        assert answer["error"]["type"] == shape["type"]
        watching.look_on()
        assert not slot.runs
        # a command wakes it: now the answer says when
        due = int(time.time()) + 20
        site.lab.apply(with_wake(site.lab.routes, "tiny", due))
        most = due - time.time()
        seconds = int(ask(site, path)[2]["Retry-After"] or 0)
        least = due - time.time()
        said = ask(site, path)[1]
        assert "error" not in said or "sleeps and is being started" in said["error"]["message"]
        # The clock of a router may be a second late.
        assert least - 1 <= seconds <= most + 2 or ask(site, path)[0] == 200
        until(lambda: ask(site, path)[0] == 200)
        # What the watch writes last would come from the routes before those of the next sleep.
        until(lambda: "tiny is awake" in watching.said)
        site.lab.routes = Routes.from_json(site.lab.observe()["routes"])
        # another sleep, whose requests are refused and wake it
        site.lab.apply(with_sleep(site.lab.routes, "tiny", Sleep("b2", "wake", 9), 0))
        wait_for_rest(site)
        status, answer, headers = ask(site, path)
        assert (status, headers["Retry-After"]) == (503, "9")
        assert answer["error"]["message"].startswith("This model sleeps and was asked to wake;")
        until(lambda: ask(site, path)[0] == 200)
    finally:
        watching.stop()


def test_a_request_that_waits_in_vain_is_told_so(site: Site, slot: Slot) -> None:
    # nobody watches
    sleep_now(site, "wait", hold=1)
    slot.stop()
    site.blue.ill = True
    status, answer, headers = ask(site)
    assert (status, headers["Retry-After"], headers["X-Toolkit-Error"]) == (
        503,
        "5",
        "not_awake_in_time",
    )
    assert "slept and was not up in time" in answer["error"]["message"]
    # Three usual starts or two minutes after its start began, a refusal is no longer that of a model that sleeps.
    # One whose start seems to lie ahead, by a clock that was set meanwhile, is up after a usual start.
    for since, wait, code in (
        (100, "5", "model_asleep"),
        (140, "5", "not_awake_in_time"),
        (-3600, "9", "model_asleep"),
    ):
        (route,) = site.lab.routes.routes
        waking = Sleep("a1", "wake", 9, due=int(time.time()) - since + 9)
        site.lab.apply(replace(site.lab.routes, routes=(replace(route, sleep=waking, hold=0),)))
        status, _, headers = ask(site)
        assert (status, headers["Retry-After"], headers["X-Toolkit-Error"]) == (503, wait, code)
