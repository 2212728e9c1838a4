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
    assert not late.is_stuck(119.0)
    assert late.is_stuck(121.0)
    late.checking = True
    assert not late.is_stuck(121.0)
