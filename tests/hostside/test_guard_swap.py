"""A release that nothing serves beside dies in its bake: its guard sees it, and requests wait for the undoing."""

from __future__ import annotations

import time
from collections import Counter

import pytest

from tests.hostside.guard_lab import ORDER, Crowd, Guarded, guard_order, guarded
from tests.hostside.router_lab import until
from toolkit.planning.routing.edits import armed, with_model, with_weights, withheld
from toolkit.planning.routing.routes import Routes, Target

STAYS = {"blue": 0, "green": 100}


def swapped(lab: Guarded) -> None:
    """Leave the routes and the order of a swap whose new release has the traffic: what is in blue is no standby."""
    targets = (Target("blue", lab.ports["blue"]), Target("green", lab.ports["green"], 100))
    lab.router.apply(armed(with_model(Routes(), "tiny", targets, created=1), "tiny", 60))
    guard_order.begin(lab.root, {**ORDER, "former": ""}, "t1")
    lab.watch()


@pytest.mark.parametrize("alone", [False, True], ids=["with its command", "alone"])
def test_requests_wait_from_the_death_of_a_swapped_release_until_the_former_one_serves(
    monkeypatch: pytest.MonkeyPatch, alone: bool
) -> None:
    with guarded(monkeypatch) as lab:
        swapped(lab)
        crowd = Crowd(lab.router.port, rate=40, patience=40)
        until(lambda: crowd.answers["good"] > 40)
        if alone:
            lab.held.update(held=False, owner=None)
        lab.engines["green"].kill()
        verdict = lab.verdict()
        assert (verdict["verdict"], verdict["reason"]) == ("failed", "its process ended")
        # Nothing takes its part, so it keeps the traffic, which waits.
        assert (lab.weights(), lab.found()["withdrawn"]) == (STAYS, "")
        time.sleep(1)
        before = Counter(status for status, _ in crowd.seen)
        lab.router.apply(withheld(lab.router.routes, "tiny", "green", 60))
        time.sleep(0.5)
        lab.router.apply(with_weights(lab.router.routes, "tiny", {"blue": 100}))
        until(lambda: crowd.answers["good"] > before[200] + 80)
        crowd.stop()
        statuses = Counter(status for status, _ in crowd.seen)
        assert max(seconds for _, seconds in crowd.seen) > 1
        assert statuses[503] == 0
        # What the replica was computing is lost with it.
        assert sum(statuses.values()) - statuses[200] <= 2
