"""The address that commands give to clients: https where the router speaks TLS, on one host and on three."""

from __future__ import annotations

import pytest

from tests.cli.shell import Prompt
from tests.cli.test_json import Fleet
from toolkit.domain.hosts.facts import RouterFacts
from toolkit.domain.hosts.fleet import Host, endpoint_of


@pytest.fixture(params=[1, 3], ids=["one host", "three hosts"])
def fleet(request: pytest.FixtureRequest, prompt: Prompt, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    made = Fleet(prompt, monkeypatch, request.param)
    for name in ("router.crt", "router.key"):
        (prompt.place / name).write_text("a file")
    path = prompt.place / "fleet.yaml"
    path.write_text(
        path.read_text()
        + "  vars:\n"
        + f"    router_tls_certificate: {prompt.place / 'router.crt'}\n"
        + f"    router_tls_key: {prompt.place / 'router.key'}\n"
    )
    return made


def test_deploy_and_rollback_give_the_address_over_tls(fleet: Fleet) -> None:
    for line in (
        "deploy tiny@v1 --yes",
        "deploy tiny@v1 --yes",
        "upgrade tiny --yes",
        "rollback tiny --yes",
    ):
        said = fleet.prompt(*line.split())
        assert said.code == 0, said.err
        endpoints = [each for each in said.out.splitlines() if each.startswith("endpoint")]
        assert len(endpoints) == len(fleet.world.hosts)
        assert all(" https://127.0.0.1:8080/v1 " in each for each in endpoints)
    document = fleet("deploy tiny --yes").json()
    assert set(document["endpoints"].values()) == {"https://127.0.0.1:8080/v1"}


def test_status_gives_the_address_over_tls(fleet: Fleet) -> None:
    fleet.world.see(router=RouterFacts(True, "10.0.0.1:8443", "2.6", tls=True))
    said = fleet.prompt("status")
    assert said.out.count("endpoint: https://10.0.0.1:8443/v1 ") == len(fleet.world.hosts)
    hosts = fleet("status").json()["hosts"]
    assert {each["router"]["endpoint"] for each in hosts.values()} == {"https://10.0.0.1:8443/v1"}


def test_status_makes_up_no_address_of_a_router_whose_configuration_is_gone(fleet: Fleet) -> None:
    fleet.world.see("gpu1", router=RouterFacts(True, "", "2.6"))
    assert "endpoint: not known  (gpu1, HAProxy 2.6)" in fleet.prompt("status").out
    assert fleet("status").json()["hosts"]["gpu1"]["router"]["endpoint"] == ""


def test_status_says_what_of_a_router_is_at_its_limit(fleet: Fleet) -> None:
    words = "6000 of 6400 connections are taken"
    fleet.world.see("gpu1", router=RouterFacts(True, "10.0.0.1:8443", "2.6", crowd=words))
    said = fleet.prompt("status")
    assert (said.out + said.err).count(f"gpu1: its router is crowded: {words}") == 1
    hosts = fleet("status").json()["hosts"]
    assert [each["router"]["crowd"] for each in hosts.values()].count(words) == 1


@pytest.mark.parametrize(
    ("bind", "address", "tls", "url"),
    [
        ("127.0.0.1:8080", "10.0.0.11", False, "http://127.0.0.1:8080/v1"),
        ("10.0.0.11:80", "10.0.0.11", False, "http://10.0.0.11:80/v1"),
        ("*:8443", "10.0.0.11", True, "https://10.0.0.11:8443/v1"),
        (":8443", "gpu-1.example", True, "https://gpu-1.example:8443/v1"),
        ("0.0.0.0:8080", "10.0.0.11", False, "http://10.0.0.11:8080/v1"),
        ("[::]:8080", "fd00::11", False, "http://[fd00::11]:8080/v1"),
    ],
)
def test_a_router_at_all_addresses_is_named_by_its_hosts(
    bind: str, address: str, tls: bool, url: str
) -> None:
    assert endpoint_of(bind, address, tls=tls) == url
    assert RouterFacts(True, bind, tls=tls, address=address).endpoint == url
    host = Host("gpu-1", "ssh", address, router_bind=bind)
    assert endpoint_of(bind, host.reached_at, tls=tls) == url


def test_a_host_reached_from_itself_alone_is_told_from_one_with_an_open_door() -> None:
    assert Host("gpu-1", "ssh", "10.0.0.11").inward
    assert not Host("gpu-1", "ssh", "10.0.0.11", router_bind="*:80").inward
    assert not Host("localhost").inward
    assert RouterFacts(True, "127.0.0.1:8080", address="10.0.0.11").inward
    assert not RouterFacts(True, "127.0.0.1:8080", address="127.0.0.1").inward
    assert not RouterFacts(True, "*:8080", address="10.0.0.11").inward


def test_an_ops_machine_that_serves_others_is_named_by_its_own_address() -> None:
    here = Host("here", relay_address="10.0.0.1", router_bind="*:8080")
    assert here.endpoint == "http://10.0.0.1:8080/v1"
