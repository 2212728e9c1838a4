"""A target that its host withdraws gets nothing new from any router, and nothing is lost; no command need be alive."""

from __future__ import annotations

import json
import shutil
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.hostside.router_lab import REPO, Lab, until
from tests.hostside.router_pair import Pair
from tests.hostside.router_site import PATH, Clients, Site
from tests.hostside.test_router_share import a_fleet, answers
from tests.pace import Pace
from tests.planning.canary_routes import with_shares
from toolkit.planning.routing.agreement import settled
from toolkit.planning.routing.edits import with_model, with_weights
from toolkit.planning.routing.routes import Route, Routes, Target

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import watch
import withdraw


def put_release(lab: Lab, slot: str, number: int) -> None:
    directory = lab.root / "slots" / f"tiny-{slot}"
    directory.mkdir(parents=True, exist_ok=True)
    release = {"version": f"v{number}", "number": number}
    manifest = {"model": "tiny", "slot": slot, "port": 1, "release": release}
    (directory / "manifest.json").write_text(json.dumps(manifest))


def shifted(routes: Routes) -> Routes:
    """Return the routes in which green has all traffic, and blue stands by."""
    route = routes.of("tiny")
    assert route is not None
    targets = tuple(
        replace(each, weight=100 * (each.slot == "green"), standby=each.slot == "blue", share=0)
        for each in route.targets
    )
    return with_model(replace(routes, serial=routes.serial + 1), "tiny", targets, created=1)


def _all_that_answer(port: int, count: int) -> set[str]:
    """Return the replicas that answer 40 requests or more, until `count` of them have answered.

    While streams keep one replica busy, the other one may answer every short request.
    """
    found = set[str]()
    until(lambda: found.update(answers(port, 40)) or len(found) >= count)
    return found


def own_routes(lab: Lab) -> Routes:
    return Routes.from_json(lab.observe()["routes"])


# --- one host ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", ["share", "bake"])
def test_a_withdrawn_target_gets_nothing_more_and_nothing_is_lost(
    site: Site, phase: str, pace: Pace
) -> None:
    put_release(site.lab, "blue", 1)
    put_release(site.lab, "green", 2)
    if phase == "share":
        site.lab.apply(with_shares(site.lab.routes, "tiny", {"green": 5000}))
    else:
        site.lab.apply(shifted(site.lab.routes))
    serial = site.lab.routes.serial
    clients = Clients(site.lab.port, short=6, streams=3)
    until(lambda: clients.results["short"] > 50)
    began = pace()
    done = withdraw.withdraw(str(site.lab.root), "tiny", "green")
    assert pace() - began < 1
    assert done["withdrawn"] and not done["why"]
    assert answers(site.lab.port, 50) == {"blue": 50}
    assert set(clients.stop()) == {"short", "stream"}
    found = own_routes(site.lab)
    assert (found.serial, found.routes[0].main()) == (serial + 1, "blue")
    assert found.routes[0].targets[1] == Target("green", site.green.port, withdrawn=True)
    # it survives a reload, and the same again changes nothing
    site.reload()
    assert answers(site.lab.port, 20) == {"blue": 20}
    assert withdraw.withdraw(str(site.lab.root), "tiny", "green")["withdrawn"]
    assert own_routes(site.lab) == found
    # files are those that an ops machine would write
    site.lab.routes = found
    assert site.files()["backends.cfg"] and site.lab.observe()["drift"] == []
    assert site.lab.apply(found)["changed"] == []


def test_a_withdrawn_release_comes_back_by_no_command_that_does_not_know(site: Site) -> None:
    put_release(site.lab, "green", 2)
    site.lab.apply(with_shares(site.lab.routes, "tiny", {"green": 100}))
    before = site.lab.routes
    withdraw.withdraw(str(site.lab.root), "tiny", "green")
    for unaware in (
        with_shares(before, "tiny", {"green": 1000}),
        with_weights(before, "tiny", {"green": 100, "blue": 0}),
        before,
    ):
        assert site.lab.apply(unaware) == {"withdrawn": {"target": "tiny/green", "number": 2}}
    assert answers(site.lab.port, 20) == {"blue": 20}
    # another release in the slot is none of it
    put_release(site.lab, "green", 3)
    site.lab.apply(shifted(before))
    assert site.slot() == "green"
    # nor is the same release, once routes gave it nothing
    withdraw.withdraw(str(site.lab.root), "tiny", "green")
    site.lab.apply(with_shares(before, "tiny", {"green": 0}))
    site.lab.apply(with_shares(before, "tiny", {"green": 10_000}))
    assert site.slot() == "green"


