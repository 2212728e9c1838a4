"""The module that looks at a host before it is provisioned: what a former provisioning left, replicas, devices."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.adapters.own_modules import own_module


@pytest.fixture
def look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    module = own_module("host_look")
    for name in ("UNITS", "RULES", "PCI"):
        (tmp_path / name).mkdir()
        monkeypatch.setattr(module, name, str(tmp_path / name))
    return module


def test_what_a_former_provisioning_left_is_found_and_nothing_of_another_root(
    look: Any, tmp_path: Path
) -> None:
    root = tmp_path / "toolkit"
    (root / "router").mkdir(parents=True)
    (root / "seals").mkdir()
    left = [
        tmp_path / "UNITS/toolkit-exporter-node.service",
        tmp_path / "RULES/toolkit.nft",
        root / "seals/firewall.json",
        root / "router/tls-0a.pem",
    ]
    for file in [*left, tmp_path / "UNITS/other-exporter-node.service", tmp_path / "RULES/x.nft"]:
        file.write_text("")
    # A link that leads nowhere is there, too.
    (root / "cache").symlink_to(tmp_path / "nowhere")
    assert look.found(str(root)) == sorted(map(str, [*left, root / "cache"]))


def test_nothing_is_found_on_a_bare_host(look: Any, tmp_path: Path) -> None:
    assert look.found(str(tmp_path / "toolkit")) == []
    assert not look.has_former_replicas(str(tmp_path / "toolkit"), "toolkit", "systemd")
    assert look.devices() == []


@pytest.mark.parametrize(
    ("name", "text", "former"),
    [
        ("toolkit-tiny-blue.service", "[Service]\nUser=toolkit\n", True),
        ("toolkit-tiny-blue.service", "[Service]\nUser=toolkit-tiny-blue\n", False),
        ("toolkit-router.service", "[Service]\nUser=toolkit\n", False),
        ("other-tiny-blue.service", "[Service]\nUser=toolkit\n", False),
    ],
)
def test_a_replica_of_an_older_toolkit_runs_as_the_routers_user(
    look: Any, tmp_path: Path, name: str, text: str, former: bool
) -> None:
    (tmp_path / "UNITS" / name).write_text(text)
    root = str(tmp_path / "toolkit")
    assert look.has_former_replicas(root, "toolkit", "systemd") is former
    assert not look.has_former_replicas(root, "toolkit", "supervisord")


def test_a_program_of_supervisord_may_be_a_former_replica(look: Any, tmp_path: Path) -> None:
    programs = tmp_path / "toolkit/supervisor/conf.d"
    programs.mkdir(parents=True)
    (programs / "router.conf").write_text("user = toolkit\n")
    assert not look.has_former_replicas(str(tmp_path / "toolkit"), "toolkit", "supervisord")
    (programs / "tiny-blue.conf").write_text("[program:tiny-blue]\nuser = toolkit\n")
    assert look.has_former_replicas(str(tmp_path / "toolkit"), "toolkit", "supervisord")


def test_a_network_card_of_nvidia_is_no_device(look: Any, tmp_path: Path) -> None:
    for place, vendor, kind in (
        ("0000:01:00.0", "0x10de\n", "0x030200\n"),
        ("0000:02:00.0", "0x10de\n", "0x020000\n"),
        ("0000:03:00.0", "0x8086\n", "0x030000\n"),
    ):
        (tmp_path / "PCI" / place).mkdir()
        (tmp_path / "PCI" / place / "vendor").write_text(vendor)
        (tmp_path / "PCI" / place / "class").write_text(kind)
    assert look.devices() == ["0000:01:00.0"]


@pytest.mark.parametrize(("code", "container"), [(0, True), (1, False)])
def test_systemd_says_whether_the_host_is_a_container(
    look: Any, code: int, container: bool
) -> None:
    module = SimpleNamespace(run_command=lambda words: (code, "", ""))
    assert look.is_container(module) is container


def test_a_host_of_which_nobody_can_tell_is_refused(look: Any) -> None:
    def fail_json(msg: str) -> None:
        raise SystemExit(msg)

    module = SimpleNamespace(run_command=lambda words: (2, "", "no bus\n"), fail_json=fail_json)
    with pytest.raises(SystemExit, match="systemd-detect-virt ended with 2: no bus"):
        look.is_container(module)
