"""A guard judges a takeover by the standby: after the order, before it, and after a boot of the host."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from tests.hostside.guard_lab import ORDER, Guarded, guard, guard_order, processes, takeover
from tests.hostside.router_lab import until
from tests.hostside.test_guard import BACK, lab, quick, standing

__all__ = ["lab", "quick", "standing"]


@pytest.mark.parametrize("step", [0.0, -3600.0, 3600.0])
def test_a_bake_fails_where_the_standby_has_taken_over_whatever_becomes_of_the_clock(
    quick: Guarded, monkeypatch: pytest.MonkeyPatch, step: float
) -> None:
    quick.begin()
    until(lambda: quick.found()["looked_at"])
    clock = time.time() + step
    monkeypatch.setattr(takeover, "time", SimpleNamespace(time=lambda: clock))
    takeover.promote(quick.root, ["tiny"])
    verdict = quick.verdict()
    assert (verdict["verdict"], verdict["reason"]) == (
        "failed",
        "the router found it down, and its standby has taken over",
    )
    assert quick.weights() == BACK


def test_a_takeover_before_the_order_fails_nothing(
    quick: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Adapters change without a shift of traffic. So their route still names it, by a clock that was ahead then.
    clock = time.time() + 3600
    monkeypatch.setattr(takeover, "time", SimpleNamespace(time=lambda: clock))
    quick.shift(blue=100, green=0)
    takeover.promote(quick.root, ["tiny"])
    guard_order.begin(quick.root, {**ORDER, "seconds": 1.0}, "t1")
    quick.watch()
    assert quick.verdict()["verdict"] == "passed"


def boot(quick: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin a bake, and end the watch as a boot of the host does."""
    quick.begin()
    until(lambda: quick.found()["looked_at"])
    quick.unwatch()
    monkeypatch.setattr(processes, "boot", lambda: "the-next-boot")


def test_a_boot_after_which_the_standby_was_ready_first_says_nothing_of_the_release(
    quick: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    boot(quick, monkeypatch)
    takeover.promote(quick.root, ["tiny"])
    quick.watch()
    verdict = quick.verdict()
    assert (verdict["verdict"], verdict["reason"]) == (
        "could not tell",
        "the host started again, and its standby was ready before it",
    )
    assert quick.weights() == BACK


def test_a_bake_goes_on_after_a_boot_and_a_later_takeover_fails_it(
    quick: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    boot(quick, monkeypatch)
    monkeypatch.setattr(guard, "BOOTED_SECONDS", 0.0)
    quick.watch()
    watched = quick.found()["watched"]
    # The routes have the second of a takeover.
    until(lambda: quick.found()["watched"] > watched + 1.2)
    assert quick.found()["verdict"] is None
    takeover.promote(quick.root, ["tiny"])
    assert quick.verdict()["verdict"] == "failed"
