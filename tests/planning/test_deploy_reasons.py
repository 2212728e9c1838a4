"""What a plan says of itself: devices, reasons, and why nothing fits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.planning.deploy_facts import R1, R2, SERVES, STANDS_BY, big, dozing, on_gpu, sleepy
from tests.planning.facts import GB, gpu, host, release, slot, wanted
from toolkit.domain.deployment.plan import StepKind
from toolkit.domain.hosts.facts import HostFacts
from toolkit.errors import NothingSuitableError
from toolkit.planning.change.deploy import plan_deploy


@pytest.mark.parametrize(
    ("facts", "wants", "devices"),
    [
        (on_gpu(gpu(0, 24, 24)), big(1), (0,)),
        (on_gpu(gpu(0, 24, 9), gpu(1, 24, 24), running=big(1)), big(2), (1,)),
        (on_gpu(gpu(0, 24, 9), running=big(1)), big(2), (0,)),
        (on_gpu(*(gpu(i, 24, 24) for i in range(4))), big(1, 40, devices=2), (0, 1)),
        (
            on_gpu(
                *(gpu(i, 24, free) for i, free in enumerate((4, 4, 24, 24))),
                running=big(1, 40, devices=2),
                at=(0, 1),
            ),
            big(2, 40, devices=2),
            (2, 3),
        ),
    ],
)
def test_a_plan_names_the_devices_of_the_replica(
    facts: HostFacts, wants: Any, devices: tuple[int, ...]
) -> None:
    assert plan_deploy(wanted(wants), facts).devices == devices


def test_a_plan_says_who_serves_where_it_goes_and_what_it_moves() -> None:
    plan = plan_deploy(wanted(R2, missing_bytes=5 * GB, snapshot_size=6 * GB), host(SERVES))
    assert (plan.release, plan.previous, plan.slot) == (R2, R1, "green")
    assert [(str(step.kind), step.size) for step in plan.steps[:3]] == [
        ("fetch", 5 * GB), ("verify", 6 * GB), ("distribute", 6 * GB),
    ]  # fmt: skip
    assert plan.steps[0].reason == "5 GB of demo/tiny@000000000000 are not in the store"
    assert plan.as_json()["steps"][0] == {
        "kind": "fetch", "slot": "", "reason": plan.steps[0].reason, "size": 5 * GB,
        "share": 0, "seconds": 0, "requests": 0,
    }  # fmt: skip


def test_nothing_stops_for_a_release_that_dozes_and_whose_device_others_have_filled() -> None:
    other = slot("red", big(5, 8), model="other", weight=100, devices=(0,), memory=GB)
    serving = slot("green", big(2, 12), weight=100, devices=(0,), memory=GB)
    facts = host(
        replace(dozing(1), release=sleepy(1, 20)), serving, other, devices=(gpu(0, 24, 2),)
    )
    with pytest.raises(NothingSuitableError, match=r"does not fit on .* with other left running"):
        plan_deploy(wanted(sleepy(1, 20), "rollback"), facts)


def test_a_swap_says_why() -> None:
    plan = plan_deploy(wanted(big(2), hold_seconds=120.0), on_gpu(gpu(0, 24, 9), running=big(1)))
    assert plan.notes == (
        "both replicas do not fit at once: the old one stops before the new one starts",
        "requests wait at the router meanwhile, each for 2 min 00 s at most",
    )
    assert [step.seconds for step in plan.steps if step.kind is StepKind.HOLD] == [120.0]


def test_a_swap_says_what_becomes_of_a_release_that_can_doze() -> None:
    lies_down = plan_deploy(wanted(big(2)), on_gpu(gpu(0, 24, 9), running=sleepy(1)))
    assert lies_down.notes[0] == (
        "both replicas do not fit at once: the old one falls asleep before the new one starts"
    )
    facts = replace(on_gpu(gpu(0, 24, 9), running=sleepy(1)), memory_available=10 * GB)
    assert plan_deploy(wanted(big(2)), facts).notes[0] == (
        "release tiny #1 (v1) cannot doze, so it stops: its weights may need 15 GB of the host's "
        "memory, 9.46 GB are free"
    )
    tight = plan_deploy(wanted(big(2, 22)), on_gpu(gpu(0, 24, 9), running=sleepy(1)))
    assert tight.notes[0] == (
        "release tiny #1 (v1) cannot doze, so it stops: tiny #2 (v2) needs 22 GB on 1 device(s), "
        "21.9 GB free on the emptiest beside what stays of it"
    )


def test_the_reason_of_a_stop_is_the_real_one() -> None:
    """A dead replica cannot be a standby, whatever was asked for."""
    crashed = slot("blue", R1, weight=100, well=False)
    plan = plan_deploy(wanted(R2, "rollback"), host(crashed, STANDS_BY))
    assert plan.steps[-1].reason == "release tiny #1 (v1) does not run, so it is no standby"
    asked = plan_deploy(wanted(R2, keep_standby=False), host(SERVES, STANDS_BY))
    assert asked.steps[-1].reason == "no standby is kept"


@pytest.mark.parametrize(
    ("wants", "facts", "words"),
    [
        (
            release(1, memory=30 * GB), host(),
            "tiny v1 does not fit on localhost now: needs 30 GB of memory, 23.5 GB free, "
            "with nothing of ours left running",
        ),
        (
            big(2, 30), on_gpu(gpu(0, 24, 9), running=big(1)),
            "tiny v2 does not fit on localhost now: needs 30 GB on 1 device(s), 24 GB free on the "
            "emptiest, with nothing of ours left running",
        ),
        (
            release(1, memory=20 * GB), host(slot("blue", release(2, memory=9 * GB), model="other")),
            "tiny v1 does not fit on localhost now: needs 20 GB of memory, 14.5 GB free, "
            "with other left running",
        ),
        (
            big(2, 40, devices=2), on_gpu(gpu(0, 24, 24)),
            "tiny v2 does not fit on localhost now: needs 20 GB on 2 device(s), 24 GB free on the "
            "emptiest, with nothing of ours left running",
        ),
    ],
)  # fmt: skip
def test_what_fits_nowhere_is_refused(wants: Any, facts: HostFacts, words: str) -> None:
    with pytest.raises(NothingSuitableError) as caught:
        plan_deploy(wanted(wants), facts)
    assert caught.value.message == words
