"""When a swarm starts to give pieces to its hosts, and when a host counts as stuck."""

from __future__ import annotations

from typing import Any, cast

import pytest

from toolkit.adapters.distribution.swarm_member import Member, have_gathered

A_DIALOG: Any = object()


def member(**heard: Any) -> Member:
    return Member(0, cast(Any, None), **heard)


def joined(at: float) -> Member:
    return member(dialog=A_DIALOG, joined_at=at)


@pytest.mark.parametrize(
    ("members", "begin"),
    [
        ([member(), member()], False),
        ([joined(99.5), member()], False),
        ([joined(99.5), joined(99.9)], True),
        ([joined(99.5), member(ended=True)], True),
        ([member(ended=True), member(ended=True)], False),
        ([joined(97.9), joined(99.9), member()], True),
    ],
)
def test_all_are_given_to_at_once_unless_one_is_long_in_coming(
    members: list[Member], begin: bool
) -> None:
    assert have_gathered(members, now=100.0) is begin


def test_a_host_to_which_nothing_comes_is_stuck_until_it_has_everything() -> None:
    late = joined(100.0)
    late.heard(5, 100.0)
    assert not late.is_stuck(159.0)
    assert late.is_stuck(161.0)
    late.checking = True
    assert not late.is_stuck(161.0)


@pytest.mark.parametrize(
    ("heard", "slow"),
    [
        # At first no host has a whole piece to pass on.
        ([(0, 102.0), (0, 104.0)], False),
        ([(0, 104.0), (0, 108.0), (0, 112.0)], True),
        ([(0, 104.0), (0, 108.0), (0, 112.0), (900, 114.0)], False),
        ([(900, 102.0), (1800, 104.0), (1900, 106.0)], True),
        ([(900, 102.0), (1800, 104.0), (2400, 106.0)], False),
    ],
)
def test_a_host_is_slow_at_a_quarter_of_its_best_pace_or_with_nothing_for_long(
    heard: list[tuple[int, float]], slow: bool
) -> None:
    host = member(dialog=A_DIALOG, joined_at=100.0, moved_at=100.0)
    for done, now in heard:
        host.heard(done, now)
    assert host.slow is slow
