"""What every host does, held by the fake in memory, by this machine with supervisord and by a host with systemd."""

from __future__ import annotations

import os

import pytest

from tests.adapters.host_contract import OWNER, lab, targets_of, weights_of
from tests.adapters.host_lab import ENGINE, Behaviour, HostLab, release
from tests.hostside.router_lab import until
from tests.pace import Pace
from tests.system import waiting
from toolkit.adapters.hosts.client import silent
from toolkit.domain.clients.keys import HostKeys, KeyRing
from toolkit.domain.deployment.release import OpenDeployment
from toolkit.domain.engines.fit import Actual
from toolkit.domain.hosts.facts import ProcessState
from toolkit.domain.replicas.probe import LockOwner, Waited
from toolkit.domain.trail.audit import Head
from toolkit.errors import BusyError, HostError
from toolkit.planning.engines.vllm_log import read_actual
from toolkit.planning.routing.edits import with_model, with_weights
from toolkit.planning.routing.keys import opened, with_key, without_key
from toolkit.planning.routing.routes import Routes

__all__ = ["lab"]


BOB = LockOwner("bob@ops2", "toolkit rollback tiny", 1)


def test_a_provisioned_host_has_a_router_and_no_slots(lab: HostLab) -> None:
    facts = lab.host.observe()
    assert (facts.router.running, facts.slots) == (True, ())
    assert facts.router.bind == lab.host.host.router_bind
    assert {each.name.lower() for each in Behaviour} <= set(facts.snapshots)


def test_a_started_replica_becomes_ready_and_answers(lab: HostLab) -> None:
    program = lab.start("blue")
    waited = lab.host.wait_ready(program, lab.ports["blue"], 120, silent)
    assert (waited.ok, waited.reason) == (True, "")
    # What it took, from its log and its metrics.
    assert read_actual(waited.log) == Actual(tokens=2048, cache=2**29)

    answer = lab.host.complete(lab.ports["blue"], {"messages": []}, 60)
    assert (answer.status, answer.text[:10], answer.finish_reason) == (200, "hello from", "stop")

    (slot,) = lab.host.observe().slots
    assert (slot.model, slot.slot, slot.port) == ("tiny", "blue", lab.ports["blue"])
    assert (slot.process, slot.healthy, slot.weight) == (ProcessState.RUNNING, True, 0)
    assert slot.release is not None
    assert slot.release.engine == ENGINE


def test_a_replica_that_dies_at_its_start_is_known_at_once_with_its_words(lab: HostLab) -> None:
    program = lab.start("blue", Behaviour.DIES_AT_START)
    waited = lab.host.wait_ready(program, lab.ports["blue"], 60, silent)
    assert (waited.ok, waited.reason) == (False, "its process ended")
    assert any("ValueError: no such thing" in line for line in waited.log)
    assert waited.seconds < 30


def test_a_host_keeps_the_heads_of_audit_logs(lab: HostLab) -> None:
    log = os.urandom(16).hex()
    heads = [Head(log, "ops:/home/ops", number, f"{number:064x}") for number in (1, 2)]
    opened = OpenDeployment("r", "deploy", "tiny", "blue", "ann", None, None, False, 1.0)
    assert lab.host.keep_deployment(opened, heads[0])
    lab.host.drop_deployment("r")
    assert lab.host.keep_head(heads[1])
    kept = [each for each in lab.host.audit_heads() if each.head.log == log]
    assert [each.head for each in kept] == heads
    assert {each.host for each in kept} == {lab.host.name}


def test_a_request_that_no_log_has_is_none(lab: HostLab) -> None:
    assert lab.host.answered("nobody") == ()
    assert lab.host.find_use(["nobody"], 0.0) == ()


def test_what_is_logged_later_begins_where_the_last_look_ended(lab: HostLab) -> None:
    found = lab.host.read_requests("nobody", 5)
    assert (found.requests, found.more) == ((), False)
    assert lab.host.read_requests("nobody", 5, found.place).requests == ()


def test_a_replica_that_never_gets_ready_is_given_up(lab: HostLab) -> None:
    program = lab.start("blue", Behaviour.NEVER_READY)
    waited = lab.host.wait_ready(program, lab.ports["blue"], 1, silent)
    assert (waited.ok, waited.reason) == (False, "it was not ready within 1 s")