def test_the_last_replica_of_a_model_is_not_withdrawn(site: Site) -> None:
    site.lab.apply(shifted(site.lab.routes))
    site.blue.stop()
    until(lambda: not site.lab.observe()["servers"]["tiny"]["blue"]["up"])
    before = site.files()
    done = withdraw.withdraw(str(site.lab.root), "tiny", "green")
    assert done == {"withdrawn": False, "to": "", "why": "no other replica of tiny is up"}
    assert site.files() == before
    assert not withdraw.withdraw(str(site.lab.root), "tiny", "red")["withdrawn"]
    assert not withdraw.withdraw(str(site.lab.root), "big", "green")["withdrawn"]


def test_a_withdrawal_that_was_killed_before_the_workers_knew_is_completed(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.lab.apply(shifted(site.lab.routes))
    with monkeypatch.context() as patch:
        patch.setattr(withdraw.reweigh.router, "tell", _killed)
        with pytest.raises(KeyboardInterrupt):
            withdraw.withdraw(str(site.lab.root), "tiny", "green")
    assert own_routes(site.lab).routes[0].targets[1].withdrawn
    assert site.slot() == "green"
    assert withdraw.withdraw(str(site.lab.root), "tiny", "green")["withdrawn"]
    assert site.slot() == "blue"


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_router_that_is_down_starts_without_the_withdrawn_target(site: Site) -> None:
    site.lab.apply(with_shares(site.lab.routes, "tiny", {"green": 10_000}))
    routes = own_routes(site.lab).as_json()
    site.lab.kill()
    withdraw.reweigh.reweigh(
        str(site.lab.root), lambda present: withdraw.withdrawn(present, "tiny", "green")
    )
    assert routes != own_routes(site.lab).as_json()
    site.lab.start()
    site.lab.up("tiny", "blue")
    assert site.slot() == "blue"


# --- a fleet -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def standing() -> Iterator[Pair]:
    with a_fleet() as made:
        for lab in made.routers.values():
            (lab.root / "slots").mkdir()
        yield made


@pytest.fixture
def fleet(standing: Pair) -> Pair:
    """The two hosts as they were at first: all traffic on the slots blue."""
    route = standing.routes.routes[0]
    targets = tuple(
        Target(each.slot, each.port, 100 * (each.slot == "blue"), each.host, each.relay)
        for each in route.targets
    )
    standing.apply(with_model(Routes(serial=standing.routes.serial), "tiny", targets, created=1))
    for engine in standing.engines.values():
        engine.broken = False
    for lab in standing.routers.values():
        shutil.rmtree(lab.root / "slots")
        (lab.root / "slots").mkdir()
        until(lambda lab=lab: not _withdrawn(lab))
        lab.up("tiny", *(each.name for each in targets))
    return standing


@pytest.fixture
def watches(fleet: Pair) -> dict[str, watch.Watch]:
    return {name: watch.Watch(str(lab.root), 2.0, 30.0) for name, lab in fleet.routers.items()}


def test_every_router_follows_a_withdrawal_at_once_and_with_no_command(
    fleet: Pair, watches: dict[str, watch.Watch]
) -> None:
    put_release(fleet.routers["b"], "blue", 1)
    put_release(fleet.routers["b"], "green", 2)
    fleet.apply(shifted(fleet.routes))
    clients = [Clients(lab.port, short=4, streams=2) for lab in fleet.routers.values()]
    until(lambda: all(each.results["short"] > 50 for each in clients))
    root = str(fleet.routers["b"].root)
    assert withdraw.withdraw(root, "tiny", "green") == {
        "withdrawn": True,
        "to": "blue",
        "why": "",
    }
    # the routes of host a do not know yet: the relay of host b hands its requests to the slot beside
    found = set[tuple[str | None, str | None]]()

    def asked() -> bool:
        each = [fleet.routers["a"].ask(PATH, {"model": "tiny"})[2] for _ in range(40)]
        found.update((one["X-Toolkit-Slot"], one["X-Toolkit-Version"]) for one in each)
        return len(found) > 1

    until(asked)
    assert found == {("a.green", None), ("b.blue", "v1")}
    assert own_routes(fleet.routers["a"]).serial == fleet.routes.serial
    # and then they do
    done = until(watches["a"].look)
    assert done == ["b.green of tiny was withdrawn by its host"]
    assert own_routes(fleet.routers["a"]) == own_routes(fleet.routers["b"])
    assert own_routes(fleet.routers["a"]).serial == fleet.routes.serial + 1
    for lab in fleet.routers.values():
        assert _all_that_answer(lab.port, 2) == {"a.green", "b.blue"}
        assert lab.observe()["drift"] == []
    assert [watches["a"].look() for _ in range(5)] == [[]] * 5
    for each in clients:
        assert set(each.stop()) == {"short", "stream"}


def test_two_hosts_that_withdraw_at_once_agree_afterwards(
    fleet: Pair, watches: dict[str, watch.Watch]
) -> None:
    fleet.apply(shifted(fleet.routes))
    roots = [str(lab.root) for lab in fleet.routers.values()]
    threads = [
        threading.Thread(target=withdraw.withdraw, args=(root, "tiny", "green")) for root in roots
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for lab in fleet.routers.values():
        assert _all_that_answer(lab.port, 2) == {"a.blue", "b.blue"}
    # an ops machine that looks now finds both, though each router knows of its own alone
    known = {name: own_routes(lab) for name, lab in fleet.routers.items()}
    agreed = settled(known)
    assert [each.name for each in agreed.routes[0].targets if each.withdrawn] == [
        "a.green",
        "b.green",
    ]
    assert {each.name for each in agreed.routes[0].targets if each.weight} == {"a.blue", "b.blue"}
    for each in watches.values():
        until(each.look)
    after = [own_routes(lab) for lab in fleet.routers.values()]
    assert after[0] == after[1]
    assert after[0].serial == fleet.routes.serial + 2
    assert after[0].routes == agreed.routes


def test_a_canary_of_another_host_that_was_withdrawn_is_drawn_no_more(
    fleet: Pair, watches: dict[str, watch.Watch]
) -> None:
    fleet.apply(with_shares(fleet.routes, "tiny", {"b.green": 5000}))
    clients = Clients(fleet.routers["a"].port, short=4, streams=2)
    until(lambda: clients.results["short"] > 20)
    assert withdraw.withdraw(str(fleet.routers["b"].root), "tiny", "green")["to"] == "blue"
    assert _all_that_answer(fleet.routers["a"].port, 2) == {"a.blue", "b.blue"}
    until(watches["a"].look)
    assert own_routes(fleet.routers["a"]).routes[0].targets[3].share == 0
    assert _all_that_answer(fleet.routers["a"].port, 2) == {"a.blue", "b.blue"}
    assert set(clients.stop()) == {"short", "stream"}


def test_a_withdrawn_target_without_a_slot_beside_it_leaves_its_part_to_other_hosts(
    fleet: Pair, watches: dict[str, watch.Watch]
) -> None:
    fleet.apply(with_weights(fleet.routes, "tiny", {"b.blue": 0, "b.green": 100}))
    clients = Clients(fleet.routers["a"].port, short=4, streams=0)
    until(lambda: clients.results["short"] > 20)
    done = withdraw.withdraw(str(fleet.routers["b"].root), "tiny", "green")
    assert done == {"withdrawn": True, "to": "", "why": ""}
    for lab in fleet.routers.values():
        assert answers(lab.port, 40) == {"a.blue": 40}
    assert set(clients.stop()) == {"short"}


def test_of_hosts_that_serve_alone_one_withdraws_after_the_other_and_the_last_one_keeps_its_target(
    fleet: Pair,
) -> None:
    weights = {"a.blue": 0, "a.green": 100, "b.blue": 0, "b.green": 100}
    fleet.apply(with_weights(fleet.routes, "tiny", weights))
    a, b = (str(fleet.routers[name].root) for name in "ab")
    assert (withdraw.ahead(a, "tiny", "green"), withdraw.ahead(b, "tiny", "green")) == (0, 1)
    assert withdraw.withdraw(a, "tiny", "green")["withdrawn"]
    until(lambda: withdraw.ahead(b, "tiny", "green") == 0)
    assert withdraw.withdraw(b, "tiny", "green")["why"] == "no other replica of tiny is up"
    assert _all_that_answer(fleet.routers["a"].port, 1) == {"b.green"}


def test_a_host_with_a_standby_beside_its_target_waits_for_no_other_host(fleet: Pair) -> None:
    fleet.apply(shifted(fleet.routes))
    roots = [str(lab.root) for lab in fleet.routers.values()]
    assert [withdraw.ahead(root, "tiny", "green") for root in roots] == [0, 0]


def test_a_share_goes_back_before_any_turn_also_where_the_replica_beside_it_is_down(
    fleet: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.apply(with_shares(fleet.routes, "tiny", {"b.green": 5000}))
    up = {"tiny": {"a.blue": True, "b.blue": False, "b.green": True}}
    monkeypatch.setattr(withdraw.takeover, "seen_up", lambda _: up)
    assert withdraw.ahead(str(fleet.routers["b"].root), "tiny", "green") == 0


def test_a_command_that_holds_the_lock_changes_the_routes_itself(
    fleet: Pair, watches: dict[str, watch.Watch], monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.apply(shifted(fleet.routes))
    withdraw.withdraw(str(fleet.routers["b"].root), "tiny", "green")
    until(lambda: _withdrawn(fleet.routers["a"]) == {"tiny": {"b.green": withdraw.CODE}})
    monkeypatch.setattr(watch.deployment_lock, "read", lambda _: {"held": True, "owner": {}})
    assert [watches["a"].look() for _ in range(5)] == [[]] * 5
    assert own_routes(fleet.routers["a"]) == fleet.routes


def _withdrawn(lab: Lab) -> dict[str, dict[str, str]]:
    """Return which targets other hosts call withdrawn, as the router learned it."""
    return withdraw.codes_of(lab.directory)


def test_requests_that_were_handed_on_have_a_line_where_they_were_answered(fleet: Pair) -> None:
    put_release(fleet.routers["b"], "blue", 4)
    b = fleet.routers["b"]
    before, at_the_door = len(b.requests("handed-on ")), len(b.requests())
    fleet.apply(with_weights(fleet.routes, "tiny", {"a.blue": 0}))
    answers(fleet.routers["a"].port, 3)
    answers(fleet.routers["b"].port, 2)
    fleet.engines["b.blue"].broken = True
    assert fleet.routers["a"].ask(PATH, {"model": "tiny"})[0] == 502
    found = until(lambda: len(each := b.requests("handed-on ")[before:]) == 4 and each)
    # The router logs a request once it has ended, in whichever order.
    assert sorted(each["status"] for each in found) == [200, 200, 200, 502]
    assert {(each["model"], each["slot"], each["version"], each["release"]) for each in found} == {
        ("tiny", "b.blue", "v4", 4)
    }
    assert set(found[0]["ms"]) == {"request", "connect", "first_byte", "total"}
    # one line for each request in the access log: at the door where it came in
    until(lambda: len(b.requests()) >= at_the_door + 2)
    assert len(b.requests()) == at_the_door + 2


# --- decisions ---------------------------------------------------------------------------------------


def _routes(serial: int, **weights: int) -> Routes:
    targets = tuple(
        Target(slot, 8100, max(0, weights.get(f"{host}_{slot}", 0)), host, "10.0.0.1:8090",
               withdrawn=weights.get(f"{host}_{slot}", 0) < 0)
        for host in "ab" for slot in ("blue", "green")
    )  # fmt: skip
    return Routes((Route("tiny", targets, 1),), serial)


@pytest.mark.parametrize(
    ("known", "right"),
    [
        pytest.param(
            {"a": _routes(4, a_green=9, b_green=9), "b": _routes(4, a_green=9, b_green=9)},
            _routes(4, a_green=9, b_green=9),
            id="all agree",
        ),
        pytest.param(
            {"a": _routes(5, a_green=9, b_green=9), "b": _routes(4, a_green=9, b_green=-1, b_blue=9)},
            _routes(6, a_green=9, b_green=-1, b_blue=9),
            id="a command did not know of the withdrawal",
        ),
        pytest.param(
            {"a": _routes(5, a_green=9, b_blue=9), "b": _routes(4, a_green=9, b_green=-1, b_blue=9)},
            _routes(5, a_green=9, b_blue=9),
            id="the command gave the target nothing",
        ),
        pytest.param(
            {"a": _routes(5, a_green=-1, a_blue=9, b_green=9), "b": _routes(6, a_green=9, b_blue=9)},
            _routes(7, a_green=-1, a_blue=9, b_blue=9),
            id="each host's word on its own targets counts",
        ),
    ],
)  # fmt: skip
def test_routes_are_settled(known: dict[str, Routes], right: Routes) -> None:
    assert settled(known) == right
