"""What `toolkit status` shows of a replica's memory."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.cli.shell import Prompt, Shell
from tests.cli.test_json import Fleet
from toolkit.domain.hosts.facts import HostFacts
from toolkit.errors import HostError

MIB = 2**20


@pytest.mark.parametrize(
    ("devices", "taken", "shown"),
    [
        ((), None, "3 GB"),
        # recorded: an engine of 7 billion parameters that sleeps, and that serves
        ((0,), 1_856 * MIB, "1.95 GB"),
        ((0,), 22_280 * MIB, "23.4 GB"),
        # The memory of the host is no answer for a replica on a device.
        ((0,), None, "-"),
    ],
)
def test_a_replica_is_shown_with_the_memory_of_the_place_where_it_computes(
    prompt: Prompt,
    monkeypatch: pytest.MonkeyPatch,
    devices: tuple[int, ...],
    taken: int | None,
    shown: str,
) -> None:
    fleet = Fleet(prompt, monkeypatch, 1)
    assert fleet.prompt("deploy", "tiny@v1", "--yes").code == 0
    (slot,) = fleet.world.host.observe().slots
    held = replace(slot, devices=devices, device_memory=taken, memory=3 * 10**9)
    fleet.world.see(slots=(held,))
    heading, row, *_ = fleet.prompt("status").out.splitlines()
    place = heading.index("MEMORY")
    assert row[place:].split("  ")[0] == shown
    (document,) = fleet("status").json()["slots"]
    assert (document["memory"], document["device_memory"]) == (3 * 10**9, taken)


def test_one_that_sleeps_is_not_up(prompt: Prompt, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = Fleet(prompt, monkeypatch, 1)
    assert fleet.prompt("deploy", "tiny@v1", "--yes").code == 0
    (slot,) = fleet.world.host.observe().slots
    for rests, state, up in ((False, "draining", "s"), (True, "asleep", "-")):
        changed = replace(slot, asleep="asleep", rests=rests, started_at=fleet.world.clock() - 5)
        # A host in memory falls asleep at once.
        monkeypatch.setattr(fleet.world.host, "_routed", lambda _, seen=changed: seen)
        heading, row, *_ = fleet.prompt("status").out.splitlines()
        assert row[heading.index("STATE") :].startswith(state)
        assert row.endswith(up)


def test_watch_shows_it_again_and_is_not_for_programs(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[float] = []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("toolkit.cli.commands.status._rest", sleep)
    said = shell("status", "--watch")
    assert (said.code, looks) == (130, [2.0, 2.0, 2.0])
    assert said.out.count("nothing is deployed") == 3
    assert shell("status", "--watch", "--json").code == 2


def test_a_watch_opens_its_history_once_and_outlives_a_host_that_is_silent_for_a_while(
    prompt: Prompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = Fleet(prompt, monkeypatch, 3)
    looks, opened = list[float](), list[object]()
    victim = fleet.world.hosts["gpu2"]
    answer = victim.observe

    def silent() -> HostFacts:
        raise HostError("gpu2: no answer")

    def rest(seconds: float) -> None:
        looks.append(seconds)
        monkeypatch.setattr(victim, "observe", silent if len(looks) == 1 else answer)
        if len(looks) == 3:
            raise KeyboardInterrupt

    def open_history(*_: object, **__: object) -> object:
        opened.append(fleet.world.history)
        return fleet.world.history

    monkeypatch.setattr("toolkit.cli.commands.status._rest", rest)
    monkeypatch.setattr("toolkit.cli.commands.status.open_history", open_history)
    said = fleet.prompt("status", "--watch")
    assert (said.code, len(looks), len(opened)) == (130, 3, 1)
    assert said.out.count("nothing is deployed") == 3
    assert said.err.count("gpu2") == 1
