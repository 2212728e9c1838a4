"""A newcomer types docs/fleet.md on fresh hosts, block by block."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fleet.machine import require_hosts
from tests.walk.blocks import Block
from tests.walk.fleet import HOSTS, OPS, SPARE, WALK
from tests.walk.newcomer import newcomer
from tests.walk.walking import Scene

# A block of many commands takes minutes where the machine is busy.
pytestmark = [pytest.mark.system, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    require_hosts()
    with newcomer(OPS, *HOSTS, SPARE) as site, site.login(OPS) as terminal:
        site.install(terminal)
        yield Scene(site, terminal, WALK.blocks[0])


@pytest.mark.parametrize("block", WALK.blocks, ids=str)
def test_a_block_does_as_it_says(block: Block, scene: Scene) -> None:
    WALK.go(scene.at(block))
