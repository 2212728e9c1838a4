"""A guard hears persons in a hurry at once, and the command that follows it hears of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from tests.hostside.guard_lab import Guarded, guard_follow, guard_order
from tests.hostside.test_guard import BACK, STAYS, lab, quick, standing

__all__ = ["lab", "quick", "standing"]


@pytest.mark.parametrize(
    ("wish", "verdict", "weights"), [("promote", "passed", STAYS), ("abort", "failed", BACK)]
)
def test_a_person_in_a_hurry_is_obeyed_at_once(
    quick: Guarded, wish: str, verdict: str, weights: dict[str, int]
) -> None:
    quick.begin()
    guard_order.wish(quick.root, "tiny", wish, "ann@ops")
    found = quick.verdict()
    assert (found["verdict"], found["reason"]) == (verdict, f"{wish.rstrip('e')}ed by ann@ops")
    assert quick.weights() == weights


def test_who_follows_a_share_that_has_passed_hears_of_its_abort(quick: Guarded) -> None:
    quick.begin(phase="share", seconds=0.3)
    assert quick.verdict()["verdict"] == "passed"
    with ThreadPoolExecutor() as pool:
        with quick.turn:
            guard_order.wish(quick.root, "tiny", "abort", "ann@ops")
            asked = {"root": quick.root, "model": "tiny"}
            told = pool.submit(guard_follow.follow, asked, lambda _: None)
            wait([told], 0.3)
        assert told.result(60)["reason"] == "aborted by ann@ops"
