"""What `toolkit plan` says an upgrade does is what `toolkit upgrade` plans: facts of a fleet -> exactly these words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.planning.facts import GB, host, release, slot, wanted
from toolkit.domain.deployment.plan import Strategy
from toolkit.domain.deployment.release import Span
from toolkit.domain.hosts.facts import HostFacts
from toolkit.errors import NothingSuitableError
from toolkit.planning.change.deploy import Wanted, plan_deploy
from toolkit.planning.change.rollout import Limits, plan_rollout
from toolkit.planning.fit.fleet import Upgrade, plan_upgrade
from toolkit.planning.fit.host_fit import HostFit
from toolkit.planning.routing.edits import with_model
from toolkit.planning.routing.routes import Routes, Target

BARE = host()
ROOMY = host(slot("blue", release(1), weight=100))
TIGHT = host(slot("blue", release(1, memory=14 * GB), weight=100))
DONE = host(slot("blue", release(2, memory=12 * GB), weight=100))
READY = host(
    slot("blue", release(1), weight=100), slot("green", release(2, memory=12 * GB)), snapshots=(2,)
)
DOWN = host(slot("blue", release(1), weight=100, well=False))
SMALL = replace(ROOMY, memory=8 * GB, memory_available=5 * GB)
WANTED = wanted(release(2, memory=12 * GB), "upgrade", ready_seconds=240.0)


def fleet(*facts: HostFacts) -> dict[str, HostFacts]:
    return {f"h{number}": replace(each, name=f"h{number}") for number, each in enumerate(facts, 1)}


def fit(name: str, facts: HostFacts) -> HostFit:
    return one_fit(name, facts, WANTED)


def one_fit(name: str, facts: HostFacts, asked: Wanted) -> HostFit:
    try:
        plan_deploy(asked, facts)
    except NothingSuitableError:
        return HostFit(name, False, "it does not fit", "")
    return HostFit(name, True, "why", "", wanted=asked)


def upgrade(
    facts: dict[str, HostFacts], limits: Limits, lost: dict[str, str] | None = None
) -> tuple[tuple[HostFit, ...], Upgrade]:
    fits = [fit(name, each) for name, each in facts.items()]
    return plan_upgrade("tiny", fits, facts, Routes(), limits=limits, unreachable=lost or {})


SWAP = "with an expected downtime of about 4 min 00 s"


@pytest.mark.parametrize(
    ("facts", "limits", "strategy", "words", "batches"),
    [
        # an upgrade is for the hosts that have the model
        (fleet(), Limits(), "", "", ()),
        (fleet(BARE, BARE), Limits(), "", "", ()),
        (fleet(DONE, DONE), Limits(), "", "", ()),
        (fleet(ROOMY, BARE), Limits(), "side-by-side", "on h1, why, with an expected downtime of 0 s", (("h1",),)),
        # one host alone has nobody who serves meanwhile
        (fleet(TIGHT), Limits(), "swap", f"on h1, why, {SWAP}", (("h1",),)),
        (fleet(TIGHT, BARE), Limits(), "swap", f"on h1, why, {SWAP}", (("h1",),)),
        (fleet(TIGHT, DOWN), Limits(), "swap",
         f"2 hosts, in batches: h2; then h1; swap on h1; side-by-side on h2; {SWAP}",
         (("h2",), ("h1",))),
        # several that have room do not roll
        (fleet(ROOMY, ROOMY), Limits(), "side-by-side",
         "2 hosts, in batches: h1; then h2; with an expected downtime of 0 s", (("h1",), ("h2",))),
        (fleet(ROOMY, ROOMY), Limits(serial=2), "side-by-side",
         "2 hosts, all at once: h1, h2; with an expected downtime of 0 s", (("h1", "h2"),)),
        # those that have none do, where others serve
        (fleet(TIGHT, TIGHT, TIGHT), Limits(serial=3), "rolling",
         "3 hosts, in batches: h1, h2; then h3; with an expected downtime of 0 s", (("h1", "h2"), ("h3",))),
        (fleet(TIGHT, ROOMY), Limits(), "rolling",
         "2 hosts, in batches: h1; then h2; rolling on h1; side-by-side on h2; with an expected downtime of 0 s",
         (("h1",), ("h2",))),
        (fleet(TIGHT, DONE), Limits(), "rolling", "on h1, why, with an expected downtime of 0 s", (("h1",),)),
        (fleet(TIGHT, TIGHT), Limits(keep=2), "refused",
         "2 hosts serve tiny and 2 must go on, but h1, h2 cannot hold both releases at once; "
         "add a host, or lower --keep", ()),
        (fleet(READY, READY), Limits(), "switch",
         "2 hosts, in batches: h1; then h2; with an expected downtime of 0 s", (("h1",), ("h2",))),
        # a host that cannot take it stops the upgrade of all
        (fleet(ROOMY, SMALL), Limits(), "", "not possible: h2 has tiny, and there it does not fit", ()),
        (fleet(SMALL, ROOMY, SMALL), Limits(), "",
         "not possible: h1, h3 have tiny, and there it does not fit", ()),
    ],
)  # fmt: skip
def test_what_an_upgrade_does_to_a_fleet(
    facts: dict[str, HostFacts],
    limits: Limits,
    strategy: str,
    words: str,
    batches: tuple[tuple[str, ...], ...],
) -> None:
    _, found = upgrade(facts, limits)
    assert (found.strategy, found.words, found.batches) == (strategy, words, batches)


def test_the_plan_says_what_the_rollout_does() -> None:
    facts = fleet(TIGHT, ROOMY, READY, DONE)
    plans = {name: plan_deploy(WANTED, each) for name, each in facts.items()}
    rollout = plan_rollout(plans, facts, Limits(serial=2), unreachable={})
    fits, found = upgrade(facts, Limits(serial=2))
    assert found.batches == rollout.batches == (("h1", "h2"), ("h3",))
    assert [each.strategy for each in fits] == ["rolling", "side-by-side", "switch", ""]
    assert [each.strategy or rollout.plans[each.host].strategy for each in fits] == [
        each.strategy for each in rollout.plans.values()
    ]


def test_a_host_out_of_reach_is_left_as_it_is() -> None:
    _, found = upgrade(fleet(ROOMY), Limits(), {"h9": "connection refused"})
    assert found.words == "on h1, why, with an expected downtime of 0 s; without h9, not reached"
    assert found.strategy == Strategy.SIDE_BY_SIDE


def test_hosts_that_run_one_replica_together_change_together() -> None:
    span = Span(2, ("10.0.0.1", "10.0.0.2"), 28000)
    old, new = (replace(release(n, memory=14 * GB), span=span) for n in (1, 2))
    facts = fleet(*[host(slot("blue", old, weight=100), snapshots=(2,))] * 2)
    asked = wanted(new, "upgrade", ready_seconds=240.0)
    fits = [one_fit(name, each, asked) for name, each in facts.items()]
    _, found = plan_upgrade("tiny", fits, facts, Routes(), limits=Limits(), unreachable={})
    # Nobody serves meanwhile, so this is no rolling change.
    assert (found.strategy, found.batches) == ("swap", (("h1", "h2"),))
    assert found.words == f"2 hosts, all at once: h1, h2; {SWAP}"
    routes = with_model(
        Routes(), "tiny", (Target("blue", 8100, 100, "h9", "10.0.0.9:8090"),), created=1
    )
    _, found = plan_upgrade(
        "tiny", fits, facts, routes, limits=Limits(), unreachable={"h9": "no answer"}
    )
    assert found.strategy == "refused"
    assert found.words.startswith("tiny runs on several hosts together, and not all of them answer")
