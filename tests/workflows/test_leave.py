"""Hosts join a fleet, leave it, and are replaced: nobody is routed to a host that left, and nobody forgets one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.workflows.world import TIMING, Killed, World, fleet_host, release
from toolkit.domain.deployment.release import Attempt, Span
from toolkit.domain.hosts.facts import HostFacts
from toolkit.domain.replicas.warmth import WhenAsleep
from toolkit.errors import HostError, InputError, RefusedError
from toolkit.planning.routing.agreement import agreed
from toolkit.planning.routing.edits import with_weights
from toolkit.workflows.change.leave import Leaving, drain_host, forget_host
from toolkit.workflows.change.repair import repair
from toolkit.workflows.change.sleep import put_to_sleep
from toolkit.workflows.change.stop import StopPlan, stop_model
from toolkit.workflows.fleet.look import look
from toolkit.workflows.fleet.status import hosts_that_left


def resized(world: World, path: Path, numbers: list[int]) -> World:
    """Return the fleet with the hosts of these numbers in its file: those it had as they are, and new ones."""
    path.mkdir()
    made = World(path, len(numbers), limits=world.limits)
    made.history.close()
    made.history = world.history
    fresh = list(made.hosts.values())
    made.hosts = {}
    for number, bare in zip(numbers, fresh, strict=True):
        others = tuple(f"10.0.0.{each}" for each in numbers if each != number)
        name = f"gpu{number}"
        found = world.hosts.get(name, bare)
        host = fleet_host(number, 9)
        found.host = type(host)(
            name, "ssh", f"10.0.0.{number}", relay_address=f"10.0.0.{number}", peers=others
        )
        found.facts = replace(found.facts, name=name)
        made.hosts[name] = found
        made.environments[name] = []
    return made


def left(world: World) -> dict[str, tuple[str, ...]]:
    """Return the hosts that left, as status shows them."""
    routes, _ = agreed(look(list(world.hosts.values())).by_label)
    return hosts_that_left(world.history, routes, list(world.hosts))


def served(world: World) -> dict[str, list[str]]:
    """Return the hosts that each router leads to."""
    return {
        name: sorted(
            {
                target.host
                for route in world.routes(name).routes
                for target in route.targets
                if target.weight
            }
        )
        for name in world.hosts
    }


def test_a_drained_host_serves_nothing_and_the_others_go_on(fleet: World) -> None:
    fleet.deploy(release(1))
    fleet.deploy(release(2))
    done = drain_host(fleet.command(), "gpu3", lambda _: True, TIMING)
    assert done.models == ("tiny",)
    assert fleet.hosts["gpu3"].facts.slots == ()
    assert fleet.serving() == {"gpu1": "v2", "gpu2": "v2"}
    assert {tuple(each) for each in served(fleet).values()} == {("gpu1", "gpu2")}
    # Nothing is left there: it may leave without a word.
    assert drain_host(fleet.command(), "gpu3", lambda _: True, TIMING).models == ()


def test_a_host_that_alone_serves_a_model_is_not_drained(fleet: World) -> None:
    fleet.deploy(release(1), named=("gpu3",))
    with pytest.raises(RefusedError, match="no other host serves tiny"):
        drain_host(fleet.command(), "gpu3", lambda _: True, TIMING)
    assert fleet.serving() == {"gpu3": "v1"}


def test_the_last_host_of_a_model_that_sleeps_is_not_drained(fleet: World) -> None:
    fleet.deploy(release(1), named=("gpu2", "gpu3"))
    put_to_sleep(fleet.command(), "tiny", WhenAsleep.WAIT, lambda _: True, TIMING)
    assert drain_host(fleet.command(), "gpu2", lambda _: True, TIMING).models == ("tiny",)
    with pytest.raises(RefusedError, match="no other host has tiny") as caught:
        drain_host(fleet.command(), "gpu3", lambda _: True, TIMING)
    assert caught.value.hint.startswith("toolkit wake tiny, then toolkit deploy tiny --host OTHER")
    route = fleet.routes("gpu1").of("tiny")
    assert route is not None
    assert {each.host for each in route.targets if each.asleep} == {"gpu3"}
    assert [slot.model for slot in fleet.hosts["gpu3"].facts.slots] == ["tiny"]


def test_a_host_whose_replica_alone_could_serve_again_is_not_drained(fleet: World) -> None:
    fleet.deploy(release(1), named=("gpu3",))
    fleet.deploy(release(2), named=("gpu3",))
    # The host has withdrawn what had the traffic.
    first = fleet.command()[0]
    first.routers.observed(look(list(fleet.hosts.values())).by_label)
    first.routers.change(
        lambda routes: with_weights(routes, "tiny", {"gpu3.blue": 0, "gpu3.green": 0}), set()
    )
    with pytest.raises(RefusedError, match="no other host serves tiny"):
        drain_host(fleet.command(), "gpu3", lambda _: True, TIMING)
    assert len(fleet.hosts["gpu3"].facts.slots) == 2


def test_of_two_hosts_that_are_drained_at_once_the_last_one_goes_on(fleet: World) -> None:
    fleet.deploy(release(1), named=("gpu1", "gpu2"))
    other = fleet.command()

    def meanwhile(_: Leaving) -> bool:
        drain_host(other, "gpu1", lambda _: True, TIMING)
        return True

    with pytest.raises(RefusedError, match="no other host serves tiny"):
        drain_host(fleet.command(), "gpu2", meanwhile, TIMING)
    assert fleet.serving() == {"gpu2": "v1"}


def test_the_end_of_an_interrupted_stop_elsewhere_leaves_a_host_its_model(fleet: World) -> None:
    fleet.deploy(release(1), named=("gpu1", "gpu2"))
    fleet.raise_at("routes reload", Killed)
    stop = fleet.command()
    with pytest.raises(Killed):
        stop_model(stop, "tiny", lambda _: True, named=["gpu1"], timing=TIMING)
    fleet.go_on()
    with pytest.raises(RefusedError, match="no other host serves tiny"):
        drain_host(fleet.command(), "gpu2", lambda _: True, TIMING)
    assert fleet.serving() == {"gpu2": "v1"}


def test_a_model_that_comes_to_a_host_while_it_is_asked_for_is_not_stopped(fleet: World) -> None:
    def meanwhile(_: Leaving) -> bool:
        fleet.deploy(release(1))
        return True

    fleet.deploy(replace(release(1), model="other"))
    with pytest.raises(RefusedError, match="tiny came to gpu3 meanwhile; nothing was changed"):
        drain_host(fleet.command(), "gpu3", meanwhile, TIMING)
    assert [slot.model for slot in fleet.hosts["gpu3"].facts.slots] == ["other", "tiny"]


def test_a_host_of_a_model_that_runs_over_several_is_refused_before_anybody_is_asked(
    fleet: World,
) -> None:
    fleet.deploy(release(2))
    fleet.deploy(replace(release(1), model="wide", span=Span(2)))
    asked: list[Leaving] = []
    with pytest.raises(InputError, match="gpu1 runs wide together with gpu2"):
        drain_host(fleet.command(), "gpu1", lambda each: not asked.append(each), TIMING)  # type: ignore[func-returns-value]
    assert asked == []
    assert [slot.model for slot in fleet.hosts["gpu1"].facts.slots] == ["tiny", "wide"]


def test_a_drain_goes_on_where_another_host_does_not_answer(fleet: World) -> None:
    fleet.deploy(release(1))
    fleet.deploy(replace(release(1), model="other"))

    def gone() -> None:
        raise HostError("gpu1: no route to host")

    fleet.hosts["gpu1"].observe = gone  # type: ignore[method-assign, assignment]
    with pytest.raises(
        HostError, match="gpu3 serves nothing, but not all routers follow"
    ) as caught:
        drain_host(fleet.command(), "gpu3", lambda _: True, TIMING)
    assert caught.value.hint.startswith("toolkit repair")
    assert fleet.hosts["gpu3"].facts.slots == ()


def test_a_stop_on_one_host_asks_again_where_the_other_was_stopped_meanwhile(fleet: World) -> None:
    fleet.deploy(release(1), named=("gpu1", "gpu2"))
    other, asked = fleet.command(), list[str]()

    def confirm(plan: StopPlan) -> bool:
        asked.append(plan.traffic)
        if len(asked) == 1:
            stop_model(other, "tiny", lambda _: True, named=["gpu1"], timing=TIMING)
        return len(asked) == 1

    with pytest.raises(RefusedError, match="not confirmed"):
        stop_model(fleet.command(), "tiny", confirm, named=["gpu2"], timing=TIMING)
    assert asked == [
        "Traffic of tiny leaves gpu2; the other hosts take it.",
        "Requests for tiny are refused from now on, until it is deployed again.",
    ]
    assert fleet.serving() == {"gpu2": "v1"}


def test_status_names_a_host_that_was_taken_out_until_it_is_forgotten(
    fleet: World, tmp_path: Path
) -> None:
    fleet.deploy(release(1))
    fewer = resized(fleet, tmp_path / "fewer", [1, 2])
    assert left(fewer) == {"gpu3": ("tiny",)}
    done = forget_host(fewer.command(), "gpu3", lambda _: True)
    assert done.models == ("tiny",)
    assert left(fewer) == {}
    assert {tuple(each) for each in served(fewer).values()} == {("gpu1", "gpu2")}
    with pytest.raises(InputError, match="no route and no record leads to gpu3"):
        forget_host(fewer.command(), "gpu3", lambda _: True)
    fewer.deploy(release(2))
    assert fewer.serving() == {"gpu1": "v2", "gpu2": "v2"}


def test_a_change_is_not_whole_while_a_host_that_left_gets_requests(
    fleet: World, tmp_path: Path
) -> None:
    fleet.deploy(release(1))
    fewer = resized(fleet, tmp_path / "fewer", [1, 2])
    for _ in range(2):
        # The second time nothing is left to be changed in the fleet.
        with pytest.raises(HostError, match="gpu3: left the fleet file, and still gets") as caught:
            fewer.deploy(release(2))
        assert "toolkit hosts forget gpu3" in str(caught.value.hint)
        assert fewer.serving() == {"gpu1": "v2", "gpu2": "v2"}
    forget_host(fewer.command(), "gpu3", lambda _: True)
    fewer.deploy(release(2))


def test_a_host_that_was_drained_first_needs_no_word(fleet: World, tmp_path: Path) -> None:
    fleet.deploy(release(1))
    drain_host(fleet.command(), "gpu3", lambda _: True, TIMING)
    assert left(resized(fleet, tmp_path / "fewer", [1, 2])) == {}


def test_a_member_that_answers_is_drained_not_forgotten(fleet: World) -> None:
    fleet.deploy(release(1))
    with pytest.raises(InputError, match="is in the fleet file and answers") as caught:
        forget_host(fleet.command(), "gpu3", lambda _: True)
    assert caught.value.hint.startswith("toolkit hosts drain gpu3")


def test_a_member_that_is_gone_for_good_can_be_forgotten(fleet: World) -> None:
    fleet.deploy(release(1))

    def gone() -> None:
        raise HostError("gpu3: no route to host")

    fleet.hosts["gpu3"].observe = gone  # type: ignore[method-assign, assignment]
    with pytest.raises(HostError):
        drain_host(fleet.command(), "gpu3", lambda _: True, TIMING)
    forget_host(fleet.command(), "gpu3", lambda _: True)
    assert {tuple(served(fleet)[name]) for name in ("gpu1", "gpu2")} == {("gpu1", "gpu2")}


def test_a_member_that_answers_again_while_it_is_asked_for_is_not_forgotten(fleet: World) -> None:
    fleet.deploy(release(1))
    observe = fleet.hosts["gpu3"].observe

    def gone() -> None:
        raise HostError("gpu3: no route to host")

    def back(_: Leaving) -> bool:
        fleet.hosts["gpu3"].observe = observe  # type: ignore[method-assign]
        return True

    fleet.hosts["gpu3"].observe = gone  # type: ignore[method-assign, assignment]
    with pytest.raises(InputError, match="gpu3 is in the fleet file and answers"):
        forget_host(fleet.command(), "gpu3", back)
    assert set(fleet.serving()) == {"gpu1", "gpu2", "gpu3"}


def test_a_router_that_still_leads_to_a_forgotten_host_is_named(tmp_path: Path) -> None:
    world = World(tmp_path, 4)
    world.deploy(release(1))
    observe = world.hosts["gpu3"].observe

    def silent() -> HostFacts:
        raise HostError("no route to host")

    for name in ("gpu3", "gpu4"):
        world.hosts[name].observe = silent  # type: ignore[method-assign]
    with pytest.raises(HostError) as caught:
        forget_host(world.command(), "gpu4", lambda _: True)
    assert caught.value.message == (
        "gpu4 is forgotten, but not all routers follow:\n  gpu3: unreachable, no route to host"
    )
    assert caught.value.hint == "toolkit repair tells all routers their routes, once they answer"
    assert [served(world)[name] for name in ("gpu1", "gpu2")] == [["gpu1", "gpu2", "gpu3"]] * 2
    world.hosts["gpu3"].observe = observe  # type: ignore[method-assign]
    with pytest.raises(HostError, match="gpu4: no route to host"):
        repair(world.command(), lambda _: True)
    assert served(world)["gpu3"] == ["gpu1", "gpu2", "gpu3"]
    world.history.close()


def test_what_was_cut_short_on_a_forgotten_host_is_closed(fleet: World, tmp_path: Path) -> None:
    fleet.deploy(release(1))
    opened = fleet.history.open_deployment(Attempt(
        model="tiny", action="deploy", release=1, previous=None, slot="blue", actor="ann", host="gpu3"
    ))  # fmt: skip
    fewer = resized(fleet, tmp_path / "fewer", [1, 2])
    forget_host(fewer.command(), "gpu3", lambda _: True)
    assert opened not in [each.id for each in fewer.history.unfinished()]


def test_a_fleet_grows_from_one_host_and_shrinks_to_one_without_a_new_replica(
    tmp_path: Path,
) -> None:
    (tmp_path / "one").mkdir()
    one = World(tmp_path / "one", 1)
    one.deploy(release(1))
    one.deploy(release(2))
    two = resized(one, tmp_path / "two", [1, 2])
    two.deploy(release(2), replicas=2)
    assert two.serving() == {"gpu1": "v2", "gpu2": "v2"}
    assert [event for event in two.hosts["gpu1"].events if event.startswith("replica")] == []
    assert served(two) == {"gpu1": ["gpu1", "gpu2"], "gpu2": ["gpu1", "gpu2"]}
    back = resized(two, tmp_path / "back", [1])
    assert left(back) == {"gpu2": ("tiny",)}
    forget_host(back.command(), "gpu2", lambda _: True)
    assert served(back) == {"gpu1": [""]}
    assert not back.deploy(release(2)).changed
    back.rollback()
    assert back.serving() == {"gpu1": "v1"}


def test_a_replaced_host_takes_its_place_under_its_name(fleet: World, tmp_path: Path) -> None:
    fleet.deploy(release(1))
    del fleet.hosts["gpu3"]
    anew = resized(fleet, tmp_path / "anew", [1, 2, 3])
    anew.deploy(release(1), replicas=3)
    assert anew.serving() == {"gpu1": "v1", "gpu2": "v1", "gpu3": "v1"}


def test_a_history_of_several_fleets_names_no_host_of_another(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    here = World(tmp_path / "a", 3)
    here.deploy(release(1))
    other = resized(World(here.path, 1), tmp_path / "b", [7])
    other.history = here.history
    other.deploy(release(1))
    assert left(other) == {}
    assert left(here) == {}