def test_a_wait_ends_with_an_interruption_and_the_host_answers_on(lab: HostLab, pace: Pace) -> None:
    program = lab.start("blue", Behaviour.NEVER_READY)
    started = pace()
    with pytest.raises(HostError, match="interrupted"):
        lab.host.wait_ready(program, lab.ports["blue"], 60, lambda _: lab.interruption.begin())
    with pytest.raises(HostError, match="interrupted"):
        lab.host.observe()
    # Ansible's start is in it; the wait that goes on would take a minute.
    assert pace() - started < 20
    lab.interruption.over()
    assert [slot.healthy for slot in lab.host.observe().slots] == [False]


def test_a_playbook_ends_with_an_interruption_and_can_be_played_again(
    lab: HostLab, pace: Pace
) -> None:
    started = pace()
    with pytest.raises(HostError, match="interrupted"):
        lab.start("blue", watch=lambda _: lab.interruption.begin())
    # Ansible's start is in it; the wait that goes on would take a minute.
    assert pace() - started < 20
    lab.interruption.over()
    program = lab.start("blue")
    assert lab.host.wait_ready(program, lab.ports["blue"], 120, silent).ok


def test_traffic_follows_the_routes(lab: HostLab, program: str) -> None:
    assert lab.host.wait_ready(lab.start("green"), lab.ports["green"], 120, silent).ok
    routes = with_model(Routes(), "tiny", targets_of(lab, "blue"), created=1)
    lab.route(routes)
    assert weights_of(lab) == {"blue": 100, "green": 0}

    lab.route(with_weights(routes, "tiny", {"blue": 0, "green": 100}))
    assert weights_of(lab) == {"blue": 0, "green": 100}
    assert lab.host.drain("tiny", "blue", lab.ports["blue"], 5, silent).ok


def test_a_well_replica_passes_its_watch(lab: HostLab, program: str) -> None:
    # In the end it has two seconds for an answer, which a busy machine may take from it once.
    waiting.until(
        lambda: lab.host.watch(program, lab.ports["blue"], 0.5, silent), 60, lambda found: found.ok
    )


def test_a_standby_that_hangs_is_told_from_a_good_one(lab: HostLab, program: str) -> None:
    # It has two seconds for its answer, which a busy machine may take from it once.
    waiting.until(lambda: lab.host.probe(program, lab.ports["blue"]), 60, lambda found: found.ok)
    frozen = lab.start("green", Behaviour.HANGS)
    assert lab.host.wait_ready(frozen, lab.ports["green"], 120, silent).ok
    waited = lab.host.probe(frozen, lab.ports["green"])
    assert (waited.ok, waited.reason) == (
        False,
        "it hangs: it did not answer a request of one token within 2 s",
    )


def fall_asleep(lab: HostLab, behaviour: Behaviour = Behaviour.GOOD) -> Waited:
    """Have a replica in blue that can doze do so."""
    program = lab.start("blue", behaviour, sleepy=True)
    assert lab.host.wait_ready(program, lab.ports["blue"], 120, silent).ok
    return lab.host.doze(program, 1, 60)


def states(lab: HostLab) -> tuple[ProcessState, bool, bool, bool]:
    """Return the process of the replica in blue, and whether it is healthy, dozes, rests."""
    (slot,) = lab.host.observe().slots
    return slot.process, slot.healthy, slot.dozes, slot.rests


RUNS = ProcessState.RUNNING


def test_a_replica_dozes_and_wakes(lab: HostLab) -> None:
    assert fall_asleep(lab).ok
    assert states(lab) == (RUNS, False, True, False)
    assert not lab.host.complete(lab.ports["blue"], {"messages": []}, 60).text
    waited = lab.host.rouse("tiny-blue", lab.ports["blue"], 60)
    assert (waited.ok, waited.reason) == (True, "")
    assert states(lab) == (RUNS, True, False, False)
    assert lab.ask("blue").startswith("hello from")


def test_a_replica_that_does_not_wake_says_why(lab: HostLab) -> None:
    assert fall_asleep(lab, Behaviour.NEVER_WAKES).ok
    waited = lab.host.rouse("tiny-blue", lab.ports["blue"], 60)
    assert not waited.ok
    assert waited.reason.startswith("its engine does not wake: RuntimeError: ")
    assert states(lab) == (RUNS, False, True, False)


