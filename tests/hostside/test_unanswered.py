"""Requests that a replica loses on kept connections: they count, whether or not the router answers them."""

from __future__ import annotations

import contextlib
import http.client
import sys
import threading
from pathlib import Path

import pytest

from tests.hostside.router_lab import REPO, router_socket, until
from tests.hostside.router_site import PATH, Site
from tests.hostside.test_tally_log import Log, log

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import unanswered
from guard_traffic import Meter

__all__ = ["log"]
BODY = b'{"model":"tiny"}'


def lost(site: Site, count: int) -> int:
    """Lose requests, each the second one of its connection; return how many of them got no answer."""
    closed = 0
    for _ in range(count):
        connection = http.client.HTTPConnection("127.0.0.1", site.lab.port, timeout=20)
        with contextlib.closing(connection):
            connection.request("POST", PATH, BODY)
            assert connection.getresponse().read()
            site.blue.broken = True
            connection.request("POST", PATH, BODY)
            try:
                assert connection.getresponse().status == 502
            except http.client.RemoteDisconnected:
                closed += 1
            finally:
                site.blue.broken = False
    return closed


def test_a_request_without_an_answer_counts_once(site: Site) -> None:
    before = lost(site, 2)
    counting = unanswered.Unanswered(str(site.lab.root))
    # What was before the watch began is not known to be new.
    assert counting.look() == {}
    closed = lost(site, 3)
    # One that has its 502, one whose client left, and one that is under way have an answer, or need none.
    site.blue.broken = True
    assert site.lab.ask(PATH, {"model": "tiny"})[0] == 502
    site.blue.broken = False
    client = http.client.HTTPConnection("127.0.0.1", site.lab.port, timeout=20)
    client.request("POST", PATH, BODY)
    assert client.getresponse().read()
    site.blue.last = ("", b"")
    client.request("POST", PATH, b'{"model":"tiny","gated":true}')
    until(lambda: site.blue.last[1])
    client.close()
    until(lambda: [each for each in site.lab.requests() if each["status"] == 499])
    gated = threading.Thread(target=site.lab.ask, args=(PATH, {"model": "tiny", "gated": True}))
    site.blue.last = ("", b"")
    gated.start()
    until(lambda: site.blue.last[1])
    found = [counting.look() for _ in range(3)]
    assert sum(each.get("tiny", 0) for each in found) == closed
    lines = [each for each in site.lab.requests() if each["status"] == 502]
    assert len(lines) + before + closed == 6
    # A worker that comes with a reload counts from 0.
    site.reload()
    closed = lost(site, 1)
    found = [counting.look() for _ in range(3)]
    assert sum(each.get("tiny", 0) for each in found) == closed
    site.blue.turns.release(2)
    gated.join(20)


def test_it_counts_against_the_release(site: Site) -> None:
    meter = Meter(str(site.lab.root))
    meter.read()
    lost(site, 4)
    # Half of the requests were lost, and are counted with one of two looks.
    seen = [meter.read()["tiny", "blue"] for _ in range(3)]
    assert [sum(each) for each in zip(*(look[:3] for look in seen), strict=True)] == [8, 4, 0]
    # A replica that takes no connection has seen none of the requests.
    site.blue.stop()
    for _ in range(3):
        assert site.lab.ask(PATH, {"model": "tiny"})[0] == 503
    seen = [meter.read()["tiny", "blue"] for _ in range(3)]
    assert {look[:2] for look in seen} == {(0, 0)}


def test_a_router_that_does_not_answer_counts_nothing(tmp_path: Path) -> None:
    assert unanswered.Unanswered(str(tmp_path)).look() == {}


def test_an_answer_that_is_none_of_haproxy_counts_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(router_socket, "_ask_worker", lambda *_: "# pxname,stot\nmodel.tiny,x\n")
    assert unanswered.Unanswered(str(site.lab.root)).look() == {}


def test_it_is_in_the_tally_of_its_model(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    new = [{"tiny": 2}, {}, {"tiny": 1}]
    monkeypatch.setattr(unanswered.Unanswered, "look", lambda _: new.pop(0))
    assert log.counts() == {("tiny", 0, "502:replica_broke_off"): 2}
    assert log.counts() == {("tiny", 0, "502:replica_broke_off"): 2}
    assert log.counts() == {("tiny", 0, "502:replica_broke_off"): 3}
