"""What the guard of every host does, held by the same hosts as test_host_contract.py."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.adapters.host_contract import OWNER, lab, targets_of, weights_of
from tests.adapters.host_lab import Behaviour, HostLab, release
from tests.system import waiting
from toolkit.adapters.fakes.host import FakeHost
from toolkit.adapters.hosts.client import silent
from toolkit.domain.deployment.release import OpenDeployment
from toolkit.domain.gates.guard import GuardOrder, PairedProbe
from toolkit.domain.gates.verdict import GuardPhase, Verdict
from toolkit.errors import HostError
from toolkit.hostside.guard_names import order_path
from toolkit.planning.routing.edits import with_model
from toolkit.planning.routing.routes import Routes

__all__ = ["lab"]


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
        assert not known.must_go
        # The first may be over before a busy machine follows it.
        for seconds in (4.0, 30.0):
            lab.host.guard_phase("tiny", GuardPhase.BAKE, seconds)
            assert lab.host.guard_follow("tiny", heard.append).verdict is Verdict.PASSED
            if heard:
                break
    assert heard
    assert not lab.host.guard_wish("tiny", "abort", "bob@ops2")
    assert lab.host.observe().guards[0].withdrawn == ""
    lab.host.guard_end("tiny", "another")
    assert [each.phase for each in lab.host.observe().guards] == [GuardPhase.BAKE]
    lab.host.guard_end("tiny", "r1")
    assert lab.host.observe().guards == ()
    with pytest.raises(HostError, match="no guard of tiny watches"):
        lab.host.guard_follow("tiny", heard.append)


@pytest.mark.parametrize("other", ["other", "other.found"])
def test_a_damaged_order_is_named_while_its_guard_goes_on_and_a_repair_mends_it(
    lab: HostLab, program: str, other: str
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
    opened = OpenDeployment("r2", "deploy", other, "blue", "ann@ops", None, None, True, 5.0)
    with lab.host.lock(OWNER):
        assert lab.host.keep_deployment(opened)
    lab.damage_order(other)
    assert lab.host.repair_guards() == (order_path(other),)
    seen = lab.host.observe()
    assert (seen.lost_guards, seen.opened) == ((), replace(opened, unjudged=True))
    with lab.host.lock(OWNER):
        assert lab.host.keep_deployment(replace(opened, rollout="r3", model="third"))
    assert [each.rollout for each in lab.host.observe().open_deployments] == ["r2", "r3"]


def test_a_guard_withdraws_what_a_person_aborts_and_goes_on_with_nothing(
    lab: HostLab, program: str
) -> None:
    blue, green = targets_of(lab, "green")
    lab.route(with_model(Routes(), "tiny", (replace(blue, standby=True), green), created=1))
    assert weights_of(lab)["blue"] == 0
    with lab.host.lock(OWNER):
        lab.host.guard_begin(replace(_order(lab, GuardPhase.BAKE), slot="green", former="blue"))
        assert lab.host.guard_wish("tiny", "abort", "bob@ops2")
        verdict = lab.host.guard_follow("tiny", silent)
        assert (verdict.verdict, verdict.reason) == (Verdict.FAILED, "aborted by bob@ops2")
        (known,) = lab.host.observe().guards
        assert (known.withdrawn, known.must_go) == ("aborted by bob@ops2", True)
        assert weights_of(lab)["blue"] == 100
        assert not lab.host.guard_wish("tiny", "promote", "bob@ops2")
        with pytest.raises(HostError, match="has withdrawn green"):
            lab.host.guard_phase("tiny", GuardPhase.BAKE, 1.0)
    lab.host.guard_end("tiny", "r1")


def test_a_release_that_answers_errors_is_withdrawn_with_no_command_there(
    lab: HostLab, program: str
) -> None:
    assert lab.host.wait_ready(
        lab.start("green", Behaviour.ERROR), lab.ports["green"], 120, silent
    ).ok
    blue, green = targets_of(lab, "green")
    lab.route(with_model(Routes(), "tiny", (replace(blue, standby=True), green), created=1))
    probe = PairedProbe("/v1/completions", {"model": "tiny", "prompt": "a"})
    order = replace(
        _order(lab, GuardPhase.BAKE, 600.0), slot="green", former="blue", probes=(probe,)
    )
    with lab.host.lock(OWNER):
        lab.host.guard_begin(replace(order, version=str(Behaviour.ERROR)))
    if isinstance(lab.host, FakeHost):
        lab.host.guard_looks()
    known = waiting.until(lambda: lab.host.observe().guards[0], 60, lambda guard: guard.withdrawn)
    assert known.verdict is not None
    assert (known.verdict.gate, known.verdict.verdict) == ("bake", Verdict.FAILED)
    assert weights_of(lab) == {"blue": 100, "green": 0}
    lab.host.guard_end("tiny", "r1")