def test_what_ends_while_it_dozes_rests_and_the_next_start_in_its_slot_is_a_start(
    lab: HostLab,
) -> None:
    waited = fall_asleep(lab, Behaviour.NEVER_SLEEPS)
    assert waited.reason.startswith("its engine does not sleep: RuntimeError: ")
    until(lambda: states(lab) == (RUNS, False, False, True), pause=0.2)
    waited = lab.host.rouse("tiny-blue", lab.ports["blue"], 60)
    assert (waited.ok, waited.reason) == (False, "its process has ended since it fell asleep")
    lab.stop("blue")
    lab.start("blue", sleepy=True)
    assert lab.host.wait_ready("tiny-blue", lab.ports["blue"], 120, silent).ok
    assert states(lab) == (RUNS, True, False, False)


def test_a_removed_replica_leaves_nothing(lab: HostLab, program: str) -> None:
    lab.stop("blue")
    assert lab.host.observe().slots == ()


def test_a_replica_that_dies_under_traffic_is_seen_while_it_is_watched(lab: HostLab) -> None:
    program = lab.start("blue", Behaviour.DIES_UNDER_TRAFFIC)
    lab.host.wait_ready(program, lab.ports["blue"], 120, silent)
    lab.route(with_model(Routes(), "tiny", targets_of(lab, "blue"), created=1))
    waited = lab.host.watch(program, lab.ports["blue"], 20, silent)
    assert not waited.ok
    assert waited.reason in ("its process ended", "it stopped answering")


def test_keys_are_united_and_what_was_revoked_stays_revoked(lab: HostLab) -> None:
    ann = with_key(KeyRing(), "ann", "tk-ann-" + "a" * 32, now=1.0, per_minute=60)
    bob = with_key(KeyRing(), "bob", "tk-bob-" + "b" * 32, now=2.0, concurrency=3)
    assert lab.host.apply_keys(ann) == lab.host.keys().ring
    assert [key.name for key in lab.host.apply_keys(bob).active] == ["ann", "bob"]
    both = lab.host.keys()
    assert both == HostKeys(ann.merged(bob))
    assert lab.host.apply_keys(without_key(both.ring, "ann", now=3.0)).is_locked
    assert [key.name for key in lab.host.apply_keys(ann).active] == ["bob"]
    assert lab.host.observe().router.keys == 1
    assert lab.host.observe().router.locked
    # for the cases after this one
    shut = without_key(lab.host.keys().ring, "bob", now=4.0)
    assert not lab.host.apply_keys(opened(shut)).is_locked
    assert not lab.host.observe().router.locked


def test_the_lock_is_held_by_one_and_names_them(lab: HostLab) -> None:
    assert lab.host.observe().held_by is None
    with lab.host.lock(OWNER):
        holder = lab.host.observe().held_by
        assert holder is not None
        assert (holder.actor, holder.command) == (OWNER.actor, OWNER.command)
        with pytest.raises(BusyError, match=r"ann@ops .*: toolkit deploy tiny"), lab.host.lock(BOB):
            pass
    assert lab.host.observe().held_by is None
    with lab.host.lock(BOB):
        pass


def test_a_host_keeps_a_deployment_until_it_ends(lab: HostLab) -> None:
    known = release(Behaviour.GOOD)
    opened = OpenDeployment("r1", "deploy", "tiny", "blue", "ann@ops", known, None, True, 5.0)
    assert lab.host.observe().opened is None
    with lab.host.lock(OWNER):
        assert lab.host.keep_deployment(opened)
    assert lab.host.observe().opened == opened
    lab.host.drop_deployment("another")
    assert lab.host.observe().opened == opened
    lab.host.drop_deployment("r1")
    assert lab.host.observe().opened is None


def test_wakes_are_held_off_by_the_holder_of_the_lock_alone(lab: HostLab) -> None:
    with pytest.raises(HostError, match="deployment lock was lost"):
        lab.host.hold_wakes(on=True)
    with lab.host.lock(OWNER):
        for on in (True, True, False, False, True):
            lab.host.hold_wakes(on=on)
    with pytest.raises(HostError, match="deployment lock was lost"):
        lab.host.hold_wakes(on=False)
