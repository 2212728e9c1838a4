"""The table of accelerators: each row is whole, and what follows from it."""

from __future__ import annotations

from typing import Any

import pytest

from toolkit.domain.accelerator import MAKERS, TRAITS, Accelerator, driver_package
from toolkit.domain.hosts.facts import Device, HostFacts


@pytest.mark.parametrize("accelerator", list(Accelerator))
def test_every_accelerator_has_a_whole_row(accelerator: Accelerator) -> None:
    row = TRAITS[accelerator]
    assert row.libraries
    assert row.wheels > 0
    # Devices are given to a process, opened in its sandbox, made by a unit and run by a driver; or there are none.
    of_devices = (row.maker, row.variable, row.nodes, row.unit, row.driver)
    assert {bool(each) for each in of_devices} == {row.has_devices}


@pytest.mark.parametrize(
    ("makers", "expected"),
    [((), Accelerator.CPU), (("nvidia",), Accelerator.CUDA), (("nobody",), Accelerator.CPU)],
)
def test_engines_compute_on_devices_of_a_known_maker(
    makers: tuple[str, ...], expected: Accelerator
) -> None:
    devices = tuple(Device(index, "x", 1, 1, maker=maker) for index, maker in enumerate(makers))
    assert HostFacts("a", 0.0, devices=devices).accelerator is expected


@pytest.mark.parametrize(
    ("settings", "package"),
    [
        ({}, ""),
        ({"nvidia_driver_package": ""}, ""),
        ({"nvidia_driver_package": "nvidia-driver=580.1", "time_servers": ["a"]}, "nvidia-driver=580.1"),
    ],
)  # fmt: skip
def test_a_hosts_settings_name_its_driver(settings: dict[str, Any], package: str) -> None:
    assert driver_package(settings) == package


def test_a_maker_stands_for_one_accelerator() -> None:
    assert MAKERS == {"nvidia": Accelerator.CUDA}
