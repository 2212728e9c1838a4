"""A standby takes the traffic by itself when the replica that serves is gone, and answers carry its label."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.hostside.router_lab import REPO, router_socket, router_view, until
from tests.hostside.router_site import PATH, Clients, Site
from tests.hostside.test_router_log import put_manifest
from tests.pace import Pace
from toolkit.planning.routing.edits import with_model
from toolkit.planning.routing.routes import Routes

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import replica


def standing_by(routes: Routes) -> Routes:
    """Return the routes in which each target of `tiny` without traffic is a standby."""
    route = routes.of("tiny")
    assert route is not None
    targets = tuple(replace(each, standby=not each.weight) for each in route.targets)
    return with_model(routes, "tiny", targets, created=1)


def test_a_standby_takes_over_and_loses_nothing_that_was_not_under_way(
    site: Site, pace: Pace
) -> None:
    done = site.lab.apply(standing_by(site.lab.routes))
    assert (done["reloaded"], site.lab.observe()["drift"]) == (False, [])
    clients = Clients(site.lab.port, short=8, streams=0)
    until(lambda: clients.results["short"] > 100)
    site.blue.stop()
    site.blue.cut()
    died = pace()
    until(lambda: site.slot() == "green")
    assert pace() - died < 1.0
    served = clients.results["short"]
    until(lambda: clients.results["short"] > served + 200)
    results = clients.stop()
    # a request that the replica was computing is lost with it: at most one of each client
    assert sum(count for word, count in results.items() if word != "short") <= 8
    asked = site.lab.ask(PATH, {"model": "tiny"})
    assert (asked[0], asked[2]["X-Toolkit-Slot"]) == (200, "green")
    until(lambda: [each["slot"] for each in site.lab.requests()[-1:]] == ["green"])


def test_a_replica_that_is_no_standby_gets_nothing(site: Site) -> None:
    """A new release that has not passed its gate stands in a slot with weight 0, too."""
    site.blue.stop()
    assert until(lambda: (asked := site.lab.ask(PATH, {"model": "tiny"}))[0] == 503 and asked)
    time.sleep(0.3)
    assert site.lab.ask(PATH, {"model": "tiny"})[0] == 503


def test_the_requests_of_a_standby_that_took_over_are_counted_as_its_own(site: Site) -> None:
    site.lab.apply(standing_by(site.lab.routes))
    site.blue.stop()
    until(lambda: site.slot() == "green")
    clients = Clients(site.lab.port, short=0, streams=3)
    root = str(site.lab.root)
    # Between two streams of a client there are fewer for a moment.
    until(lambda: router_view.sessions(root, "tiny", "green") == 3)
    until(lambda: site.lab.observe()["servers"]["tiny"]["green"]["sessions"] == 3)
    facts = site.lab.observe()
    assert set(facts["servers"]["tiny"]) == {"blue", "green"}
    assert facts["servers"]["tiny"]["green"]["weight"] == 0
    clients.stop()


def test_a_switch_with_a_standby_needs_no_reload(site: Site) -> None:
    site.lab.apply(standing_by(site.lab.routes))
    clients = Clients(site.lab.port, short=4, streams=4)
    for gaining in ("green", "blue"):
        route = site.lab.routes.of("tiny")
        assert route is not None
        targets = tuple(
            replace(each, weight=100 * (each.slot == gaining), standby=each.slot != gaining)
            for each in route.targets
        )
        done = site.lab.apply(with_model(site.lab.routes, "tiny", targets, created=1))
        assert not done["reloaded"]
        assert site.slot() == gaining
        site.consistent()
    assert set(clients.stop()) == {"short", "stream"}


@pytest.mark.parametrize("reload", [False, True], ids=["by commands", "by a reload"])
def test_the_first_answer_after_a_switch_has_the_new_label(
    site: Site, monkeypatch: pytest.MonkeyPatch, reload: bool
) -> None:
    directory = site.lab.root / "slots" / "tiny-green"
    directory.mkdir(parents=True)
    manifest = {"model": "tiny", "slot": "green", "release": {"version": "v2", "number": 2}}
    (directory / "manifest.json").write_text(json.dumps(manifest))
    answers = []

    def look(function: Callable[..., Any]) -> Callable[..., Any]:
        def looking(*given: Any) -> Any:
            done = function(*given)
            answers.append(site.lab.ask(PATH, {"model": "tiny"})[2])
            return done

        return looking

    # after each command, and right after the reload
    monkeypatch.setattr(router_socket, "reload", look(router_socket.reload))
    monkeypatch.setattr(router_socket, "_ask_worker", look(router_socket._ask_worker))
    route = site.lab.routes.of("tiny")
    assert route is not None
    targets = tuple(replace(each, weight=100 * (each.slot == "green")) for each in route.targets)
    routing = "prefix" if reload else None
    new = with_model(site.lab.routes, "tiny", targets, created=1, routing=routing)
    assert site.lab.apply(new)["reloaded"] is reload
    found = {(each["X-Toolkit-Slot"], each["X-Toolkit-Version"]) for each in answers}
    assert found == {("green", "v2"), ("blue", None)}


def test_a_new_replica_has_its_label_before_the_routes_change_on_its_host(site: Site) -> None:
    # The router of another host may be the first that changes.
    put_manifest(site, "green", "v1", 1)
    site.shift(blue=99)
    put_manifest(site, "green", "v2", 2)
    waited = {"root": str(site.lab.root), "program": "tiny-green", "port": site.green.port}
    assert replica.wait_ready({**waited, "timeout": 20}, lambda _: None)["ready"]
    (pid,) = router_socket.processes(site.lab.directory)["current"]
    weights = [f"set server model.tiny/{each}" for each in ("green weight 100", "blue weight 0")]
    router_socket.tell(site.lab.directory, pid, weights)
    headers = site.lab.ask(PATH, {"model": "tiny"})[2]
    assert (headers["X-Toolkit-Slot"], headers["X-Toolkit-Version"]) == ("green", "v2")


def test_an_answer_that_a_replica_broke_off_has_its_label(site: Site) -> None:
    directory = site.lab.root / "slots" / "tiny-blue"
    directory.mkdir(parents=True)
    manifest = {"model": "tiny", "slot": "blue", "release": {"version": "v1", "number": 1}}
    (directory / "manifest.json").write_text(json.dumps(manifest))
    site.shift(blue=99)
    site.blue.broken = True
    status, _, headers = site.lab.ask(PATH, {"model": "tiny"})
    assert (status, headers["X-Toolkit-Slot"], headers["X-Toolkit-Version"]) == (502, "blue", "v1")
    line = until(lambda: [each for each in site.lab.requests() if each["status"] == 502])[-1]
    assert (line["slot"], line["version"], line["release"]) == ("blue", "v1", 1)
