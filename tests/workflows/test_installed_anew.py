"""A host that was installed anew has nothing, and keeps its place in the fleet until somebody takes that away."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.workflows.installed import install_anew
from tests.workflows.test_cut_short import elsewhere, kept
from tests.workflows.world import Killed, World, release
from toolkit.adapters.fakes.behaviour import Behaviour
from toolkit.errors import InterruptionError, ToolkitError

COMMANDS: dict[str, Callable[[World], object]] = {
    "deploy": lambda world: world.deploy(release(2)),
    "upgrade": lambda world: world.deploy(release(3)),
    "rollback": lambda world: world.rollback(),
}
MOMENTS = [
    "place 00000000",
    "wait tiny-blue",
    "complete tiny-blue",
    "routes runtime",
    "drop deployment",
]
# The next command, and whether it comes from another ops machine.
FOLLOWING = [("deploy", False), ("upgrade", True), ("rollback", False), ("rollback", True)]


@pytest.fixture
def fleet(tmp_path: Path) -> World:
    world = World(tmp_path, 3)
    world.deploy(release(1))
    world.deploy(release(2))
    return world


@pytest.mark.parametrize(("following", "other"), FOLLOWING)
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("action", COMMANDS)
def test_it_serves_again_after_the_next_command(
    fleet: World, tmp_path: Path, action: str, moment: str, following: str, other: bool
) -> None:
    install_anew(fleet, "gpu2")
    fleet.raise_at(moment, Killed, "gpu2")
    # A command that does not come to this operation ends well.
    with suppress(Killed):
        COMMANDS[action](fleet)
    fleet.go_on()
    fleet.free()
    actor = elsewhere(fleet, tmp_path / "other") if other else fleet
    COMMANDS[following](actor)
    assert set(fleet.serving()) == {"gpu1", "gpu2", "gpu3"}
    assert len(set(fleet.serving().values())) == 1
    assert kept(fleet) == []


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("action", COMMANDS)
def test_it_keeps_its_place_where_ctrl_c_ends_the_command(
    fleet: World, action: str, moment: str
) -> None:
    install_anew(fleet, "gpu2")
    fleet.raise_at(moment, KeyboardInterrupt, "gpu2")
    with suppress(InterruptionError, KeyboardInterrupt):
        COMMANDS[action](fleet)
    fleet.go_on()
    fleet.free()
    fleet.deploy(release(2))
    assert set(fleet.serving()) == {"gpu1", "gpu2", "gpu3"}


@pytest.mark.parametrize("action", COMMANDS)
def test_one_whose_replica_does_not_start_is_tried_again(fleet: World, action: str) -> None:
    install_anew(fleet, "gpu2")
    for version in ("v1", "v2", "v3"):
        fleet.behave(version, Behaviour.DIES_AT_START, "gpu2")
    for _ in range(2):
        with pytest.raises(ToolkitError, match="gpu2"):
            COMMANDS[action](fleet)
    for version in ("v1", "v2", "v3"):
        fleet.behave(version, Behaviour.GOOD, "gpu2")
    COMMANDS[action](fleet)
    assert set(fleet.serving()) == {"gpu1", "gpu2", "gpu3"}


def test_hosts_whose_first_deployment_fails_have_no_place(tmp_path: Path) -> None:
    world = World(tmp_path, 3)
    world.behave("v1", Behaviour.DIES_AT_START, "gpu2")
    with pytest.raises(ToolkitError, match="gpu2"):
        world.deploy(release(1))
    assert {world.routes(name).routes for name in world.hosts} == {()}
    world.behave("v1", Behaviour.GOOD, "gpu2")
    world.deploy(release(1))
    assert set(world.serving()) == {"gpu1", "gpu2", "gpu3"}
