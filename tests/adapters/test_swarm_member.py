"""When a swarm starts to give pieces to its hosts, when a host counts as idle or stuck, and when the link is free."""

from __future__ import annotations

from typing import Any, cast

import pytest

from toolkit.adapters.distribution.swarm_member import Link, Member, have_gathered

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


def test_a_host_is_idle_where_nothing_has_come_for_long() -> None:
    host = member(dialog=A_DIALOG, joined_at=100.0, moved_at=100.0)
    # At first no host has a whole piece to pass on.
    assert not host.is_idle(109.0)
    assert host.is_idle(111.0)
    host.heard(900, 112.0)
    # A host that gets little is not idle: pieces that have left before would keep others from leaving.
    assert not host.is_idle(121.0)


@pytest.mark.parametrize(
    ("sent", "free"),
    [
        # Nothing has left yet.
        ([0, 0, 0], False),
        ([0, 1000, 2000], False),
        ([0, 1000, 1501], False),
        ([0, 1000, 1500], True),
        ([0, 1000, 1000], True),
        ([0, 1000, 1000, 2000], False),
    ],
)
def test_a_link_is_free_at_half_of_its_best_pace(sent: list[int], free: bool) -> None:
    link = Link()
    for second, total in enumerate(sent):
        link.sent(total, 100.0 + second)
    assert link.is_free is free
    assert not link.is_due(100.5 + len(sent) - 1)
    assert link.is_due(100.0 + len(sent))
