"""A fleet with a gateway, as its commands name it: clients are told where they enter, and nothing else."""

from __future__ import annotations

import pytest

from tests.cli.shell import Prompt
from tests.cli.test_json import Fleet
from toolkit.domain.hosts.facts import RouterFacts

ENTRANCE = "http://10.0.0.1:8080/v1"


@pytest.fixture
def gated(prompt: Prompt, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    fleet = Fleet(prompt, monkeypatch, 3)
    path = prompt.place / "fleet.yaml"
    gate = "gpu1: {toolkit_gateway: true, router_bind: '*:8080', "
    path.write_text(path.read_text().replace("gpu1: {", gate))
    return fleet


def endpoints(said: str) -> list[str]:
    return [each for each in said.splitlines() if each.startswith("endpoint")]


def test_a_deployment_tells_where_clients_enter(gated: Fleet) -> None:
    said = gated.prompt("deploy", "tiny@v1", "--yes")
    assert said.code == 0, said.err
    assert endpoints(said.out) == [f"endpoint on gpu1: {ENTRANCE}  (model 'tiny')"]


@pytest.mark.parametrize(
    ("binds", "expected"),
    [
        # of a gateway and hosts that only serve
        (("*:8080", "127.0.0.1:8080", "127.0.0.1:8080"), ["gpu1"]),
        # of hosts that do both
        (("*:8080", "*:8080", "*:8080"), ["gpu1", "gpu2", "gpu3"]),
        # of hosts that nobody reaches from elsewhere
        (("127.0.0.1:8080",) * 3, ["gpu1", "gpu2", "gpu3"]),
    ],
)
def test_status_tells_where_clients_enter(
    gated: Fleet, binds: tuple[str, ...], expected: list[str]
) -> None:
    for number, bind in enumerate(binds, 1):
        router = RouterFacts(True, bind, "2.6", address=f"10.0.0.{number}")
        gated.world.see(f"gpu{number}", router=router)
    told = endpoints(gated.prompt("status").out)
    assert [each.partition("(")[2].partition(",")[0] for each in told] == expected
