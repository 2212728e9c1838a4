"""A guard on a real router with real processes behind it: what it withdraws, what it passes, and what it survives."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hostside.guard_lab import (
    ORDER,
    Crowd,
    Guarded,
    guard,
    guard_order,
    guard_probes,
    guarded,
    guards,
    processes,
)
from tests.hostside.router_lab import until
from tests.pace import Pace

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
    standing.spoke.clear()
    standing.tick = 0.5
    yield standing
    standing.unwatch()
    standing.thread = None
    standing.fault("")
    standing.fault("", "blue")
    standing.forget()
    standing.reset()


@pytest.fixture
def quick(lab: Guarded, monkeypatch: pytest.MonkeyPatch) -> Guarded:
    """The lab with a watch that looks more often than on hosts."""
    return hurried(lab, monkeypatch)


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Guarded]:
    """A lab as quick, for a fault that no engine recovers from."""
    with guarded(monkeypatch) as lab:
        yield hurried(lab, monkeypatch)


def hurried(lab: Guarded, patch: pytest.MonkeyPatch) -> Guarded:
    patch.setattr(guards, "LOOK", 0.1)
    patch.setattr(guard, "SELDOM", 0.25)
    patch.setattr(guard_probes, "PAUSE", 0.05)
    lab.tick = 0.05
    return lab


def test_errors_under_traffic_are_withdrawn_within_five_seconds_with_nobody_there(
    lab: Guarded, pace: Pace
) -> None:
    # On a busy machine good answers may come late; only those of the fault count here.
    crowd = Crowd(lab.router.port, 20, patience=20.0)
    lab.begin()
    lab.held.update(held=False, owner=None)
    began = crowd.answers["good"]
    until(lambda: crowd.answers["good"] > began + 20)
    lab.fault("500")
    first = pace()
    verdict = lab.verdict()
    assert pace() - first <= 5.5
    assert (verdict["gate"], verdict["verdict"]) == ("bake", "failed")
    assert "in a row failed, none of the serving release in the same time" in verdict["reason"]
    assert lab.weights() == BACK
    found = lab.found()
    assert found["withdrawn"] == verdict["reason"]
    shown = {each["name"]: each for each in verdict["figures"]}
    assert shown["requests"]["new"] > 20
    assert shown["failed"]["new"] > 10
    assert crowd.stop()["bad"] > 0
    until(lambda: lab.said[-1:] == ["tiny-green is withdrawn, blue takes its traffic"], 60)


def test_the_seconds_of_a_phase_begin_at_once_and_not_with_the_next_look_at_figures(
    quick: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick.begin()
    until(lambda: quick.found()["looked_at"])
    monkeypatch.setattr(guards, "LOOK", 3600.0)
    quick.forget()
    quick.begin(rollout="r2")
    until(lambda: quick.found()["looked_at"])
    assert quick.found()["verdict"] is None


def test_an_order_and_the_end_of_its_phase_wait_for_no_look(lab: Guarded) -> None:
    """The watch looks by itself once an hour here."""
    passed = 0
    with lab.process(tick=3600.0):
        until(lambda: Path(lab.root, "watch/bell").is_fifo(), 60)
        # The watch sees the first order by itself. An order whose replica answers too late waits for a look in vain.
        for number in range(10):
            lab.begin(rollout=f"r{number}", seconds=0.3, probes=[])
            began = time.monotonic()
            while not lab.found()["verdict"] and time.monotonic() - began < 10:
                time.sleep(0.02)
            passed += bool(lab.found()["verdict"])
            if passed == 2:
                break
    assert passed == 2


def test_a_bake_passes_by_its_probes_alone_and_the_verdict_stays_until_a_command_takes_it(
    quick: Guarded,
) -> None:
    quick.begin(seconds=1.0)
    verdict = quick.verdict()
    assert (verdict["verdict"], verdict["reason"]) == ("passed", "")
    shown = {each["name"]: (each["new"], each["old"]) for each in verdict["figures"]}
    assert shown["failed probes"] == (0, 0)
    assert shown["memory"][0] > 0
    quick.fault("500")
    looks = quick.looks
    until(lambda: quick.looks > looks + 5)
    assert (quick.found()["verdict"], quick.weights()) == (verdict, STAYS)


def test_a_memory_over_its_limit_is_measured_at_each_look_without_the_engines_own_times(
    quick: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "SELDOM", 3.0)
    measured = Counter[str]()
    for name in ("memory", "times"):
        given = getattr(guard.Replica, name)

        def counted(replica: Any, *args: Any, name: str = name, given: Any = given) -> Any:
            measured[name] += replica.program == "tiny-green"
            return given(replica, *args)

        monkeypatch.setattr(guard.Replica, name, counted)
    quick.begin()
    until(lambda: quick.found()["looked_at"])
    quick.fault("grow")
    assert quick.verdict()["reason"].startswith("its memory has grown")
    # The first look that finds it is an ordinary one; the others make sure, without waiting for the next ordinary one.
    assert measured["memory"] > measured["times"]
    assert quick.weights() == BACK


def test_a_share_goes_back_within_a_second_of_the_end_of_its_lease(quick: Guarded) -> None:
    quick.begin(phase="share", share=100)
    until(lambda: quick.found()["looked_at"])
    assert quick.found()["verdict"] is None
    quick.held.update(owner={"token": "another"})
    looks = quick.looks
    verdict = quick.verdict()
    # At once, but for looks that are under way; on hosts one comes every half second.
    until(lambda: quick.spoke, 60)
    assert quick.spoke[0] <= looks + 2
    assert (verdict["gate"], verdict["verdict"]) == ("canary", "could not tell")
    assert verdict["reason"].startswith("the lease ended")
    assert (quick.weights(), bool(quick.found()["withdrawn"])) == (BACK, True)


def test_what_no_other_replica_can_take_is_withdrawn_once_one_is_up(quick: Guarded) -> None:
    relieve = quick.fail_alone()
    assert (quick.found()["withdrawn"], quick.weights()) == ("", STAYS)
    words = "tiny-green keeps its traffic: no other replica of tiny is up"
    until(lambda: words in quick.said, 60)
    relieve()
    until(lambda: quick.found()["withdrawn"], 60)
    assert quick.weights() == BACK


@pytest.mark.parametrize("why", ["abort", "lease"])
def test_what_ends_on_all_hosts_at_once_is_withdrawn_in_turn(
    quick: Guarded, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    monkeypatch.setattr(guard.withdraw, "ahead", lambda *_: 1)
    monkeypatch.setattr(guard, "TURN", 3600.0)
    quick.begin(phase="share" if why == "lease" else "bake")
    until(lambda: quick.found()["looked_at"])
    if why == "abort":
        guard_order.wish(quick.root, "tiny", "abort", "ann@ops")
    else:
        quick.held.update(held=False, owner=None)
    words = "tiny-green keeps its traffic until other hosts have withdrawn theirs"
    until(lambda: words in quick.said, 60)
    looks = quick.looks
    until(lambda: quick.looks > looks + 5, 60)
    assert (quick.found()["withdrawn"], quick.weights()) == ("", STAYS)
    # A verdict without a withdrawal would say that no other replica can take the traffic.
    assert (quick.found()["verdict"], quick.said.count(words)) == (None, 1)
    monkeypatch.setattr(guard, "TURN", 0.0)
    quick.verdict()
    assert (bool(quick.found()["withdrawn"]), quick.weights()) == (True, BACK)


def test_what_a_guard_has_seen_itself_is_withdrawn_before_any_turn(
    quick: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard.withdraw, "ahead", lambda *_: 1)
    monkeypatch.setattr(guard, "TURN", 3600.0)
    quick.begin()
    until(lambda: quick.found()["looked_at"])
    quick.fault("500")
    assert quick.verdict()["verdict"] == "failed"
    until(lambda: quick.found()["withdrawn"], 60)
    assert quick.weights() == BACK


def test_a_watch_that_starts_again_goes_on_and_sees_what_ended_meanwhile(quick: Guarded) -> None:
    quick.begin()
    until(lambda: quick.found()["watched"] > 0)
    quick.unwatch()
    before = quick.found()
    quick.watch()
    until(lambda: quick.found()["watched"] > before["watched"])
    assert quick.found()["verdict"] is None
    quick.unwatch()
    state = guard_order.learned(quick.root, {"model": "tiny", "rollout": "r1"})
    # As if the process had been another one.
    order = guard_order.read(quick.root, "tiny")
    assert order is not None
    kept = guard_order.found(quick.root, order)
    state["process"] = state["process"].rpartition(" ")[0] + " 1"
    guard_order.keep(quick.root, order, {**kept, "state": state}, durable=False)
    quick.watch()
    verdict = quick.verdict()
    assert (verdict["verdict"], verdict["reason"]) == (
        "failed",
        "its process ended and was started again",
    )
    assert quick.weights() == BACK


@pytest.mark.parametrize(
    ("pid", "reason"),
    [(1, "its process ended and was started again"), (0, "its process ended")],
)
def test_a_replica_that_ends_before_the_first_look_fails_its_release_at_that_look(
    quick: Guarded, monkeypatch: pytest.MonkeyPatch, pid: int, reason: str
) -> None:
    quick.shift(blue=0, green=100)
    guard_order.begin(quick.root, ORDER, "t1")
    after = {"state": "running" if pid else "failed", "pid": pid, "started_at": None}
    monkeypatch.setattr(processes, "state", lambda *_: after)
    quick.watch()
    verdict = quick.verdict()
    assert (verdict["verdict"], verdict["reason"]) == ("failed", reason)
    assert quick.weights() == BACK


def test_a_verdict_whose_withdrawal_was_cut_short_is_carried_out(quick: Guarded) -> None:
    quick.begin()
    quick.unwatch()
    order = guard_order.read(quick.root, "tiny")
    assert order is not None
    failed = {"gate": "bake", "verdict": "failed", "reason": "it hangs", "figures": []}
    guard_order.keep(quick.root, order, {"verdict": failed}, durable=True)
    quick.watch()
    assert quick.verdict() == failed
    assert (quick.weights(), quick.found()["withdrawn"]) == (BACK, "it hangs")


def test_a_damaged_order_leaves_its_release_watched(quick: Guarded) -> None:
    quick.begin()
    looks = quick.looks
    until(lambda: quick.looks > looks + 3, 60)
    Path(quick.root, "guard/tiny.json").write_text("{")
    looks = quick.looks
    until(lambda: quick.looks > looks + 3, 60)
    quick.fault("500")
    assert quick.verdict()["verdict"] == "failed"
    assert quick.weights() == BACK


@pytest.mark.parametrize(
    "change",
    [
        {"judge": {}},
        {"judge": {"learned": {}, "watched": 1.0, "counts": []}},
        {"judge": {"learned": 5, "watched": "x", "counts": [[0, 0, 0], [], 5]}},
        {"usual": 5},
        {"process": 5},
        {"back": "x"},
    ],
)
def test_a_guard_that_does_not_know_what_it_had_learned_begins_its_phase_anew(
    quick: Guarded, change: dict[str, Any]
) -> None:
    quick.begin(seconds=3.0)
    until(lambda: quick.found()["watched"] > 0)
    quick.unwatch()
    path = Path(quick.root, "guard/tiny.found.json")
    found = json.loads(path.read_text())
    path.write_text(json.dumps({**found, "state": {**found["state"], **change}}))
    quick.watch()
    assert quick.verdict()["verdict"] == "passed"
    until(lambda: quick.said == ["bake of tiny v2: passed"], 60)


def test_only_a_breach_says_more_of_a_share_that_has_passed(
    quick: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick.begin(phase="share", seconds=0.5)
    assert quick.verdict()["verdict"] == "passed"
    # As after one failed request, once the phase and its patience are over.
    doubt = ("could not tell", "the last requests failed, which proves nothing yet")
    monkeypatch.setattr(guard.Judge, "verdict", lambda _: doubt)
    looks = quick.looks
    until(lambda: quick.looks > looks + 10, 60)
    assert (quick.found()["verdict"]["verdict"], quick.found()["withdrawn"]) == ("passed", "")


def test_an_order_that_is_begun_anew_between_two_looks_has_a_guard_of_its_own(
    quick: Guarded,
) -> None:
    quick.begin(seconds=0.1)
    assert quick.verdict()["verdict"] == "passed"
    with quick.turn:
        quick.forget()
        quick.begin()
    guard_order.wish(quick.root, "tiny", "abort", "ann")
    assert quick.verdict()["reason"] == "aborted by ann"


def test_an_order_of_which_no_guard_can_be_made_leaves_the_others_at_work(
    quick: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = {**ORDER, "model": "a-bad-one", "rollout": "r2", "adapters": {"names": 7}}
    guard_order.begin(quick.root, bad, "t1")
    looks = quick.looks
    quick.begin(phase="share")
    until(lambda: quick.looks > looks + 3, 60)
    # What a worker answers that ends just then has no columns.
    monkeypatch.setattr(guards.Meter, "read", lambda _: {}["pxname"])
    quick.held.update(held=False, owner=None)

    def withdrawn() -> str:
        facts = guard_order.facts(quick.root)
        (mine,) = [each for each in facts if each["order"]["model"] == "tiny"]
        return str(mine["withdrawn"])

    until(withdrawn, 60)
    assert quick.weights() == BACK
    until(lambda: any(words.startswith("guard of a-bad-one: ") for words in quick.said))


def test_a_share_of_which_nobody_can_tell_and_that_goes_on_depends_on_its_lease(
    quick: Guarded,
) -> None:
    quick.begin(phase="share", unsure="go-on", seconds=0.2, patience=0.2, requests=99, probes=[])
    assert quick.verdict()["verdict"] == "could not tell"
    looks = quick.looks
    until(lambda: quick.looks > looks + 5, 60)
    assert (quick.weights(), quick.found()["withdrawn"]) == (STAYS, "")
    quick.held.update(held=False, owner=None)
    until(lambda: quick.found()["withdrawn"], 60)
    assert quick.weights() == BACK


def test_a_share_that_has_passed_is_watched_on_until_its_next_phase(alone: Guarded) -> None:
    alone.begin(phase="share", seconds=1.0)
    assert alone.verdict()["verdict"] == "passed"
    alone.fault("refuse")
    until(lambda: alone.found()["withdrawn"], 60)
    assert alone.found()["verdict"]["reason"] == "it refuses connections"
    assert alone.weights() == BACK
    with pytest.raises(guard_order.NoGuard):
        guard_order.enter(alone.root, "tiny", {"phase": "bake", "seconds": 1.0}, "t1")
