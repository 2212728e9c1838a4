"""Whether a model is idle, from the counters of all hosts."""

from __future__ import annotations

from toolkit.domain.hosts.load import HostSample, ReplicaCount, TargetCount
from toolkit.planning.upkeep.idle_after import Activity, Idle, counted, look


def target(slot: str, answered: int, *, worker: int = 1, opened: int = 0) -> TargetCount:
    return TargetCount(worker, "tiny", slot, answered, 0, 0, opened)


def sample(*targets: TargetCount, answers: bool = True) -> HostSample:
    replicas = (ReplicaCount("tiny", "blue", "1:2", answers),)
    return HostSample(0.0, 0.0, "b", True, targets, replicas)


def test_all_hosts_and_all_workers_of_their_routers_count() -> None:
    seen = {
        "gpu2": sample(target("blue", 1), answers=False),
        "gpu1": sample(
            target("green", 2), target("blue", 3), target("blue", 4, worker=2, opened=1)
        ),
    }
    words = "gpu1/blue=7 gpu1/green=2 gpu2/blue=1"
    assert counted(seen) == {"tiny": Activity(words, open=True, up=True)}
    assert counted({"gpu2": seen["gpu2"]}) == {"tiny": Activity("gpu2/blue=1", False, False)}
    assert counted({}) == {}


def test_the_time_without_a_request_is_that_since_the_count_last_changed() -> None:
    count = Activity("gpu1/blue=7", False, True)
    known, over = look(None, count, 100.0, 60.0)
    assert (known, over) == (Idle("gpu1/blue=7", 100.0), False)
    assert look(known, count, 159.0, 60.0) == (known, False)
    assert look(known, count, 160.0, 60.0) == (known, True)
    # A router that started anew counts from nothing.
    assert look(known, Activity("gpu1/blue=0", False, True), 160.0, 60.0)[1] is False
