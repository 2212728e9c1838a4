"""A canary gets its share to within chance, at any load, and nothing is lost where it is down or refuses."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.hostside.router_lab import Backend, Lab, free_port, lab, until
from tests.hostside.router_pair import Pair
from tests.hostside.router_site import PATH, Clients, Site
from tests.planning.canary_routes import with_shares
from toolkit.planning.routing.edits import with_model, with_weights
from toolkit.planning.routing.routes import PREFIX, Routes, Target


def give(site: Site, **shares: int) -> bool:
    return bool(site.lab.apply(with_shares(site.lab.routes, "tiny", shares))["reloaded"])


def answers(port: int, count: int, body: object = None) -> Counter[str]:
    """Return how many of `count` requests, one after the other, each slot answered."""
    found, text = Counter[str](), json.dumps({"model": "tiny", **(body or {})})  # type: ignore[dict-item]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    with contextlib.closing(connection):
        for _ in range(count):
            connection.request("POST", PATH, text)
            answer = connection.getresponse()
            answer.read()
            found[answer.headers.get("X-Toolkit-Slot", "") if answer.status == 200 else "bad"] += 1
    return found


def test_a_share_is_drawn_at_one_request_at_a_time_and_changes_without_a_reload(site: Site) -> None:
    # five standard deviations around each share: chance fails one run in a million
    for share, count, low, high in ((100, 1500, 1, 35), (1000, 500, 16, 84), (5000, 300, 106, 194)):
        assert not give(site, green=share)
        site.consistent()
        found = answers(site.lab.port, count)
        assert set(found) == {"blue", "green"}
        assert low <= found["green"] <= high, share
    # a start from the files draws as well
    site.reload()
    assert answers(site.lab.port, 100)["green"] > 20
    assert not give(site, green=0)
    assert answers(site.lab.port, 100) == {"blue": 100}
    site.consistent()


def test_a_canary_that_gets_all_traffic_keeps_its_requests(site: Site) -> None:
    clients = Clients(site.lab.port, short=4, streams=4)
    give(site, green=5000)
    done = site.lab.apply(with_weights(site.lab.routes, "tiny", {"green": 100, "blue": 0}))
    assert not done["reloaded"]
    assert answers(site.lab.port, 30) == {"green": 30}
    # and back, through a share
    site.lab.apply(with_weights(site.lab.routes, "tiny", {"blue": 100, "green": 0}))
    give(site, green=3000)
    give(site, green=0)
    assert set(clients.stop()) == {"short", "stream"}


def test_a_canary_takes_over_where_all_that_served_is_gone(site: Site) -> None:
    """Also the requests that it had drawn were refused, because nothing with a weight was up."""
    give(site, green=1000)
    site.blue.stop()
    assert answers(site.lab.port, 30) == {"green": 30}
    assert site.lab.requests()[-1]["slot"] == "green"
    # What served is back, and the canary has its share again.
    site.blue = Backend("blue", site.blue.port)
    site.lab.up("tiny", "blue")
    assert answers(site.lab.port, 100)["blue"] > 60
    # A share that has ended takes nothing over.
    give(site, green=0)
    site.blue.stop()
    until(lambda: answers(site.lab.port, 5) == {"bad": 5})
    site.consistent()


def test_a_body_that_was_read_elsewhere_is_drawn_too(site: Site) -> None:
    give(site, green=5000)
    found = answers(site.lab.port, 40, {"prompt": "x" * 50_000})
    assert set(found) == {"blue", "green"}
    lines = until(lambda: len(each := site.lab.requests()) >= 40 and each)
    assert {line["slot"] for line in lines[-40:]} == {"blue", "green"}


def test_a_canary_whose_checks_fail_under_load_loses_nothing(site: Site) -> None:
    give(site, green=5000)
    clients = Clients(site.lab.port, short=8, streams=4)
    until(lambda: clients.results["short"] > 100)
    site.green.ill = True
    until(lambda: not site.lab.observe()["servers"]["tiny"]["green"]["up"])
    assert answers(site.lab.port, 50) == {"blue": 50}
    assert set(clients.stop()) == {"short", "stream"}


def test_a_canary_that_dies_under_load_loses_what_it_had_taken(site: Site) -> None:
    give(site, green=5000)
    clients = Clients(site.lab.port, short=8, streams=0)
    until(lambda: clients.results["short"] > 200)
    site.green.stop()
    until(lambda: clients.results["short"] > 600)
    # at most one request of each client, which the system had taken for the canary
    assert sum(count for word, count in clients.stop().items() if word != "short") <= 8
    assert answers(site.lab.port, 50) == {"blue": 50}


def test_the_rest_of_a_kept_connection_goes_to_the_incumbent_after_a_reload(site: Site) -> None:
    give(site, green=10_000)
    kept = http.client.HTTPConnection("127.0.0.1", site.lab.port, timeout=60)
    with contextlib.closing(kept):
        for expected in ("green", "blue"):
            kept.request("POST", PATH, b'{"model":"tiny"}')
            assert json.load(kept.getresponse())["slot"] == expected
            site.reload()


def test_a_conversation_stays_with_its_release_while_the_share_grows(site: Site) -> None:
    route = site.lab.routes.of("tiny")
    assert route is not None
    site.lab.apply(with_model(site.lab.routes, "tiny", route.targets, created=1, routing=PREFIX))
    site.lab.up("tiny", "blue", "green")
    chats = [{"messages": [{"role": "user", "content": f"I am {n}"}]} for n in range(60)]
    canaries: set[int] = set()
    for share in (1000, 5000):
        give(site, green=share)
        found = [answers(site.lab.port, 3, chat) for chat in chats]
        assert all(len(each) == 1 for each in found)
        now = {n for n, each in enumerate(found) if each["green"]}
        assert canaries < now
        canaries = now
    assert 11 <= len(canaries) <= 49
    # the process that reads large bodies names the conversation
    chat = {"messages": [{"role": "user", "content": f"I am {min(canaries)}"}], "x": "y" * 50_000}
    assert answers(site.lab.port, 4, chat) == {"green": 4}
    # what has no beginning is drawn by the request
    assert set(answers(site.lab.port, 60, {})) == {"blue", "green"}


def test_a_conversation_that_a_canary_has_failed_goes_back_until_the_share_changes(
    site: Site,
) -> None:
    route = site.lab.routes.of("tiny")
    assert route is not None
    site.lab.apply(with_model(site.lab.routes, "tiny", route.targets, created=1, routing=PREFIX))
    site.lab.up("tiny", "blue", "green")
    chats = [{"messages": [{"role": "user", "content": f"I am {n}"}]} for n in range(40)]
    give(site, green=5000)
    drawn = [chat for chat in chats if answers(site.lab.port, 1, chat)["green"]]
    failing, well = drawn[0], drawn[1]
    site.green.failing = True
    assert answers(site.lab.port, 4, failing) == {"bad": 1, "blue": 3}
    site.green.failing = False
    # Others stay, and so does this one with the release that serves.
    assert answers(site.lab.port, 3, well) == {"green": 3}
    assert answers(site.lab.port, 3, failing) == {"blue": 3}
    give(site, green=6000)
    assert answers(site.lab.port, 3, failing) == {"green": 3}


# --- a fleet -----------------------------------------------------------------------------------------


@contextlib.contextmanager
def a_fleet() -> Iterator[Pair]:
    """Hosts `a` and `b`, each with an incumbent in blue and a canary in green."""
    addresses = {"a": "127.0.0.2", "b": "127.0.0.3"}
    relays = {name: f"{address}:{free_port()}" for name, address in addresses.items()}
    with contextlib.ExitStack() as stack:
        routers: dict[str, Lab] = {
            name: stack.enter_context(
                lab(name, router_relay_bind=relays[name], router_relays=list(relays.values()))
            )
            for name in addresses
        }
        names = [f"{host}.{slot}" for host in addresses for slot in ("blue", "green")]
        engines = {name: Backend(name) for name in names}
        for engine in engines.values():
            stack.callback(engine.stop)
        targets = tuple(
            Target(slot, engines[f"{host}.{slot}"].port, weight, host, relays[host])
            for host in "ab"
            for slot, weight in (("blue", 100), ("green", 0))
        )
        made = Pair(routers, engines, Routes())
        made.apply(with_model(Routes(), "tiny", targets, created=1))
        for router in routers.values():
            router.up("tiny", *engines)
        yield made


@pytest.fixture
def fleet() -> Iterator[Pair]:
    with a_fleet() as made:
        yield made


def test_every_router_draws_for_the_canaries_of_all_hosts_and_not_for_one_that_is_down(
    fleet: Pair,
) -> None:
    fleet.apply(with_shares(fleet.routes, "tiny", {"a.green": 2000, "b.green": 3000}))
    for router in fleet.routers.values():
        found = answers(router.port, 400)
        assert found.keys() == fleet.engines.keys()
        assert 40 <= found["a.green"] <= 120 and 74 <= found["b.green"] <= 166
    # what a canary of another host refuses goes to an incumbent
    clients = Clients(fleet.routers["a"].port, short=6, streams=0)
    until(lambda: clients.results["short"] > 50)
    fleet.engines["b.green"].stop()
    until(lambda: clients.results["short"] > 200)
    # at most one request of each client, which the system had taken for the canary
    assert sum(count for word, count in clients.stop().items() if word != "short") <= 6
    # nothing new for a canary whose host says so, though its own check is patient
    for router in fleet.routers.values():
        until(lambda router=router: not router.observe()["servers"]["tiny"]["b.green"]["up"])
        found = answers(router.port, 200)
        assert (found["b.green"], found["bad"]) == (0, 0)
        assert found["a.green"] <= 80


def test_a_conversation_that_a_canary_of_another_host_has_failed_goes_back(fleet: Pair) -> None:
    route = fleet.routes.of("tiny")
    assert route is not None
    fleet.apply(with_model(fleet.routes, "tiny", route.targets, created=1, routing=PREFIX))
    for router in fleet.routers.values():
        router.up("tiny", *fleet.engines)
    fleet.apply(with_shares(fleet.routes, "tiny", {"b.green": 5000}))
    chats = [{"messages": [{"role": "user", "content": f"I am {n}"}]} for n in range(40)]
    port = fleet.routers["a"].port
    failing = next(chat for chat in chats if answers(port, 1, chat)["b.green"])
    fleet.engines["b.green"].failing = True
    found = answers(port, 4, failing)
    assert (found["bad"], found["b.green"]) == (1, 0)
