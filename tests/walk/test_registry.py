"""A newcomer types docs/registry.md, docs/scheduling.md and docs/upgrades.md on one fresh host, block by block."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fleet.machine import require_hosts
from tests.walk import registry, scheduling, upgrades
from tests.walk.blocks import Block
from tests.walk.newcomer import newcomer
from tests.walk.walking import Scene, Walk

# A block of many commands takes minutes where the machine is busy.
pytestmark = [pytest.mark.system, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    require_hosts()
    with newcomer("ops") as site, site.login("ops") as terminal:
        site.install(terminal)
        yield Scene(site, terminal, registry.WALK.blocks[0])


# In this order: each begins with what the one before has left.
WALKS = (registry.WALK, scheduling.WALK, upgrades.WALK)
STEPS = [(walk, block) for walk in WALKS for block in walk.blocks]


@pytest.mark.parametrize(
    ("walk", "block"), STEPS, ids=lambda each: str(each) if isinstance(each, Block) else ""
)
def test_a_block_does_as_it_says(walk: Walk, block: Block, scene: Scene) -> None:
    walk.go(scene.at(block))
