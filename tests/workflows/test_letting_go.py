"""A host lets go of its former replica while the next host of the rollout begins: the end of its own change."""

from __future__ import annotations

import threading

import pytest

from tests.pace import paced
from tests.workflows.world import AGES, World, press_ctrl_c, release
from toolkit.domain.deployment.release import Outcome
from toolkit.errors import HostError, InterruptionError

DRAINED, STOPPED = "drain tiny-blue", "replica absent tiny-blue"


def outcomes(fleet: World) -> dict[str, Outcome]:
    return {each.host: each.outcome for each in fleet.history.deployments("tiny")[: fleet.count]}


@pytest.mark.parametrize("moment", [DRAINED, STOPPED])
def test_the_next_host_starts_meanwhile(fleet: World, moment: str) -> None:
    fleet.deploy(release(1))
    begun = threading.Event()

    def wait(event: str) -> None:
        if event == moment:
            assert begun.wait(60), "gpu2 waits for gpu1"

    def begin(event: str) -> None:
        if event == "replica started tiny-green":
            begun.set()

    fleet.hosts["gpu1"].before, fleet.hosts["gpu2"].before = wait, begin
    done = fleet.deploy(release(2), standby=False)
    assert done.plan.batches == (("gpu1",), ("gpu2",), ("gpu3",))
    assert fleet.table() == [("green", "v2", "healthy", 100)]
    assert set(outcomes(fleet).values()) == {Outcome.LIVE}


def test_no_host_begins_before_the_one_before_it_has_baked(fleet: World) -> None:
    fleet.deploy(release(1))
    seen: list[tuple[str, str]] = []
    for name, each in fleet.hosts.items():
        each.before = lambda event, name=name: seen.append((name, event))  # type: ignore[misc]
    fleet.deploy(release(2))
    for former, following in (("gpu1", "gpu2"), ("gpu2", "gpu3")):
        begins = seen.index((following, "replica started tiny-green"))
        assert seen.index((former, "watch tiny-green")) < begins


def test_a_host_that_cannot_let_go_is_restored_and_ends_the_rollout(fleet: World) -> None:
    fleet.deploy(release(1))
    failures = iter([HostError("gpu1: the disk is full")])

    def fail(event: str) -> None:
        if event == STOPPED and (error := next(failures, None)):
            raise error

    fleet.hosts["gpu1"].before = fail
    with pytest.raises(HostError, match="the disk is full") as caught:
        fleet.deploy(release(2), standby=False)
    assert "gpu1: restored: tiny #1 (v1)" in caught.value.message
    assert "gpu3: untouched: tiny #1 (v1)" in caught.value.message
    assert fleet.serving() == {"gpu1": "v1", "gpu2": "v1", "gpu3": "v1"}
    assert fleet.history.unfinished() == []


def interrupted_at(fleet: World, moment: str, *, standby: bool) -> str:
    """Deploy version 2; the operator gives up when `moment` begins on gpu1 and would take ages. Return what is said."""
    pressed = False

    def before(event: str) -> None:
        nonlocal pressed
        if event == moment and not pressed:
            pressed = True
            press_ctrl_c()
            fleet.interruption.sleep(AGES)

    fleet.hosts["gpu1"].before = before
    with paced() as pace, pytest.raises(InterruptionError) as caught:
        fleet.deploy(release(2), standby=standby)
    assert pace() < 5
    assert pressed
    return caught.value.message


@pytest.mark.parametrize(
    ("moment", "standby"), [(DRAINED, True), (DRAINED, False), (STOPPED, False)]
)
def test_an_interruption_then_leaves_its_release_live(
    fleet: World, moment: str, standby: bool
) -> None:
    fleet.deploy(release(1))
    said = interrupted_at(fleet, moment, standby=standby)
    assert said.startswith("gpu2: interrupted\n")
    assert "gpu1: live: tiny #2 (v2)" in said
    assert "gpu2: restored: tiny #1 (v1)" in said
    assert "gpu3: untouched: tiny #1 (v1)" in said
    assert fleet.serving() == {"gpu1": "v2", "gpu2": "v1", "gpu3": "v1"}
    assert fleet.history.unfinished() == []
    assert outcomes(fleet) == {
        "gpu1": Outcome.LIVE, "gpu2": Outcome.FAILED, "gpu3": Outcome.UNDONE,
    }  # fmt: skip
    fleet.hosts["gpu1"].before = lambda _: None
    fleet.deploy(release(2))
    assert fleet.serving() == {"gpu1": "v2", "gpu2": "v2", "gpu3": "v2"}
