"""Slots, releases and hosts of the plans that make a release live."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.planning.facts import GB, host, release, slot
from toolkit.domain.hosts.facts import HostFacts, SlotFacts

R1, R2 = release(1), release(2)


SERVES = slot("blue", R1, weight=100)


STANDS_BY = slot("green", R2)


def big(number: int, size: int = 15, devices: int = 1) -> Any:
    """Return a release for the GPU that needs `size` GB."""
    return release(number, memory=size * GB, devices=devices, gpu=True)


def on_gpu(*devices: Any, running: Any = None, at: tuple[int, ...] = (0,)) -> HostFacts:
    """Return a host with these devices, and `running` in blue with all traffic."""
    slots = [slot("blue", running, weight=100, devices=at, memory=GB)] if running else []
    return host(*slots, snapshots=(1, 2), devices=devices)


def sleepy(number: int, size: int = 15) -> Any:
    """Return a release for the GPU whose engine can sleep."""
    return replace(big(number, size), args=("--enable-sleep-mode",))


def dozing(number: int, **more: Any) -> SlotFacts:
    """Return the slot of a release that dozes, and holds little of the device."""
    return slot("blue", sleepy(number), healthy=False, devices=(0,), memory=GB, dozes=True, **more)
