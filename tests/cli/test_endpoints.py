"""The address that commands give to clients: https where the router speaks TLS, on one host and on three."""

from __future__ import annotations

import pytest

from tests.cli.shell import Prompt
from tests.cli.test_json import Fleet
from toolkit.domain.facts import RouterFacts


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
