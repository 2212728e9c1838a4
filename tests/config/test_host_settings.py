"""Variables of the inventory that go to the roles as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from toolkit.adapters.ansible.converge import host_variables
from toolkit.adapters.ansible.playbooks import provision_digest
from toolkit.config.inventory.fleet import load_fleet
from toolkit.config.inventory.host_settings import SETTINGS, setting_fault
from toolkit.config.inventory.host_variables import (
    ALIASES,
    FIELDS,
    LOGIN,
    SUDO,
    VariableError,
    host_of,
    variable_fault,
)
from toolkit.errors import InputError


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("toolkit_firewall", True),
        ("toolkit_firewall_allow", []),
        ("toolkit_firewall_allow", [{"port": 9100}, {"port": 53, "protocol": "udp", "from": "10.0.0.1"}]),
        ("toolkit_firewall_allow", [{"port": 9100, "from": "fd00::/8"}]),
        ("toolkit_metrics_from", []),
        ("toolkit_metrics_from", ["10.0.0.9", "10.1.0.0/24", "fd00::/8"]),
        ("toolkit_node_exporter", 9100),
        ("toolkit_exporters", []),
        ("toolkit_exporters", ["dcgm", "node"]),
        ("toolkit_packages", "/srv/debs"),
        ("toolkit_time_servers", ["ntp.example.com", "10.0.0.1", "fd00::1"]),
        ("nvidia_driver_package", "nvidia-driver-580=580.95.05-0ubuntu1"),
    ],
)  # fmt: skip
def test_valid_settings_are_accepted(name: str, value: Any) -> None:
    assert setting_fault(name, value) == ""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("toolkit_firewall", "yes"),
        ("toolkit_firewall_allow", [9100]),
        ("toolkit_firewall_allow", [{"port": 0}]),
        ("toolkit_firewall_allow", [{"port": True}]),
        ("toolkit_firewall_allow", [{"port": "9100 accept"}]),
        ("toolkit_firewall_allow", [{"port": 9100, "from": "anybody"}]),
        ("toolkit_firewall_allow", [{"port": 9100, "form": "10.0.0.1"}]),
        ("toolkit_firewall_allow", [{"from": "10.0.0.1"}]),
        ("toolkit_hang_seconds", 1),
        ("toolkit_hang_seconds", "8"),
        ("toolkit_hang_seconds", True),
        ("toolkit_stall_seconds", float("nan")),
        ("toolkit_stall_seconds", 10**6),
        ("toolkit_hang_models", {"tiny": {"hang": 1}}),
        ("toolkit_hang_models", {"tiny": {"hangs": 8}}),
        ("toolkit_hang_models", {"tiny": {}}),
        ("toolkit_hang_models", {"../tiny": {"hang": 8}}),
        ("toolkit_hang_models", ["tiny"]),
        ("toolkit_idle_probe_seconds", 0),
        ("toolkit_metrics_from", "10.0.0.9"),
        ("toolkit_metrics_from", ["10.0.0.9 accept"]),
        ("toolkit_metrics_from", ["10.0.0.0/24"] * 33),
        ("toolkit_exporters", "node"),
        ("toolkit_exporters", ["nodes"]),
        ("toolkit_exporters", ["node", "node"]),
        ("toolkit_exporters", [["node"]]),
        ("toolkit_node_exporter", True),
        ("toolkit_node_exporter", "9100"),
        ("toolkit_dcgm_exporter", 65536),
        ("toolkit_packages", "debs"),
        ("toolkit_packages", "/srv/de bs"),
        ("toolkit_time_servers", "ntp.example.com"),
        ("toolkit_time_servers", ["one two"]),
        ("nvidia_driver_package", "nvidia-driver-580"),
        ("nvidia_driver_package", "nvidia-driver-580=1 && reboot"),
    ],
)
def test_what_does_not_fit_is_told_with_what_would(name: str, value: Any) -> None:
    assert setting_fault(name, value) == f"must be {SETTINGS[name][1]}, not {value!r}"


def test_they_reach_the_roles_and_change_what_a_host_must_look_like(tmp_path: Path) -> None:
    fleet = tmp_path / "fleet.yaml"
    fleet.write_text("all: {hosts: {here: {ansible_connection: local, toolkit_firewall: true}}}")
    (host,) = load_fleet(fleet).hosts
    assert host.settings == {"toolkit_firewall": True}
    assert host_variables(host, tmp_path)["toolkit_firewall"] is True
    fleet.write_text("all: {hosts: {here: {ansible_connection: local}}}")
    (plain,) = load_fleet(fleet).hosts
    assert provision_digest(plain) != provision_digest(host)


@pytest.mark.parametrize(
    ("written", "ports"),
    [
        ("toolkit_exporters: []", {}),
        ("toolkit_exporters: [node]", {"toolkit_node_exporter": 9100}),
        (
            "toolkit_exporters: [dcgm, node], toolkit_node_exporter: 9110",
            {"toolkit_node_exporter": 9110, "toolkit_dcgm_exporter": 9400},
        ),
    ],
)
def test_exporters_to_install_have_the_usual_ports(
    written: str, ports: dict[str, int], tmp_path: Path
) -> None:
    fleet = tmp_path / "fleet.yaml"
    fleet.write_text(f"all: {{hosts: {{here: {{ansible_connection: local, {written}}}}}}}")
    settings = dict(load_fleet(fleet).hosts[0].settings)
    del settings["toolkit_exporters"]
    assert settings == ports


LONG = "9" * 10_000


@pytest.mark.parametrize(
    "hosts",
    [{f"{LONG}!": {}}, {"a": {f"ansible_ss{LONG}": 1}}, {"a": {"toolkit_root": LONG}}],
    ids=["a host", "a variable", "a value"],
)
def test_what_is_long_is_quoted_in_part(hosts: dict[str, dict[str, Any]]) -> None:
    with pytest.raises(InputError) as caught:
        load_fleet(Path("a,b,"), lambda _: hosts)
    assert len(caught.value.message) < 3000


def test_a_fault_has_its_place_in_the_file(tmp_path: Path) -> None:
    fleet = tmp_path / "fleet.yaml"
    fleet.write_text(
        "all:\n  hosts:\n    here:\n      ansible_connection: local\n      toolkit_firewall: 'maybe'\n"
    )
    with pytest.raises(
        InputError, match=r"fleet.yaml:5:\d+: toolkit_firewall of here must be true"
    ):
        load_fleet(fleet)


def test_limits_that_the_role_sets_are_not_taken_for_settings() -> None:
    role = Path(__file__).parents[2] / "playbooks/roles/router/defaults/main.yml"
    # The playbook gives the role what was seen of the host, whatever an inventory says.
    given = ("router_seen",)
    names = yaml.safe_load(role.read_text())
    limits = [each for each in names if each.startswith("router_") and each not in given]
    assert "router_max_body" in limits
    for name in limits:
        assert variable_fault(name, {}), name


@pytest.mark.parametrize("variable", sorted({*FIELDS, *LOGIN, *SETTINGS, *ALIASES, SUDO}))
def test_a_wrong_value_has_a_hint(variable: str) -> None:
    """What it must be stands in the message; where that is explained stands in the hint."""
    for value in ("\n", [{"a": 5}]):
        with pytest.raises(VariableError) as caught:
            host_of("gpu-1", {variable: value})
        assert "see docs/fleet.md" in caught.value.hint


def test_two_values_under_two_names_have_a_hint() -> None:
    with pytest.raises(VariableError, match="two values") as caught:
        host_of("gpu-1", {"ansible_port": 22, "ansible_ssh_port": 23})
    assert caught.value.hint == "take one of the two out of the inventory"
