"""`toolkit meter` on three hosts: readings, a host without counters, one that does not answer."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from tests.cli.shell import Prompt
from tests.workflows.world import World, fleet_host
from toolkit.config.costs.meter import load_readings
from toolkit.domain.costs.energy import EnergyCount
from toolkit.errors import HostError

HOUR = 3600.0


@pytest.fixture
def world(prompt: Prompt, monkeypatch: pytest.MonkeyPatch) -> World:
    found = World(prompt.place, 3)
    rows = "".join(
        f"    {each.name}: {{ansible_host: {each.address}}}\n"
        for each in (fleet_host(number, 3) for number in (1, 2, 3))
    )
    (prompt.place / "fleet.yaml").write_text(f"all:\n  hosts:\n{rows}")
    prompt.set("TOOLKIT_FLEET", prompt.place / "fleet.yaml")
    monkeypatch.setattr(
        "toolkit.cli.opening.context.open_port", lambda host, _: found.hosts[host.name]
    )
    return found


def test_readings_become_energy(prompt: Prompt, world: World) -> None:
    for number, joules in enumerate((3_600_000.0, 5_400_000.0)):
        world.hosts["gpu1"].counts_energy = EnergyCount(1_762_041_600 + number * HOUR, joules, 2)
        said = prompt("meter")
        assert said.code == 0
        assert "gpu2: nothing counts its energy: no NVIDIA driver that counts energy" in said.err
    assert said.out.splitlines() == ["HOST  DEVICES  KWH", "gpu1  2        1.500000"]
    (found,) = load_readings(Path("readings.csv"), math.inf).metered
    assert (found.host, str(found.kwh), found.span.seconds) == ("gpu1", "0.500000", 3600)


def test_a_host_that_does_not_answer_is_an_error_and_the_others_are_read(
    prompt: Prompt, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: Any) -> Any:
        raise HostError("gpu3: it does not answer", hint="ping gpu3")

    each = {f"GPU-{number}": 900_000.0 for number in range(8)}
    world.hosts["gpu1"].counts_energy = EnergyCount(1_762_041_600, 7_200_000.0, 8, "", each)
    monkeypatch.setattr(world.hosts["gpu3"], "energy", unreachable)
    said = prompt("meter", "--readings", "m.csv", "--json")
    assert said.code == 7
    assert said.json()["readings"] == {"gpu1": {"kwh": 2.0, "at": 1_762_041_600, "devices": 8}}
    assert list(said.json()["without"]) == ["gpu2"]
    counted = " ".join(f"GPU-{number}=0.250000" for number in range(8))
    assert Path("m.csv").read_text().splitlines() == [
        "at,host,kwh,devices",
        f"2025-11-02T00:00:00Z,gpu1,2.000000,{counted}",
    ]


@pytest.mark.parametrize("file", ["none/m.csv", "."])
def test_a_place_that_takes_no_readings_is_wrong_input_before_any_host_is_asked(
    prompt: Prompt, world: World, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    for host in world.hosts.values():
        monkeypatch.setattr(host, "energy", None)
    said = prompt("meter", "--readings", file)
    assert (said.code, said.out) == (2, "")
    assert said.err.endswith("hint: --readings FILE, in a directory that you may write to\n")
