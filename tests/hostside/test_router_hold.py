"""Requests wait in their order while their model is exchanged, within bounds, and none is lost."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.hostside.router_lab import Backend, Lab, until
from tests.hostside.router_site import PATH, Clients, Site, site_of
from tests.pace import Pace
from toolkit.planning.routing.edits import armed, with_hold, with_weights, withheld


def begin(site: Site, patience: int = 60) -> None:
    """Take the traffic from blue, and let requests wait."""
    off = with_weights(site.lab.routes, "tiny", {"blue": 0})
    site.lab.apply(with_hold(off, "tiny", patience))


def exchange(site: Site) -> None:
    """End blue as a swap does, and give the traffic to green."""
    done = site.lab.apply(with_weights(site.lab.routes, "tiny", {"green": 100}))
    assert not done["reloaded"]


class Asked:
    """Requests of their own connections, each with its number; `answers` has (number, status, seconds, answer).

    The seconds are those of the clock, or of a pace.
    """

    def __init__(self, running: Lab, clock: Callable[[], float] = time.monotonic) -> None:
        self.lab, self.clock = running, clock
        self.answers: list[tuple[int, int, float, Any]] = []
        self.threads: list[threading.Thread] = []

    def ask(self, number: int, path: str = PATH, pad: int = 0) -> None:
        self.threads.append(threading.Thread(target=self._ask, args=(number, path, pad)))
        self.threads[-1].start()

    def _ask(self, number: int, path: str, pad: int) -> None:
        began = self.clock()
        body = json.dumps({"model": "tiny", "n": number}).encode() + b" " * pad
        status, answer, headers = self.lab.ask(path, body)
        took = self.clock() - began
        self.answers.append((number, status, took, (answer, headers["Retry-After"])))

    def all(self) -> list[tuple[int, int, float, Any]]:
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive()
        return sorted(self.answers)


@pytest.fixture
def seen(site: Site, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of the requests in the order in which green got them."""
    found: list[int] = []
    former = Backend.__setattr__

    def note(self: Backend, name: str, value: Any) -> None:
        former(self, name, value)
        if (
            name == "last"
            and self.name == "green"
            and value[1].startswith(b'{"model": "tiny", "n"')
        ):
            found.append(json.loads(value[1])["n"])

    monkeypatch.setattr(Backend, "__setattr__", note)
    return found


def test_a_swap_under_load_costs_waiting_and_no_error(
    site: Site, seen: list[int], pace: Pace
) -> None:
    clients = Clients(site.lab.port, short=6, streams=4)
    until(lambda: clients.results["short"] > 50)
    began = pace()
    begin(site)
    asked = Asked(site.lab, pace)
    # of all kinds: short, read by the process for larger bodies, passed on unread
    for number in range(30):
        asked.ask(
            number,
            PATH if number % 3 else f"/m/tiny{PATH}",
            20_000 if number % 5 == 0 else 0,
        )
        time.sleep(0.05)
    # what was running ended in peace, and the old replica can go
    until(lambda: site.lab.observe()["servers"]["tiny"]["blue"]["sessions"] == 0)
    site.blue.stop()
    exchange(site)
    took = pace() - began
    answers = asked.all()
    assert {status for _, status, _, _ in answers} == {200}
    assert {answer["slot"] for _, _, _, (answer, _) in answers} == {"green"}
    # the first waited for longest: for the exchange and a moment
    assert max(waited for _, _, waited, _ in answers) < took + 1.5
    # in the order in which they came; they leave within milliseconds of each other, so neighbours may meet on the way
    assert len(seen) == 30
    apart = [abs(place - number) for place, number in enumerate(seen)]
    # By chance they would be 300 places off together.
    assert sum(apart) <= 120
    # a request that comes later waits for no one
    until(lambda: clients.results["short"] > 200)
    assert set(clients.stop()) == {"short", "stream"}
    site.consistent()


def test_the_undoing_of_a_swap_costs_waiting_and_no_error(site: Site) -> None:
    begin(site)
    site.blue.stop()
    exchange(site)
    clients = Clients(site.lab.port, short=6, streams=4)
    until(lambda: clients.results["short"] > 50)
    done = site.lab.apply(withheld(site.lab.routes, "tiny", "green", 60))
    assert not done["reloaded"]
    asked = Asked(site.lab)
    for number in range(10):
        asked.ask(number)
    until(lambda: site.lab.observe()["servers"]["tiny"]["green"]["sessions"] == 0)
    site.green.stop()
    site.blue = Backend("blue", site.blue.port)
    site.lab.apply(with_weights(site.lab.routes, "tiny", {"blue": 100}))
    answers = asked.all()
    assert {(status, answer["slot"]) for _, status, _, (answer, _) in answers} == {(200, "blue")}
    count = clients.results["short"]
    until(lambda: clients.results["short"] > count + 50)
    assert set(clients.stop()) == {"short", "stream"}
    assert site.lab.routes.routes[0].hold == 0
    site.consistent()


