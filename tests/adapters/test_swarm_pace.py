"""Which shares of a swarm are slowed."""

from __future__ import annotations

import pytest

from toolkit.adapters.distribution.swarm_pace import Given, Pace

MIB = 2**20
SIZE = 64 * MIB


def after_ten_seconds(*given: int, size: int = SIZE) -> tuple[list[int], int]:
    """Return the limits after `given` MiB of each share have left, and the even rate of the unfinished ones."""
    pace, found = Pace(), []
    for tick in range(101):
        shares = [Given(each * MIB * tick // 100, size) for each in given]
        found = pace.limits(shares, 1000 + tick / 10)
    giving = sum(each * MIB < size for each in given)
    return found, sum(given) * MIB // 10 // max(1, giving)


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        ((20, 20, 20, 20), (0, 0, 0, 0)),
        ((20, 22, 20, 20), (0, 0, 0, 0)),
        ((20, 23, 24, 20), (0, 0.9375, 0.875, 0)),
        ((20, 60, 30, 20), (0, 0.85, 0.85, 0)),
        # With two shares, one may have a longer lead.
        ((20, 24), (0, 0)),
        ((20, 26), (0, 0.875)),
        # A finished share is neither waited for nor slowed.
        ((64, 26, 20), (0, 0.875, 0)),
        ((64, 64), (0, 0)),
    ],
)
def test_those_ahead_wait_for_the_last(given: tuple[int, ...], parts: tuple[float, ...]) -> None:
    limits, even = after_ten_seconds(*given)
    assert limits == [pytest.approx(part * even, rel=0.01) for part in parts]


def test_none_is_held_back_for_one_that_makes_no_use_of_it() -> None:
    """A host with a slow link: bandwidth that the other shares give up is not used."""
    pace, slow, others = Pace(), 0.0, 0.0
    held = []
    for tick in range(200):
        now = 1000 + tick / 10
        limits = pace.limits([Given(int(slow), SIZE), Given(int(others), SIZE)], now)
        slow += 0.01 * MIB
        others += limits[1] / 10 if limits[1] else 2 * MIB / 10
        held.append(bool(limits[1]))
    assert any(held[:40])
    assert not any(held[80:])


def test_a_rate_that_falls_since_some_have_given_all_is_no_reason_to_stop() -> None:
    pace, given = Pace(), [0.0, 0.0, 0.0]
    for tick in range(150):
        limits = pace.limits([Given(int(each), 10 * MIB) for each in given], 1000 + tick / 10)
        # The first share is finished after 5 s; then the others share a link with a quarter of the bandwidth.
        if given[0] < 10 * MIB:
            given = [given[0] + 0.2 * MIB, given[1] + 0.1 * MIB, given[2] + 0.02 * MIB]
        else:
            given[1] += 0.02 * MIB
            given[2] += 0.01 * MIB
    assert limits[1] > 0
