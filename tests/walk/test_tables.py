"""Every block of the documents is walked through, or stands in a table with the reason why not."""

from __future__ import annotations

import pytest

from tests.walk import fleet, operations, readme, registry, scheduling, upgrades
from tests.walk.walking import LeftOut, Typed, Walk

WALKS = (
    readme.WALK,
    registry.WALK,
    fleet.WALK,
    operations.WALK,
    scheduling.WALK,
    upgrades.WALK,
)


@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk.document)
def test_each_block_is_typed_or_named_and_each_name_is_there(walk: Walk) -> None:
    assert list(walk.unknown()) == []


def test_a_block_that_nobody_names_and_a_name_without_a_block_are_found() -> None:
    walk = Walk(
        "docs/registry.md",
        left_out={"models:": LeftOut("shown")},
        typed={"toolkit fly": Typed("toolkit status", "it is not there")},
    )
    lost, unnamed = walk.unknown()
    assert lost == "docs/registry.md has no command 'toolkit fly'"
    assert "permission: {options" in unnamed
    assert unnamed.endswith(": neither typed nor named with a reason")
