"""Which hosts are gateways, by the fleet file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.walk.blocks import blocks_of
from toolkit.config.inventory.fleet import load_fleet
from toolkit.errors import InputError

SECTION = "A few gateways for many hosts"


def read(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "fleet.yaml"
    path.write_text(text)
    return path


def test_the_fleet_of_the_document_has_two_gateways_and_hosts_that_only_serve(
    tmp_path: Path,
) -> None:
    (block,) = (each for each in blocks_of("docs/fleet.md") if each.heading == SECTION)
    hosts = load_fleet(read(tmp_path, block.text)).hosts
    assert {each.name: (each.gateway, each.inward, each.endpoint) for each in hosts} == {
        "gate-1": (True, False, "https://10.0.0.2:8443/v1"),
        "gate-2": (True, False, "https://10.0.0.3:8443/v1"),
        "gpu-001": (False, True, "http://127.0.0.1:8080/v1"),
        "gpu-002": (False, True, "http://127.0.0.1:8080/v1"),
        "gpu-003": (False, True, "http://127.0.0.1:8080/v1"),
    }
    # All of them take requests of each other, and one key opens both doors.
    assert {each.relays for each in hosts} == {
        tuple(sorted(f"{each.address}:8090" for each in hosts))
    }
    assert {each.router_require_keys for each in hosts if each.gateway} == {True}


@pytest.mark.parametrize(
    ("text", "gateways"),
    [
        ("all: {hosts: {a: {ansible_host: 10.0.0.1}, b: {ansible_host: 10.0.0.2}}}", []),
        (
            "all: {hosts: {a: {ansible_host: 10.0.0.1, toolkit_gateway: true, router_bind: ':80'}, "
            "b: {ansible_host: 10.0.0.2}}}",
            ["a"],
        ),
        # a host that is none among those of a group
        (
            "all: {vars: {toolkit_gateway: true, router_bind: '*:80'}, hosts: {a: {ansible_host: 10.0.0.1}, "
            "b: {ansible_host: 10.0.0.2, toolkit_gateway: false}}}",
            ["a"],
        ),
    ],
)
def test_the_file_says_which_hosts_are_gateways(
    tmp_path: Path, text: str, gateways: list[str]
) -> None:
    hosts = load_fleet(read(tmp_path, text)).hosts
    assert [each.name for each in hosts if each.gateway] == gateways


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            "all: {hosts: {a: {ansible_host: 10.0.0.1, toolkit_gateway: true}, b: {ansible_host: 10.0.0.2}}}",
            ":1:60: a is a gateway, and its router listens at 127.0.0.1:8080, where no client reaches it",
            'give gateways a router_bind for clients, such as "*:8080"',
        ),
        (
            "all: {vars: {toolkit_gateway: true, router_bind: '*:80'}, hosts: {a: {ansible_host: 10.0.0.1}}}",
            ": each host is a gateway, so none is left for replicas",
            "take toolkit_gateway from the hosts that are to serve models",
        ),
        (
            "all: {hosts: {a: {toolkit_gateway: gate}}}",
            ":1:36: toolkit_gateway of a must be true or false, not 'gate'",
            "correct toolkit_gateway in the inventory; see docs/fleet.md and docs/operations.md",
        ),
    ],
)
def test_a_gateway_that_could_not_do_its_part_is_refused(
    tmp_path: Path, text: str, message: str, hint: str
) -> None:
    path = read(tmp_path, text)
    with pytest.raises(InputError) as refused:
        load_fleet(path)
    assert refused.value.message == f"{path}{message}"
    assert refused.value.hint == hint
