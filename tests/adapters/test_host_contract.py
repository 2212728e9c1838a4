"""What every host does, held by the fake in memory, by this machine with supervisord and by a host with systemd."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.adapters.host_lab import ENGINE, Behaviour, HostLab, release
from tests.hostside.router_lab import until
from tests.pace import Pace
from toolkit.adapters.fakes.host import FakeHost
from toolkit.adapters.hosts.client import silent
from toolkit.adapters.hosts.port import RemovedLeftovers
from toolkit.domain.clients.keys import HostKeys, KeyRing
from toolkit.domain.deployment.release import OpenDeployment
from toolkit.domain.engines.fit import Actual
from toolkit.domain.gates.guard import GuardOrder, GuardPhase, PairedProbe, Verdict
from toolkit.domain.hosts.facts import ProcessState
from toolkit.domain.hosts.leftover import LeftoverKind
from toolkit.domain.replicas.probe import LockOwner, PairsWanted, Waited
from toolkit.domain.trail.audit import Head
from toolkit.errors import BusyError, HostError
from toolkit.planning.engines.vllm_log import read_actual
from toolkit.planning.routing.edits import with_model, with_weights
from toolkit.planning.routing.keys import opened, with_key, without_key
from toolkit.planning.routing.routes import Routes, Target
from toolkit.planning.upkeep.load import loads

OWNER = LockOwner("ann@ops", "toolkit deploy tiny", os.getpid())
BOB = LockOwner("bob@ops2", "toolkit rollback tiny", 1)


@pytest.fixture(params=["fake", "real", pytest.param("systemd", marks=pytest.mark.system)])
def lab(request: pytest.FixtureRequest) -> HostLab:
    found: HostLab = request.getfixturevalue(f"{request.param}_host")
    found.empty(but_ready="program" in request.fixturenames)
    return found


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


def test_what_a_replica_compiled_before_clients_came_is_given_to_the_next(lab: HostLab) -> None:
    program = lab.start("blue")
    assert lab.host.wait_ready(program, lab.ports["blue"], 120, silent).ok
    kept = lab.host.keep_compiled(program)
    assert (bool(kept.name), kept.size > 0, kept.why) == (True, True, "")
    # Each kind is kept once.
    assert lab.host.keep_compiled(program) == replace(kept, size=0)
    other = lab.start("green", snapshot="good")
    assert lab.host.wait_ready(other, lab.ports["green"], 120, silent).ok
    if not isinstance(lab.host, FakeHost):
        found = lab.run("ls", f"{lab.host.host.root}/compiling/{other}/vllm").split()
        assert found == ["graph", "graph.loaded"]


def test_a_replica_that_dies_at_its_start_is_known_at_once_with_its_words(lab: HostLab) -> None:
    program = lab.start("blue", Behaviour.DIES_AT_START)
    waited = lab.host.wait_ready(program, lab.ports["blue"], 60, silent)
    assert (waited.ok, waited.reason) == (False, "its process ended")
    assert any("ValueError: no such thing" in line for line in waited.log)
    assert waited.seconds < 30


def test_what_lies_on_the_host_is_compared_with_what_was_put_there(lab: HostLab) -> None:
    assert lab.host.check_snapshot("good", silent) == ()
    lab.host.seal_engine(ENGINE, silent)
    found = lab.host.check_engine(ENGINE, silent)
    assert (found.sealed, found.faults) == (True, ())
    assert lab.host.observe().changed_files == ()


def test_an_engine_that_was_installed_beside_takes_the_place_of_a_changed_one(
    lab: HostLab, program: str
) -> None:
    lab.host.seal_engine(ENGINE, silent)
    with pytest.raises(HostError, match="no engine that could replace"):
        lab.host.swap_engine(ENGINE, silent)
    lab.install_beside()
    lab.change_engine()
    assert lab.host.check_engine(ENGINE, silent).faults == ("bin/vllm: was changed",)
    lab.host.swap_engine(ENGINE, silent)
    found = lab.host.check_engine(ENGINE, silent)
    assert (found.sealed, found.faults) == (True, ())
    assert lab.host.observe().engines == (ENGINE,)
    # The replica of before runs on, and another one starts.
    assert lab.ask("blue").startswith("hello from")
    assert lab.host.wait_ready(lab.start("green"), lab.ports["green"], 120, silent).ok


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


@pytest.mark.parametrize(
    ("behaviour", "status", "text"),
    [(Behaviour.EMPTY, 200, ""), (Behaviour.ERROR, 500, "")],
)
def test_bad_answers_come_back_as_they_are(
    lab: HostLab, behaviour: Behaviour, status: int, text: str
) -> None:
    program = lab.start("blue", behaviour)
    assert lab.host.wait_ready(program, lab.ports["blue"], 120, silent).ok
    answer = lab.host.complete(lab.ports["blue"], {"messages": []}, 60)
    assert (answer.status, answer.text) == (status, text)


def test_a_stream_and_a_prompt_without_messages_are_answered_too(
    lab: HostLab, program: str
) -> None:
    greedy = lab.host.complete(lab.ports["blue"], {"messages": [], "temperature": 0}, 60)
    for payload in ({"messages": [], "stream": True}, {"prompt": [32, 33]}):
        answer = lab.host.complete(lab.ports["blue"], payload, 60)
        assert (answer.status, answer.text, answer.error) == (200, greedy.text, "")
        assert answer.finish_reason == "stop"


def test_a_whole_answer_comes_in_one_piece_or_as_events_with_their_times(
    lab: HostLab, program: str
) -> None:
    path, asked = "/v1/chat/completions", {"messages": [], "temperature": 0}
    whole = lab.host.ask(lab.ports["blue"], path, asked, 60)
    text = json.loads(whole.body)["choices"][0]["message"]["content"]
    assert (whole.status, whole.events, whole.first, whole.error) == (200, (), None, "")
    assert text == lab.host.complete(lab.ports["blue"], asked, 60).text

    parts = lab.host.ask(lab.ports["blue"], path, {**asked, "stream": True}, 60)
    deltas = [json.loads(event)["choices"][0]["delta"] for event in parts.events]
    assert "".join(delta.get("content", "") for delta in deltas) == text
    assert (parts.status, parts.body, parts.error, len(parts.gaps)) == (200, "", "", 1)
    assert parts.first is not None
    assert 0 < parts.first <= parts.seconds < 60


def test_a_whole_answer_that_is_an_error_comes_with_its_words(lab: HostLab) -> None:
    program = lab.start("blue", Behaviour.ERROR)
    assert lab.host.wait_ready(program, lab.ports["blue"], 120, silent).ok
    for stream in (False, True):
        asked = {"messages": [], "stream": stream}
        answer = lab.host.ask(lab.ports["blue"], "/v1/chat/completions", asked, 60)
        assert (answer.status, answer.events, answer.first) == (500, (), None)
        assert "internal error" in answer.error


def test_a_replica_that_a_sampled_request_ends_gives_no_answer(lab: HostLab) -> None:
    program = lab.start("blue", Behaviour.DIES_SAMPLING)
    assert lab.host.wait_ready(program, lab.ports["blue"], 120, silent).ok
    asked = {"messages": [], "temperature": 0}
    assert lab.host.complete(lab.ports["blue"], asked, 60).status == 200
    answer = lab.host.complete(lab.ports["blue"], {**asked, "temperature": 1, "top_p": 0.9}, 60)
    assert (answer.status, answer.text) == (0, "")
    assert answer.error.startswith("RemoteDisconnected: ")


def test_pairs_take_the_times_of_both_replicas(lab: HostLab, program: str) -> None:
    told: list[Mapping[str, Any]] = []
    asked = {"stream": True, "messages": [{"content": "{fresh}"}]}
    blue = lab.ports["blue"]
    wanted = PairsWanted(blue, blue, "/v1/chat/completions", asked, pairs=2, concurrency=2)
    pairs = lab.host.pairs(wanted, told.append)
    assert told == [{"pair": 1}, {"pair": 2}]
    assert len(pairs) == 2
    for pair in pairs:
        for times in (pair.new, pair.old):
            assert times is not None
            assert (times.failed, times.asked) == (0, 2)
            assert times.first is not None
            assert 0 < times.first <= times.seconds
            assert times.tokens > 0
    (alone,) = lab.host.pairs(replace(wanted, old=0, pairs=1), silent)
    assert alone.old is None


def test_vitals_tell_of_a_replica_and_of_its_cache(lab: HostLab, program: str) -> None:
    began = lab.host.vitals(program, lab.ports["blue"])
    assert (began.state, began.lines, began.preemptions) == ("running", (), 0.0)
    assert began.pid > 0
    assert began.memory > 0
    assert read_actual(began.cache).tokens == 2048
    ended = lab.host.vitals(program, lab.ports["blue"], began.log or "0:0")
    assert (ended.pid, ended.started_at, ended.lines) == (began.pid, began.started_at, ())


def test_a_sample_has_what_replicas_and_router_have_counted(lab: HostLab, program: str) -> None:
    lab.route(with_model(Routes(), "tiny", _targets(lab, "blue"), created=1))
    first, second = lab.host.sample(), lab.host.sample()
    assert (first.boot, first.router) == (second.boot, True)
    assert second.clock > first.clock
    (replica,) = [each for each in second.replicas if each.slot == "blue"]
    assert (replica.model, replica.answers, replica.running) == ("tiny", True, 0.0)
    assert replica.process == first.replicas[0].process != ""
    load = loads(first, second)["tiny", "blue"]
    assert (load.requests, load.failed, load.open) == (0.0, 0.0, 0)


def test_a_host_without_counters_of_energy_says_why(lab: HostLab) -> None:
    found = lab.host.energy()
    assert (found.joules, found.devices) == (0.0, 0)
    assert found.fault == "no NVIDIA driver that counts energy"


def test_traffic_follows_the_routes(lab: HostLab, program: str) -> None:
    assert lab.host.wait_ready(lab.start("green"), lab.ports["green"], 120, silent).ok
    routes = with_model(Routes(), "tiny", _targets(lab, "blue"), created=1)
    lab.route(routes)
    assert _weights(lab) == {"blue": 100, "green": 0}

    lab.route(with_weights(routes, "tiny", {"blue": 0, "green": 100}))
    assert _weights(lab) == {"blue": 0, "green": 100}
    assert lab.host.drain("tiny", "blue", lab.ports["blue"], 5, silent).ok


def test_a_well_replica_passes_its_watch(lab: HostLab, program: str) -> None:
    assert lab.host.watch(program, lab.ports["blue"], 0.5, silent).ok


def test_a_standby_that_hangs_is_told_from_a_good_one(lab: HostLab, program: str) -> None:
    assert lab.host.probe(program, lab.ports["blue"]).ok
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
    lab.route(with_model(Routes(), "tiny", _targets(lab, "blue"), created=1))
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


def _order(lab: HostLab, phase: GuardPhase, seconds: float = 60.0) -> GuardOrder:
    return GuardOrder("r1", "tiny", "blue", "", 1, str(Behaviour.GOOD), phase, seconds)


def test_a_deployment_that_is_left_to_its_guard_is_kept_beside_the_next_one(
    lab: HostLab, program: str
) -> None:
    known = release(Behaviour.GOOD)
    baking = OpenDeployment("r1", "deploy", "tiny", "blue", "ann@ops", known, None, True, 5.0)
    with lab.host.lock(OWNER):
        assert lab.host.keep_deployment(baking)
        lab.host.guard_begin(_order(lab, GuardPhase.BAKE))
        coming = replace(baking, rollout="r2", model="other", actor="bob@ops")
        assert lab.host.keep_deployment(coming)
        assert lab.host.observe().open_deployments == (baking, coming)
        lab.host.drop_deployment("r2")
    lab.host.guard_end("tiny", "r1")
    seen = lab.host.observe()
    assert (seen.opened, seen.left_to_guards) == (None, (baking,))
    lab.host.drop_deployment("r1")
    assert lab.host.observe().open_deployments == ()


def test_a_guard_passes_the_phase_that_a_person_promotes_and_is_forgotten_at_its_end(
    lab: HostLab, program: str
) -> None:
    assert not lab.host.guard_wish("tiny", "promote", "bob@ops2")
    heard: list[object] = []
    with lab.host.lock(OWNER):
        lab.host.guard_begin(_order(lab, GuardPhase.SHARE))
        (known,) = lab.host.observe().guards
        assert (known.model, known.slot, known.rollout) == ("tiny", "blue", "r1")
        assert (known.phase, known.seconds, known.verdict) == (GuardPhase.SHARE, 60.0, None)
        assert lab.host.guard_wish("tiny", "promote", "bob@ops2")
        verdict = lab.host.guard_follow("tiny", heard.append)
        assert (verdict.gate, verdict.verdict, verdict.reason) == (
            "canary", Verdict.PASSED, "promoted by bob@ops2",
        )  # fmt: skip
        (known,) = lab.host.observe().guards
        assert (known.verdict, known.wish, known.withdrawn) == (verdict, "promote", "")
        # Longer than a busy machine takes to follow it.
        lab.host.guard_phase("tiny", GuardPhase.BAKE, 4.0)
        assert lab.host.guard_follow("tiny", heard.append).verdict is Verdict.PASSED
    assert heard
    lab.host.guard_end("tiny", "another")
    assert [each.phase for each in lab.host.observe().guards] == [GuardPhase.BAKE]
    lab.host.guard_end("tiny", "r1")
    assert lab.host.observe().guards == ()
    with pytest.raises(HostError, match="no guard of tiny watches"):
        lab.host.guard_follow("tiny", heard.append)


def test_a_damaged_order_is_named_while_its_guard_goes_on_and_a_repair_mends_it(
    lab: HostLab, program: str
) -> None:
    with lab.host.lock(OWNER):
        lab.host.guard_begin(_order(lab, GuardPhase.BAKE, 600.0))
    lab.damage_order("tiny")
    seen = lab.host.observe()
    assert seen.lost_guards == ("guard/tiny.json",)
    assert [each.rollout for each in seen.guards] == ["r1"]
    assert lab.host.repair_guards() == ()
    seen = lab.host.observe()
    assert (seen.lost_guards, len(seen.guards)) == ((), 1)
    lab.host.guard_end("tiny", "r1")
    lab.damage_order("other")
    assert lab.host.repair_guards() == ("guard/other.json",)
    assert lab.host.observe().lost_guards == ()


def test_wakes_are_held_off_by_the_holder_of_the_lock_alone(lab: HostLab) -> None:
    with pytest.raises(HostError, match="deployment lock was lost"):
        lab.host.hold_wakes(on=True)
    with lab.host.lock(OWNER):
        for on in (True, True, False, False, True):
            lab.host.hold_wakes(on=on)
    with pytest.raises(HostError, match="deployment lock was lost"):
        lab.host.hold_wakes(on=False)


def test_a_guard_withdraws_what_a_person_aborts_and_goes_on_with_nothing(
    lab: HostLab, program: str
) -> None:
    blue, green = _targets(lab, "green")
    lab.route(with_model(Routes(), "tiny", (replace(blue, standby=True), green), created=1))
    assert _weights(lab)["blue"] == 0
    with lab.host.lock(OWNER):
        lab.host.guard_begin(replace(_order(lab, GuardPhase.BAKE), slot="green", former="blue"))
        assert lab.host.guard_wish("tiny", "abort", "bob@ops2")
        verdict = lab.host.guard_follow("tiny", silent)
        assert (verdict.verdict, verdict.reason) == (Verdict.FAILED, "aborted by bob@ops2")
        (known,) = lab.host.observe().guards
        assert known.withdrawn == "aborted by bob@ops2"
        assert _weights(lab)["blue"] == 100
        with pytest.raises(HostError, match="has withdrawn green"):
            lab.host.guard_phase("tiny", GuardPhase.BAKE, 1.0)
    lab.host.guard_end("tiny", "r1")


def test_a_release_that_answers_errors_is_withdrawn_with_no_command_there(
    lab: HostLab, program: str
) -> None:
    assert lab.host.wait_ready(
        lab.start("green", Behaviour.ERROR), lab.ports["green"], 120, silent
    ).ok
    blue, green = _targets(lab, "green")
    lab.route(with_model(Routes(), "tiny", (replace(blue, standby=True), green), created=1))
    probe = PairedProbe("/v1/completions", {"model": "tiny", "prompt": "a"})
    order = replace(
        _order(lab, GuardPhase.BAKE, 600.0), slot="green", former="blue", probes=(probe,)
    )
    with lab.host.lock(OWNER):
        lab.host.guard_begin(replace(order, version=str(Behaviour.ERROR)))
    if isinstance(lab.host, FakeHost):
        lab.host.guard_looks()
    deadline = time.monotonic() + 60
    while not (known := lab.host.observe().guards[0]).withdrawn:
        assert time.monotonic() < deadline, known
        time.sleep(0.1)
    assert known.verdict is not None
    assert (known.verdict.gate, known.verdict.verdict) == ("bake", Verdict.FAILED)
    assert _weights(lab) == {"blue": 100, "green": 0}
    lab.host.guard_end("tiny", "r1")


def test_a_snapshot_can_be_removed_and_placed_again(lab: HostLab) -> None:
    lab.host.remove("snapshots", "good")
    assert "good" not in lab.host.observe().snapshots
    source = f"{lab.host.host.root}/sources/good"
    lab.host.place(source, "good", ["behaviour"], silent)
    assert "good" in lab.host.observe().snapshots


def test_what_was_cut_short_is_listed_and_goes_under_the_lock_alone(lab: HostLab) -> None:
    path = "engines/vllm-cut-short"
    assert path not in {each.path for each in lab.host.leftovers()}
    lab.cut_short(path)
    (found,) = [each for each in lab.host.leftovers() if each.path == path]
    assert (found.kind, found.of) == (LeftoverKind.INSTALLATION, "vllm-cut-short")
    assert (found.size, found.busy) == (4, "")
    assert 3600 <= found.age < 7200
    with pytest.raises(HostError, match="the deployment lock was lost"):
        lab.host.remove_leftovers([path])
    with lab.host.lock(OWNER):
        assert lab.host.remove_leftovers([path, "engines/none"]) == RemovedLeftovers(4, {})
    assert path not in {each.path for each in lab.host.leftovers()}


def _targets(lab: HostLab, serving: str) -> tuple[Target, ...]:
    return tuple(Target(s, p, 100 if s == serving else 0) for s, p in lab.ports.items())


def _weights(lab: HostLab) -> dict[str, int]:
    return {slot.slot: slot.weight for slot in lab.host.observe().slots}
