"""Two models under their guards at once on the same hosts: what befalls a canary leaves the bake of another alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest

from tests.workflows.guarding import GUARDED, cut_in_bake, guarded
from tests.workflows.test_guarded_killed import deploy_another
from tests.workflows.world import TIMING, World, release
from toolkit.adapters.fakes.host import FakeHost
from toolkit.domain.gates.guard import Guard
from toolkit.domain.gates.verdict import GateResult, Verdict
from toolkit.domain.hosts.facts import HostFacts
from toolkit.errors import ReleaseFailedError
from toolkit.planning.change.deploy import Wanted
from toolkit.planning.routing.routes import Routes
from toolkit.workflows.change.wanted import Order

__all__ = ["guarded"]


@pytest.fixture
def both(world: World) -> World:
    """Hosts on which `tiny` v2 bakes without a command, and `other` serves its v1."""
    world.guard = Guard(steps=GUARDED.steps, bake=600)
    deploy_another(world)
    cut_in_bake(world)
    for each in world.hosts.values():
        each.owner = each.holder = None
    return world


def upgrade_other(world: World, act: Callable[[], None]) -> None:
    """Upgrade `other` by a canary and a bake; `act` at its first share."""
    beside = replace(release(2), model="other", args=("--served-model-name", "other"))
    acted = False

    def before(event: str) -> None:
        nonlocal acted
        if event == "follow guard other" and not acted:
            acted = True
            act()

    world.host.before = before
    want = Wanted("deploy", beside, guard=GUARDED)
    timing = replace(TIMING, bake=None)
    world.order(Order("deploy", "other", lambda _: want, None, timing, world.limits))
    assert acted


def judge(world: World, model: str, verdict: Verdict, reason: str = "it is slow") -> None:
    """Have the guards of one model come to a verdict now, and those of the others let pass what they watch."""
    for each in world.hosts.values():
        each.guards.judge = lambda known: (
            GateResult("bake", verdict, reason)
            if known.model == model
            else GateResult("bake", Verdict.PASSED)
        )


def versions(world: World, model: str) -> set[str]:
    found = [each.observe().serving_slot(model) for each in world.hosts.values()]
    return {each.release.version if each and each.release else "" for each in found}


def test_a_breach_in_the_canary_of_one_model_does_not_end_the_bake_of_another(both: World) -> None:
    with pytest.raises(ReleaseFailedError, match="it is slow"):
        upgrade_other(both, lambda: judge(both, "other", Verdict.FAILED))
    assert versions(both, "other") == {"v1"}
    assert versions(both, "tiny") == {"v2"}
    assert all(each.guards.facts["tiny"].verdict is None for each in both.hosts.values())


def test_a_bake_that_fails_does_not_end_the_upgrade_of_another_model(both: World) -> None:
    def abort() -> None:
        for each in both.hosts.values():
            judge(both, "other", Verdict.PASSED)
            each.guard_wish("tiny", "abort", "ann@ops")

    upgrade_other(both, abort)
    assert versions(both, "other") == {"v2"}
    assert versions(both, "tiny") == {"v1"}
    for each in both.hosts.values():
        # no router leads any request to what a host has withdrawn
        tiny = Routes.from_json(each.observe().routes).of("tiny")
        assert tiny and [it.weight for it in tiny.targets if it.withdrawn] == [0] * len(both.hosts)


def test_hosts_may_give_up_a_bake_one_after_the_other_while_another_model_is_upgraded(
    both: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each says so only once it is told routes, and the next one withdraws while the command looks at it."""
    hosts = [*both.hosts.values()]
    gone: list[str] = []

    def give_up(host: FakeHost) -> None:
        if host.name not in gone:
            gone.append(host.name)
            host.guard_wish("tiny", "abort", "ann@ops")

    def observed(host: FakeHost, following: FakeHost) -> Callable[[], HostFacts]:
        observe = host.observe

        def look() -> HostFacts:
            if host.name in gone:
                give_up(following)
            return observe()

        return look

    for host, following in pairwise(hosts):
        monkeypatch.setattr(host, "observe", observed(host, following))

    def begin() -> None:
        judge(both, "other", Verdict.PASSED)
        give_up(hosts[0])

    upgrade_other(both, begin)
    assert gone == [each.name for each in hosts]
    assert (versions(both, "other"), versions(both, "tiny")) == ({"v2"}, {"v1"})


def test_a_bake_is_promoted_while_the_canary_of_another_model_is_aborted(both: World) -> None:
    def wishes() -> None:
        for each in both.hosts.values():
            each.guard_wish("tiny", "promote", "ann@ops")
            each.guard_wish("other", "abort", "bob@ops")

    with pytest.raises(ReleaseFailedError, match="aborted by bob@ops"):
        upgrade_other(both, wishes)
    both.go_on()
    both.judge(Verdict.PASSED)
    both.deploy(release(2))
    assert both.outcomes()[-1] == ("deploy", 2, "live")
    assert (versions(both, "tiny"), versions(both, "other")) == ({"v2"}, {"v1"})
