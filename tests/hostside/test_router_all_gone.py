"""All replicas that serve end at once, on every host of a fleet: the standbys take over, and few requests notice."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.hostside.router_lab import Backend, Lab, free_port, labs, until
from toolkit.planning.routing.edits import with_model
from toolkit.planning.routing.routes import Routes, Target

PATH = "/v1/completions"
NAMES = ("a", "b", "c")
SLOTS = ("blue", "green")


@dataclass
class Fleet:
    """Hosts that each have a replica with traffic in slot blue, and its standby in green."""

    routers: dict[str, Lab]
    engines: dict[str, Backend]

    def end_serving(self) -> None:
        """Take the replicas with traffic away, on all hosts at once."""
        ending = [threading.Thread(target=self.engines[f"{at}.blue"].stop) for at in NAMES]
        for each in ending:
            each.start()
        for each in ending:
            each.join()


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    relays = {name: f"127.0.0.{place}:{free_port()}" for place, name in enumerate(NAMES, 2)}
    with contextlib.ExitStack() as stack:
        engines = {f"{at}.{slot}": Backend(f"{at}.{slot}") for at in NAMES for slot in SLOTS}
        for engine in engines.values():
            stack.callback(_end, engine)

        def target(at: str, slot: str) -> Target:
            port, serves = engines[f"{at}.{slot}"].port, slot == "blue"
            return Target(slot, port, 100 * serves, at, relays[at], standby=not serves)

        targets = tuple(target(at, slot) for at in NAMES for slot in SLOTS)
        routes = with_model(Routes(), "tiny", targets, created=1)
        routers = stack.enter_context(labs(relays, routes))
        for router in routers.values():
            router.up("tiny", *engines)
        yield Fleet(routers, engines)


def _end(engine: Backend) -> None:
    with contextlib.suppress(OSError):
        engine.stop()


def test_each_replica_that_is_gone_costs_a_router_few_requests_until_a_standby_serves(
    fleet: Fleet,
) -> None:
    results: list[tuple[int, str]] = []
    stopped = threading.Event()

    def ask() -> None:
        while not stopped.is_set():
            status, answer, _ = fleet.routers["a"].ask(PATH, {"model": "tiny"})
            results.append((status, answer["slot"] if status == 200 else answer["error"]["code"]))

    asking = [threading.Thread(target=ask) for _ in range(4)]
    for each in asking:
        each.start()
    until(lambda: len(results) > 100)
    fleet.end_serving()
    until(lambda: sum(slot.endswith(".green") for _, slot in list(results)) > 200)
    stopped.set()
    for each in asking:
        each.join()
    # Four requests at a time, and two replicas on other hosts: without a mark they were refused by hundreds.
    assert sum(word == "no_replica" for _, word in results) <= 8
    assert {slot for status, slot in results[-100:] if status == 200} == {
        f"{at}.green" for at in NAMES
    }


def test_a_replica_that_was_missed_for_a_moment_serves_again(fleet: Fleet) -> None:
    for at in NAMES[:2]:
        fleet.engines[f"{at}.blue"].stop()
    gone = fleet.engines["c.blue"]
    gone.stop()
    until(lambda: fleet.routers["a"].ask(PATH, {"model": "tiny"})[0] == 200)
    fleet.engines["c.blue"] = Backend("c.blue", gone.port)
    until(lambda: fleet.routers["a"].ask(PATH, {"model": "tiny"})[1]["slot"] == "c.blue")
    fleet.engines["c.blue"].stop()


def test_an_engine_that_says_what_a_relay_says_is_asked_once_and_stays(fleet: Fleet) -> None:
    for at in NAMES[:2]:
        fleet.engines[f"{at}.blue"].stop()
    engine = fleet.engines["c.blue"]
    router = fleet.routers["a"]
    until(lambda: not router.observe()["servers"]["tiny"]["b.blue"]["up"])
    engine.failing, engine.fails_with = True, 425
    before = len(engine.keys)
    status, answer, headers = router.ask(PATH, {"model": "tiny"})
    assert (status, answer["slot"], headers["X-Toolkit-Slot"]) == (503, "c.blue", "c.blue")
    assert len(engine.keys) == before + 1
    engine.failing = False
    assert router.ask(PATH, {"model": "tiny"})[1]["slot"] == "c.blue"
