"""Which pieces a host of a swarm asks for first."""

from __future__ import annotations

import pytest

from toolkit.hostside import swarm_order
from toolkit.hostside.swarm_order import LATER, NEVER, SHARE, SHARE_LATER, SOON, priorities

FILES = {0: range(2), 2: range(3, 5), 3: range(5, 7)}


@pytest.mark.parametrize(
    ("ahead", "whole", "order"),
    [
        (9, set(), [SHARE, SOON, NEVER, SOON, SHARE, SOON, SHARE]),
        (2, set(), [SHARE, SOON, NEVER, LATER, SHARE_LATER, LATER, SHARE_LATER]),
        (3, set(), [SHARE, SOON, NEVER, SOON, SHARE, LATER, SHARE_LATER]),
        # One that has come makes room, and keeps its rank: what has none does not count as wanted.
        (2, {0}, [SHARE, SOON, NEVER, SOON, SHARE, LATER, SHARE_LATER]),
        (2, {2}, [SHARE, SOON, NEVER, LATER, SHARE_LATER, LATER, SHARE_LATER]),
        (2, {0, 2}, [SHARE, SOON, NEVER, SOON, SHARE, SOON, SHARE]),
    ],
)
def test_files_come_one_after_the_other_and_the_own_share_of_each_comes_first(
    monkeypatch: pytest.MonkeyPatch, ahead: int, whole: set[int], order: list[int]
) -> None:
    monkeypatch.setattr(swarm_order, "AHEAD", ahead)
    assert priorities(7, FILES, whole, index=0, count=2) == order
