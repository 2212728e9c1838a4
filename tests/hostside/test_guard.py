"""A guard on a real router with real processes behind it: what it withdraws, what it passes, and what it survives."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.hostside.guard_lab import Crowd, Guarded, guard_order, guarded, takeover
from tests.hostside.router_lab import router_socket, until

BACK = {"blue": 100, "green": 0}
STAYS = {"blue": 0, "green": 100}


@pytest.fixture(scope="module")
def standing() -> Iterator[Guarded]:
    patch = pytest.MonkeyPatch()
    with guarded(patch) as lab:
        yield lab
    patch.undo()


@pytest.fixture
def lab(standing: Guarded) -> Iterator[Guarded]:
    """The lab as it was at its start: no guard, no fault, all traffic on blue, the lock held."""
    standing.held.update(held=True, owner={"token": "t1"})
    standing.said.clear()
    yield standing
    standing.unwatch()
    standing.thread = None
    standing.fault("")
    standing.fault("", "blue")
    standing.forget()
    standing.reset()


def test_errors_under_traffic_are_withdrawn_within_five_seconds_with_nobody_there(
    lab: Guarded,
) -> None:
    crowd = Crowd(lab.router.port, 20)
    lab.begin()
    lab.held.update(held=False, owner=None)
    time.sleep(1)
    lab.fault("500")
    verdict = lab.verdict(5)
    assert (verdict["gate"], verdict["verdict"]) == ("bake", "failed")
    assert "in a row failed, none of the serving release in the same time" in verdict["reason"]
    assert lab.weights() == BACK
    found = lab.found()
    assert found["withdrawn"] == verdict["reason"]
    shown = {each["name"]: each for each in verdict["figures"]}
    assert shown["requests"]["new"] > 20
    assert shown["failed"]["new"] > 10
    assert crowd.stop()["bad"] <= 5.5 * 20
    assert lab.said[-1] == "tiny-green is withdrawn, blue takes its traffic"


def test_a_bake_passes_by_its_probes_alone_and_the_verdict_stays_until_a_command_takes_it(
    lab: Guarded,
) -> None:
    lab.begin(seconds=2.0)
    verdict = lab.verdict(6)
    assert (verdict["verdict"], verdict["reason"]) == ("passed", "")
    shown = {each["name"]: (each["new"], each["old"]) for each in verdict["figures"]}
    assert shown["failed probes"] == (0, 0)
    assert shown["memory"][0] > 0
    lab.fault("500")
    time.sleep(1)
    assert (lab.found()["verdict"], lab.weights()) == (verdict, STAYS)


def test_a_share_goes_back_within_a_second_of_the_end_of_its_lease(lab: Guarded) -> None:
    lab.begin(phase="share", share=100)
    until(lambda: lab.found()["looked_at"])
    assert lab.found()["verdict"] is None
    lab.held.update(owner={"token": "another"})
    started = time.monotonic()
    verdict = lab.verdict(2)
    assert time.monotonic() - started < 1.2
    assert (verdict["gate"], verdict["verdict"]) == ("canary", "could not tell")
    assert verdict["reason"].startswith("the lease ended")
    assert (lab.weights(), bool(lab.found()["withdrawn"])) == (BACK, True)


def test_what_no_other_replica_can_take_is_withdrawn_once_one_is_up(lab: Guarded) -> None:
    lab.begin()
    # What the router's checks of blue ask for does not matter.
    pid = router_socket.processes(lab.router.directory)["current"][-1]
    router_socket.tell(lab.router.directory, pid, ["set server model.tiny/blue state maint"])
    guard_order.wish(lab.root, "tiny", "abort", "ann@ops")
    assert lab.verdict(3)["verdict"] == "failed"
    assert (lab.found()["withdrawn"], lab.weights()) == ("", STAYS)
    assert lab.said[-1] == "tiny-green keeps its traffic: no other replica of tiny is up"
    router_socket.tell(lab.router.directory, pid, ["set server model.tiny/blue state ready"])
    until(lambda: lab.found()["withdrawn"], 4)
    assert lab.weights() == BACK


def test_a_watch_that_starts_again_goes_on_and_sees_what_ended_meanwhile(lab: Guarded) -> None:
    lab.begin()
    until(lambda: lab.found()["watched"] > 0)
    lab.unwatch()
    before = lab.found()
    lab.watch()
    until(lambda: lab.found()["watched"] > before["watched"])
    assert lab.found()["verdict"] is None
    lab.unwatch()
    state = guard_order.learned(lab.root, {"model": "tiny", "rollout": "r1"})
    # As if the process had been another one.
    order = guard_order.read(lab.root, "tiny")
    assert order is not None
    kept = guard_order.found(lab.root, order)
    state["process"] = state["process"].rpartition(" ")[0] + " 1"
    guard_order.keep(lab.root, order, {**kept, "state": state}, durable=False)
    lab.watch()
    verdict = lab.verdict(3)
    assert (verdict["verdict"], verdict["reason"]) == (
        "failed",
        "its process ended and was started again",
    )
    assert lab.weights() == BACK


def test_a_bake_fails_where_the_standby_has_taken_over(lab: Guarded) -> None:
    lab.begin()
    until(lambda: lab.found()["looked_at"])
    takeover.promote(lab.root, ["tiny"])
    verdict = lab.verdict(8)
    assert (verdict["verdict"], verdict["reason"]) == (
        "failed",
        "the router found it down, and its standby has taken over",
    )
    assert lab.weights() == BACK


def test_a_verdict_whose_withdrawal_was_cut_short_is_carried_out(lab: Guarded) -> None:
    lab.begin()
    lab.unwatch()
    order = guard_order.read(lab.root, "tiny")
    assert order is not None
    failed = {"gate": "bake", "verdict": "failed", "reason": "it hangs", "figures": []}
    guard_order.keep(lab.root, order, {"verdict": failed}, durable=True)
    lab.watch()
    assert lab.verdict(2) == failed
    assert (lab.weights(), lab.found()["withdrawn"]) == (BACK, "it hangs")


@pytest.mark.parametrize(
    ("wish", "verdict", "weights"), [("promote", "passed", STAYS), ("abort", "failed", BACK)]
)
def test_a_person_in_a_hurry_is_obeyed_at_once(
    lab: Guarded, wish: str, verdict: str, weights: dict[str, int]
) -> None:
    lab.begin()
    guard_order.wish(lab.root, "tiny", wish, "ann@ops")
    found = lab.verdict(2)
    assert (found["verdict"], found["reason"]) == (verdict, f"{wish.rstrip('e')}ed by ann@ops")
    assert lab.weights() == weights


def test_a_share_that_has_passed_is_watched_on_until_its_next_phase(lab: Guarded) -> None:
    lab.begin(phase="share", seconds=1.0)
    assert lab.verdict(4)["verdict"] == "passed"
    lab.fault("refuse")
    until(lambda: lab.found()["withdrawn"], 5)
    assert lab.found()["verdict"]["reason"] == "it refuses connections"
    assert lab.weights() == BACK
    with pytest.raises(guard_order.NoGuard):
        guard_order.enter(lab.root, "tiny", {"phase": "bake", "seconds": 1.0}, "t1")
