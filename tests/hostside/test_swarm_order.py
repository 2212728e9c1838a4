"""The order in which a host of a swarm requests pieces."""

from __future__ import annotations

import pytest

from toolkit.hostside import swarm_order
from toolkit.hostside.swarm_order import IN_TURN, NEVER, Order

FILES = {0: range(2), 2: range(3, 5), 3: range(5, 7)}


def test_what_is_in_no_wanted_file_is_not_asked_for() -> None:
    wanted = [IN_TURN, IN_TURN, NEVER, IN_TURN, IN_TURN, IN_TURN, IN_TURN, NEVER]
    assert Order(FILES, index=0, count=2).priorities(8) == wanted


@pytest.mark.parametrize(
    ("index", "coming", "due"),
    [
        (0, [[], [0], [4], [6]], [[0, 4], [6], [], []]),
        (1, [[], [5], [1, 3]], [[1, 3], [], []]),
        # Pieces of an interrupted run are not requested again.
        (0, [[0, 4], [6]], [[6], []]),
        (1, [[0, 2, 4, 6]], [[1, 3]]),
    ],
)
def test_a_few_of_a_hosts_share_come_before_all_others(
    monkeypatch: pytest.MonkeyPatch, index: int, coming: list[list[int]], due: list[list[int]]
) -> None:
    monkeypatch.setattr(swarm_order, "SHARE_AHEAD", 2)
    order, found = Order(FILES, index, count=2), []
    for pieces in coming:
        order.advance(pieces)
        found.append(order.due())
    assert found == due


def test_what_has_come_without_a_gap_is_told_file_by_file() -> None:
    order = Order(FILES, index=0, count=1)
    assert order.advance([]) == {}
    assert order.advance([1, 3]) == {}
    assert order.advance([0]) == {0: 2, 2: 1}
    assert order.advance([6]) == {}
    assert order.advance([5]) == {}
    assert order.advance([4]) == {2: 2, 3: 2}
