"""A newcomer types docs/registry.md on a fresh host, block by block."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fleet.machine import require_hosts
from tests.walk.blocks import Block
from tests.walk.newcomer import newcomer
from tests.walk.registry import WALK
from tests.walk.walking import Scene

# A block of many commands takes minutes where the machine is busy.
pytestmark = [pytest.mark.system, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    require_hosts()
    with newcomer("ops") as site, site.login("ops") as terminal:
        site.install(terminal)
        yield Scene(site, terminal, WALK.blocks[0])


@pytest.mark.parametrize("block", WALK.blocks, ids=str)
def test_a_block_does_as_it_says(block: Block, scene: Scene) -> None:
    WALK.go(scene.at(block))
