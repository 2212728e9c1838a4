"""Loopback ports of slots: kept while they can be, never somebody else's."""

from __future__ import annotations

import pytest

from tests.planning.facts import host, release, routes, slot
from toolkit.domain.hosts.facts import HostFacts, ProcessState
from toolkit.errors import NothingSuitableError
from toolkit.planning.routing.ports import slot_ports

R1 = release(1)


@pytest.mark.parametrize(
    ("facts", "ports"),
    [
        (host(), {"blue": 8100, "green": 8101}),
        (host(used_ports=(22, 8100, 8102)), {"blue": 8101, "green": 8103}),
        # another model's slots and routes are not free, whether or not anything listens there
        (host(slot("blue", R1, model="other", port=8100)), {"blue": 8101, "green": 8102}),
        # what a route names is kept, so that an upgrade is a change of weights alone
        (host(routes=routes(blue=8200, green=8201)), {"blue": 8200, "green": 8201}),
        (
            host(
                slot("blue", R1, weight=100, port=8200),
                routes=routes(blue=8200, green=8201),
                used_ports=(8200,),
            ),
            {"blue": 8200, "green": 8201},
        ),
        # a foreigner took the port of the empty slot
        (
            host(
                slot("blue", R1, weight=100, port=8200),
                routes=routes(blue=8200, green=8201),
                used_ports=(8200, 8201),
            ),
            {"blue": 8200, "green": 8100},
        ),
        # or that of a replica that crashed
        (
            host(slot("blue", R1, weight=100, well=False, port=8200), used_ports=(8200,)),
            {"blue": 8100, "green": 8101},
        ),
        # a replica that crashed keeps a port that is free
        (host(slot("blue", R1, well=False, port=8200)), {"blue": 8200, "green": 8100}),
        # a replica that starts listens already
        (
            host(slot("blue", R1, healthy=False, port=8200), used_ports=(8200,)),
            {"blue": 8200, "green": 8100},
        ),
        (
            host(slot("blue", R1, well=False, process=ProcessState.ABSENT, port=8200)),
            {"blue": 8200, "green": 8100},
        ),
        # a slot by a name of another toolkit can still be drained and stopped
        (host(slot("red", R1, weight=100)), {"blue": 8100, "green": 8101, "red": 8102}),
    ],
)
def test_slots_get_ports_that_nothing_uses(facts: HostFacts, ports: dict[str, int]) -> None:
    assert slot_ports("tiny", facts, 8100) == ports


def test_routes_of_other_models_keep_their_ports() -> None:
    assert slot_ports("second", host(routes=routes(blue=8100, green=8102)), 8100) == {
        "blue": 8101,
        "green": 8103,
    }


@pytest.mark.parametrize("base", [65535, 70000])
def test_no_port_left_is_said_so(base: int) -> None:
    with pytest.raises(NothingSuitableError, match=f"no port from {base} up is free on localhost"):
        slot_ports("tiny", host(), base)
