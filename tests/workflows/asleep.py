"""A model of a fleet in memory, put to sleep and woken."""

from __future__ import annotations

from tests.workflows.world import TIMING, World
from toolkit.domain.replicas.warmth import WhenAsleep
from toolkit.workflows.change.sleep import Slept, put_to_sleep, wake

POLICY = WhenAsleep.WAIT


def fall_asleep(world: World, policy: WhenAsleep = POLICY, *, yes: bool = True) -> Slept:
    return put_to_sleep(world.command(), "tiny", policy, lambda _: yes, TIMING)


def get_up(world: World) -> Slept:
    return wake(world.command(), "tiny", TIMING, lambda _: True)