def test_the_waiting_requests_are_no_burst(site: Site, pace: Pace) -> None:
    began, quiet = time.monotonic(), pace()
    begin(site)
    before = site.lab.connections()
    asked, paced = Asked(site.lab), Asked(site.lab, pace)
    for number in range(30):
        (paced if number in (0, 28) else asked).ask(number)
        time.sleep(0.05)
    until(lambda: site.lab.connections() >= before + 30)
    exchange(site)
    took, quiet = time.monotonic() - began, pace() - quiet
    waits = {number: waited for number, _, waited, _ in [*asked.all(), *paced.all()]}
    # they leave in a tenth of the time in which they came: the last waits for a pause and its part of that
    assert waits[0] < quiet + 1.0
    assert 0.25 + 0.05 * took < waits[29]
    assert waits[28] < 1.5


def test_a_patience_that_is_over_is_a_503_that_says_when_to_try_again(
    site: Site, pace: Pace
) -> None:
    begin(site, patience=1)
    asked, paced = Asked(site.lab), Asked(site.lab, pace)
    for pad in (0, 20_000):
        asked.ask(pad, pad=pad)
        paced.ask(pad, pad=pad)
    for _, status, _, (answer, again) in [*asked.all(), *paced.all()]:
        assert (status, answer["error"]["code"], again) == (503, "model_changing", "5")
    assert all(waited > 0.9 for _, _, waited, _ in asked.answers)
    assert all(waited < 2.5 for _, _, waited, _ in paced.answers)
    line = until(lambda: site.lab.requests())[-1]
    assert (line["status"], line["path"]) == (503, PATH)


def test_a_client_that_hangs_up_leaves_the_queue(site: Site) -> None:
    begin(site)
    before = site.lab.connections()
    gone = http.client.HTTPConnection("127.0.0.1", site.lab.port)
    with contextlib.closing(gone):
        gone.request("POST", PATH, b'{"model":"tiny","n":1}')
        until(lambda: site.lab.connections() > before)
        time.sleep(0.1)
    until(lambda: site.lab.requests())
    exchange(site)
    assert site.slot() == "green"
    assert json.loads(site.green.last[1]) == {"model": "tiny"}
    assert (site.green.gone, site.blue.last) == (0, ("", b""))
    line = next(each for each in site.lab.requests() if each["reason"] != "-")
    assert (line["status"], line["reason"]) == (499, "client_left")


@pytest.fixture
def narrow() -> Iterator[Site]:
    with site_of(
        router_held_requests=4, router_held_bytes=120_000, router_client_silence="1s"
    ) as made:
        yield made


def test_requests_and_bytes_that_wait_are_bounded(narrow: Site, pace: Pace) -> None:
    begin(narrow)
    asked = Asked(narrow.lab, pace)
    for number in range(10):
        asked.ask(number)
    until(lambda: len(asked.answers) >= 6)
    # the silence of a client that waits is no reason to cut it
    time.sleep(1.5)
    # two threads with room for two each; how many of these are taken is theirs
    refused = list(asked.answers)
    assert 6 <= len(refused) <= 8
    for _, status, waited, (answer, again) in refused:
        assert (status, answer["error"]["code"], again) == (503, "too_many_waiting", "5")
        assert waited < 1.5
    # of large bodies, none fits beside those of 60,000 bytes a thread
    status, answer, _ = narrow.lab.ask(PATH, b'{"model":"tiny"}' + b" " * 70_000)
    assert (status, answer["error"]["code"]) == (503, "too_many_waiting")
    exchange(narrow)
    assert {status for _, status, _, _ in asked.all()} == {200, 503}
    assert sum(status == 200 for _, status, _, _ in asked.answers) == 10 - len(refused)


