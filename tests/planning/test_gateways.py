"""A few gateways for many hosts that serve: where each router leads, whom it asks, and what a change sends to it."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from tests.planning.facts import host as facts_of
from tests.planning.facts import release, slot
from toolkit.domain.hosts.facts import SlotFacts
from toolkit.domain.hosts.fleet import Host
from toolkit.errors import NothingSuitableError
from toolkit.planning.change.placement import gateway_remarks, require_place_for_replicas
from toolkit.planning.fit.fleet import beside_gateways
from toolkit.planning.fit.host_fit import HostFit
from toolkit.planning.routing.differences import file_edits
from toolkit.planning.routing.files import Rendering
from toolkit.planning.routing.routes import Route, Routes, Target

SIZES = [(2, 3), (2, 48), (2, 198)]


def relay(number: int) -> str:
    return f"10.1.{number // 200}.{number % 200 + 1}:8090"


def routes(serving: int, weight: int = 100) -> Routes:
    """Return the routes of a model with two slots on each host that serves; `weight` is that of the first slot."""
    targets = [
        Target(slot, port, 100 if slot == "blue" else 0, f"gpu{each}", relay(each))
        for each in range(serving)
        for slot, port in (("blue", 8100), ("green", 8101))
    ]
    return Routes((Route("tiny", (replace(targets[0], weight=weight), *targets[1:]), created=1),))


def servers(files: dict[str, str]) -> dict[str, str]:
    """Return the servers of the models' backends with their addresses, without the twins."""
    models = re.split(r"^(?=backend )", files["backends.cfg"], flags=re.MULTILINE)
    lines = [
        line.split()
        for part in models
        if part.startswith("backend model.")
        for line in part.splitlines()
    ]
    return {
        words[1]: words[2] for words in lines if words[:1] == ["server"] and ":" not in words[1]
    }


def asked(files: dict[str, str]) -> set[str]:
    """Return the relays that healths.lua of this router asks: one question for all servers of a relay."""
    return {each for each in servers(files).values() if not each.startswith("127.0.0.1:")}


@pytest.mark.parametrize(("gateways", "serving"), SIZES)
def test_a_gateway_leads_to_every_replica_at_its_hosts_relay_and_has_none(
    gateways: int, serving: int
) -> None:
    rendering = Rendering(routes(serving))
    for number in range(gateways):
        files = rendering.at(f"gate{number}")
        assert servers(files) == {
            f"gpu{each}.{slot}": relay(each)
            for each in range(serving)
            for slot in ("blue", "green")
        }
        # Nothing of it is reached through its relay, and Prometheus finds no replica on it.
        assert files["relay.map"] == ""
        assert "backend relay." not in files["backends.cfg"]
        assert "backend metrics:" not in files["backends.cfg"]
        # Of equal targets no one is nearer.
        assert files["slots.map"] == "tiny gpu0.blue\n"


@pytest.mark.parametrize(("gateways", "serving"), SIZES)
def test_gateways_ask_each_host_that_serves_once_and_nobody_asks_a_gateway(
    gateways: int, serving: int
) -> None:
    rendering = Rendering(routes(serving))
    relays = {relay(each) for each in range(serving)}
    for number in range(gateways):
        assert asked(rendering.at(f"gate{number}")) == relays
    for number in range(serving):
        assert asked(rendering.at(f"gpu{number}")) == relays - {relay(number)}


@pytest.mark.parametrize(("gateways", "serving"), SIZES)
def test_a_change_sends_a_gateway_no_more_where_more_hosts_serve(
    gateways: int, serving: int
) -> None:
    before, after = Rendering(routes(serving)), Rendering(routes(serving, weight=50).later())
    for number in range(gateways):
        name = f"gate{number}"
        edits = file_edits(before.at(name), after.at(name))
        changed = sorted(file for file, edit in edits.items() if edit["splices"])
        assert changed == ["backends.cfg", "routes.json", "slots.map"]
        assert len(json.dumps(edits)) < 2000


def test_a_host_that_only_serves_leads_to_its_own_replica_on_loopback() -> None:
    files = Rendering(routes(3)).at("gpu1")
    own = {name: address for name, address in servers(files).items() if name.startswith("gpu1.")}
    assert own == {"gpu1.blue": "127.0.0.1:8100", "gpu1.green": "127.0.0.1:8101"}
    assert files["relay.map"].splitlines()[0] == "gpu1.blue/tiny relay.blue.model.tiny"


@pytest.mark.parametrize(
    ("host", "fault"),
    [
        (Host("gpu1"), ""),
        (Host("gpu1", router_bind="*:8080"), ""),
        (Host("gate1", gateway=True), "gate1 is a gateway, which gets no replica"),
    ],
)
def test_a_gateway_is_no_place_for_replicas(host: Host, fault: str) -> None:
    if not fault:
        require_place_for_replicas(host)
        return
    with pytest.raises(NothingSuitableError) as refused:
        require_place_for_replicas(host)
    assert refused.value.message == fault
    assert "toolkit_gateway" in refused.value.hint


@pytest.mark.parametrize(
    ("host", "gateways", "have", "fits", "why"),
    [
        ("gpu1", set(), set(), True, "beside what serves"),
        ("gpu1", {"gate1"}, set(), True, "beside what serves"),
        ("gate1", {"gate1"}, set(), False, "it is a gateway, which gets no replica"),
        # it became one since: what serves there goes on
        ("gate1", {"gate1"}, {"gate1"}, True, "beside what serves"),
    ],
)
def test_a_plan_says_that_a_gateway_gets_no_replica(
    host: str, gateways: set[str], have: set[str], fits: bool, why: str
) -> None:
    found = beside_gateways(HostFit(host, True, "beside what serves", "2 CPUs"), gateways, have)
    assert (found.fits, found.why) == (fits, why)


@pytest.mark.parametrize(
    ("gateway", "slots", "expected"),
    [
        (False, (), ()),
        (False, (slot("blue", release(1)),), ()),
        (True, (), ()),
        (
            True,
            (slot("blue", release(1)), slot("green", release(2), weight=100)),
            ("it is a gateway and still has tiny; toolkit hosts drain box",),
        ),
    ],
)
def test_a_gateway_with_replicas_deserves_a_look(
    gateway: bool, slots: tuple[SlotFacts, ...], expected: tuple[str, ...]
) -> None:
    assert gateway_remarks(Host("box", gateway=gateway), facts_of(*slots)) == expected
