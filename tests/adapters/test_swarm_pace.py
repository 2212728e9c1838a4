"""Which shares of a swarm are held back."""

from __future__ import annotations

import pytest

from toolkit.adapters.swarm_pace import Given, Pace

MIB = 2**20
SIZE = 64 * MIB


def after_ten_seconds(*given: int, size: int = SIZE) -> tuple[list[int], int]:
    """Return the limits once so many MiB have left of each, and the even rate by then."""
    pace, found = Pace(), []
    for tick in range(101):
        shares = [Given(each * MIB * tick // 100, size) for each in given]
        found = pace.limits(shares, 1000 + tick / 10)
    return found, sum(given) * MIB // 10 // len(given)


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        ((20, 20, 20), (0, 0, 0)),
        ((20, 21, 20), (0, 0, 0)),
        ((20, 22, 23), (0, 0.75, 0.5)),
        ((20, 24, 60), (0, 0.25, 0.25)),
        # Nobody waits for what is whole, and it is not held back either.
        ((64, 23, 20), (0, 0.5, 0)),
        ((64, 64), (0, 0)),
    ],
)
def test_those_ahead_wait_for_the_last(given: tuple[int, ...], parts: tuple[float, ...]) -> None:
    limits, even = after_ten_seconds(*given)
    giving = [each for each in given if each < 64]
    if len(giving) < len(given):
        even = even * len(given) // max(1, len(giving))
    assert limits == [pytest.approx(part * even, rel=0.01) for part in parts]


def test_none_is_held_back_for_one_that_makes_no_use_of_it() -> None:
    """A host with a slow link: what the others do not send leaves this machine not at all."""
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
        # The first has all after 5 s, then the others share a link that is only a quarter as wide.
        if given[0] < 10 * MIB:
            given = [given[0] + 0.2 * MIB, given[1] + 0.1 * MIB, given[2] + 0.02 * MIB]
        else:
            given[1] += 0.02 * MIB
            given[2] += 0.01 * MIB
    assert limits[1] > 0
