"""A fleet of a gateway and two hosts that serve: replicas come to the latter, and its router leads to them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.workflows.test_fit import candidate, fake
from tests.workflows.world import World, release
from toolkit.errors import InputError, NothingSuitableError
from toolkit.workflows.fleet.fit_plan import plan_fit


@pytest.fixture
def gated(fleet: World) -> World:
    """The fleet, whose first host is a gateway."""
    gate = fleet.hosts["gpu1"]
    gate.host = replace(gate.host, gateway=True, router_bind="*:8080")
    return fleet


def test_a_model_comes_to_all_hosts_but_gateways_and_their_routers_lead_to_it(gated: World) -> None:
    done = gated.deploy(release(1))
    assert done.plan.batches == (("gpu2", "gpu3"),)
    assert done.plan.notes == ("gpu1 is left out: gpu1 is a gateway, which gets no replica",)
    assert gated.serving() == {"gpu2": "v1", "gpu3": "v1"}
    assert gated.routes("gpu1") == gated.routes("gpu2") == gated.routes("gpu3")
    route = gated.routes("gpu1").of("tiny")
    assert route is not None
    assert {each.host for each in route.targets} == {"gpu2", "gpu3"}
    # Nothing was sent there, and no playbook ran.
    assert {host for host, _, _ in gated.distribution.sent} == {"gpu2", "gpu3"}
    assert [each for each in gated.hosts["gpu1"].events if each.startswith("play")] == []


def test_an_upgrade_and_a_rollback_change_the_routes_of_gateways_too(gated: World) -> None:
    gated.deploy(release(1))
    gated.deploy(release(2))
    assert gated.serving() == {"gpu2": "v2", "gpu3": "v2"}
    assert gated.routes("gpu1") == gated.routes("gpu2") == gated.routes("gpu3")
    gated.rollback()
    assert gated.serving() == {"gpu2": "v1", "gpu3": "v1"}
    assert gated.routes("gpu1") == gated.routes("gpu2") == gated.routes("gpu3")


def test_a_gateway_that_is_named_is_refused(gated: World) -> None:
    with pytest.raises(NothingSuitableError) as refused:
        gated.deploy(release(1), named=("gpu1",))
    assert refused.value.message == "gpu1 is a gateway, which gets no replica"
    with pytest.raises(InputError) as few:
        gated.deploy(release(1), replicas=3)
    assert "2 hosts can have one" in few.value.message


def test_what_a_host_serves_when_it_becomes_a_gateway_goes_on_and_is_upgraded(
    fleet: World,
) -> None:
    fleet.deploy(release(1))
    gate = fleet.hosts["gpu1"]
    gate.host = replace(gate.host, gateway=True, router_bind="*:8080")
    fleet.deploy(release(2))
    assert fleet.serving() == {"gpu1": "v2", "gpu2": "v2", "gpu3": "v2"}


def test_a_plan_shows_a_gateway_as_no_place_for_a_model(tmp_path: Path, world: World) -> None:
    gate, serving = fake("gate"), fake("serving")
    gate.host = replace(gate.host, gateway=True, router_bind="*:8080")
    found = plan_fit(candidate(tmp_path), [gate, serving], world.history)
    assert [(each.host, each.fits) for each in found.hosts] == [("gate", False), ("serving", True)]
    assert found.hosts[0].why == "it is a gateway, which gets no replica"
    assert found.fits
    alone = plan_fit(candidate(tmp_path / "alone"), [gate], world.history)
    assert not alone.fits