def test_a_body_that_is_read_elsewhere_waits_for_as_long_as_any_other() -> None:
    # Silence ends a request to a replica, and one that waits has none yet.
    with site_of(router_idle_timeout="1s") as site:
        begin(site)
        asked = Asked(site.lab)
        for number, pad in enumerate((0, 20_000, 2_000_000)):
            asked.ask(number, pad=pad)
        time.sleep(3)
        assert asked.answers == []
        exchange(site)
        assert [status for _, status, _, _ in asked.all()] == [200, 200, 200]


def test_a_worker_left_behind_ends_its_holds_too(site: Site) -> None:
    begin(site)
    until(lambda: site.lab.observe()["workers"] == 1)
    before = site.lab.connections()
    asked = Asked(site.lab)
    asked.ask(1)
    until(lambda: site.lab.connections() > before)
    time.sleep(0.1)
    site.reload()
    # the new worker lets requests wait as well
    asked.ask(2)
    time.sleep(0.3)
    assert asked.answers == []
    assert site.lab.observe()["workers"] == 2
    exchange(site)
    found = asked.all()
    assert [(number, status) for number, status, _, _ in found] == [(1, 200), (2, 200)]
    assert {answer["slot"] for _, _, _, (answer, _) in found} == {"green"}


def test_a_start_from_the_files_lets_requests_wait(site: Site) -> None:
    begin(site, patience=20)
    site.lab.kill()
    site.lab.start()
    site.lab.up("tiny", "blue", "green")
    asked = Asked(site.lab)
    asked.ask(1)
    time.sleep(0.3)
    assert asked.answers == []
    exchange(site)
    assert [status for _, status, _, _ in asked.all()] == [200]


def test_requests_wait_for_an_undoing_from_the_death_of_the_only_replica_on(
    site: Site, pace: Pace
) -> None:
    """After a swap nothing serves beside the new release: its death in the bake is found before its undoing begins."""
    begin(site)
    site.blue.stop()
    ready = with_weights(site.lab.routes, "tiny", {"green": 100})
    site.lab.apply(armed(ready, "tiny", 60))
    assert site.slot() == "green"
    began = pace()
    site.green.stop()
    asked = Asked(site.lab, pace)
    for number in range(20):
        asked.ask(number, pad=20_000 if number % 5 == 0 else 0)
        time.sleep(0.05)
    site.lab.apply(withheld(site.lab.routes, "tiny", "green", 60))
    for number in range(20, 25):
        asked.ask(number)
        time.sleep(0.05)
    site.blue = Backend("blue", site.blue.port)
    site.lab.apply(with_weights(site.lab.routes, "tiny", {"blue": 100}))
    took = pace() - began
    answers = asked.all()
    assert [status for _, status, _, _ in answers] == [200] * 25
    assert max(waited for _, _, waited, _ in answers) < took + 1.5
    site.consistent()


def test_requests_wait_no_longer_than_their_patience_for_a_replica_that_has_died(
    site: Site,
) -> None:
    site.lab.apply(armed(site.lab.routes, "tiny", 1))
    site.blue.stop()
    until(lambda: site.lab.ask(PATH, {"model": "tiny"})[1].get("error"))
    asked = Asked(site.lab)
    asked.ask(1)
    ((_, status, waited, (answer, after)),) = asked.all()
    assert (status, answer["error"]["code"], after) == (503, "model_changing", "5")
    assert waited >= 1
    # It starts again by itself: they go on, and nothing waits any more.
    site.lab.apply(armed(site.lab.routes, "tiny", 60))
    asked = Asked(site.lab)
    for number in range(5):
        asked.ask(number)
    time.sleep(0.5)
    site.blue = Backend("blue", site.blue.port)
    assert {status for _, status, _, _ in asked.all()} == {200}
    site.lab.apply(armed(site.lab.routes, "tiny", 0))
    assert site.slot() == "blue"
    site.consistent()


def test_a_router_that_starts_before_the_replica_of_a_bake_lets_requests_wait(site: Site) -> None:
    """After a boot each server counts as up until its first check, and the files know no time."""
    site.lab.apply(armed(site.lab.routes, "tiny", 60))
    site.blue.stop()
    site.reload()
    asked = Asked(site.lab)
    for number in range(10):
        asked.ask(number, pad=20_000 if number % 5 == 0 else 0)
        time.sleep(0.02)
    time.sleep(1)
    site.blue = Backend("blue", site.blue.port)
    assert {status for _, status, _, _ in asked.all()} == {200}
    site.lab.apply(armed(site.lab.routes, "tiny", 0))
    assert site.slot() == "blue"
