"""A newcomer types README.md on a fresh host, block by block."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fleet.machine import require_hosts
from tests.walk.blocks import Block
from tests.walk.newcomer import newcomer
from tests.walk.readme import WALK
from tests.walk.walking import Scene

# A block of many commands takes minutes where the machine is busy.
pytestmark = [pytest.mark.system, pytest.mark.timeout(1200)]
EVERYTHING = (
    "find /etc /opt /root /run /usr /var -xdev -name '*toolkit*' -not -path '/var/log/*'; "
    "getent passwd | grep toolkit; getent group | grep toolkit; "
    "systemctl list-units --all --plain --no-legend | grep toolkit"
)


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    require_hosts()
    with newcomer("server") as site, site.login("server") as terminal:
        yield Scene(site, terminal, WALK.blocks[0])


@pytest.mark.parametrize("block", WALK.blocks, ids=str)
def test_a_block_does_as_it_says(block: Block, scene: Scene) -> None:
    WALK.go(scene.at(block))


def test_uninstalling_leaves_nothing_behind(scene: Scene) -> None:
    host = scene.newcomer.lab["server"]
    assert host.run("sh", "-c", EVERYTHING, check=False) == ""
