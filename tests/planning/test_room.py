"""Does it fit: beside what runs, or in its place?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.planning.facts import GB, gpu, host, release, slot
from toolkit.domain.hosts.facts import HostFacts, ProcessState, SlotFacts
from toolkit.planning.change.room import Room, devices_to_start, find_room


def held(gigabytes: int, *devices: int, well: bool = True) -> SlotFacts:
    """Return a slot whose replica was given so much on these devices."""
    size = release(9, memory=gigabytes * GB, gpu=bool(devices))
    return slot("blue", size, devices=devices, well=well)


def measured(gigabytes: int, taken: int) -> SlotFacts:
    """Return such a slot on one device, of which the replica has so much."""
    return replace(held(gigabytes, 0), device_memory=taken * GB)


def cpu(gigabytes: int) -> Any:
    return release(1, memory=gigabytes * GB)


def cuda(gigabytes: int, devices: int = 1) -> Any:
    return release(1, memory=gigabytes * GB, devices=devices, gpu=True)


ONE = host(devices=(gpu(0, 24, 9),))
TWO = host(devices=(gpu(0, 24, 9), gpu(1, 24, 20)))
MIXED = host(devices=(gpu(0, 24, 24), gpu(1, 80, 80), gpu(2, 80, 30)))


@pytest.mark.parametrize(
    ("wants", "facts", "stopped", "fits", "devices"),
    [
        # system memory: half a gibibyte stays with the host
        (cpu(23), host(), [], True, ()),
        (cpu(24), host(), [], False, ()),
        (cpu(10), host(memory_available=8 * GB), [], False, ()),
        (cpu(10), host(memory_available=8 * GB), [held(4)], True, ()),
        (cpu(10), host(memory_available=8 * GB), [held(4, well=False)], False, ()),
        # devices: the emptiest that are large enough
        (cuda(9), ONE, [], True, (0,)),
        (cuda(10), ONE, [], False, ()),
        (cuda(20), ONE, [held(15, 0)], True, (0,)),
        # what the driver says that it has counts before what it was given
        (cuda(20), ONE, [measured(15, 10)], False, ()),
        (cuda(20), ONE, [measured(10, 11)], True, (0,)),
        # somebody else took what a crashed replica gave back
        (cuda(20), ONE, [held(15, 0, well=False)], False, ()),
        # never more than the device has
        (cuda(25), ONE, [held(20, 0)], False, ()),
        (cuda(20), TWO, [], True, (1,)),
        (cuda(30, devices=2), TWO, [], False, ()),
        (cuda(18, devices=2), TWO, [], True, (0, 1)),
        (cuda(40, devices=2), TWO, [held(30, 0, 1)], True, (0, 1)),
        (cuda(10, devices=3), TWO, [], False, ()),
        (cuda(60), MIXED, [], True, (1,)),
        (cuda(40, devices=2), MIXED, [], True, (1, 2)),
        (cuda(1), host(), [], False, ()),
        # one that dozes has little left to give back, one whose engine has ended nothing
        (cuda(11), ONE, [replace(held(15, 0), dozes=True)], True, (0,)),
        (cuda(12), ONE, [replace(held(15, 0), dozes=True)], False, ()),
        (cuda(12), ONE, [replace(measured(15, 3), dozes=True)], True, (0,)),
        (cuda(10), ONE, [replace(held(15, 0), rests=True)], False, ()),
        # a device that is gone gives nothing back
        (cuda(10), ONE, [held(15, 7)], False, ()),
    ],
)
def test_a_replica_fits_where_memory_and_devices_are_free(
    wants: Any, facts: HostFacts, stopped: list[SlotFacts], fits: bool, devices: tuple[int, ...]
) -> None:
    room = find_room(wants, facts, stopped)
    assert (room.fits, room.devices) == (fits, devices)


def test_one_that_falls_asleep_keeps_two_gibibytes_of_its_device() -> None:
    assert find_room(cuda(21), ONE, [], dozing=[held(15, 0)]).fits
    assert not find_room(cuda(22), ONE, [], dozing=[held(15, 0)]).fits
    assert find_room(cuda(22), ONE, [held(15, 0)]).fits


def test_what_was_compared_is_said() -> None:
    assert find_room(cpu(30), host(memory_available=0), []) == Room(
        False, "needs 30 GB of memory, 0 B free"
    )
    assert find_room(cuda(40, devices=2), TWO, []) == Room(
        False, "needs 20 GB on 2 device(s), 20 GB free on the emptiest"
    )
    assert find_room(cuda(1), host(), []).reason == (
        "needs 1 GB on 1 device(s), 0 B free on the emptiest"
    )


def waking(taken: int, *devices: int, rests: bool = False) -> SlotFacts:
    """Return a slot whose replica of 10 GB wakes and has taken so much."""
    made = replace(held(10, *devices), model="other", asleep="waking", rests=rests)
    return replace(made, device_memory=taken * GB) if devices else replace(made, memory=taken * GB)


@pytest.mark.parametrize(
    ("wants", "facts", "slots", "stopped", "fits"),
    [
        # 9 of 24 GB are free, and the one that wakes takes the rest of its 10
        (cuda(9), ONE, [waking(10, 0)], [], True),
        (cuda(6), ONE, [waking(7, 0)], [], True),
        (cuda(7), ONE, [waking(7, 0)], [], False),
        (cuda(1), ONE, [waking(0, 0)], [], False),
        # on another device it takes nothing here
        (cuda(20), TWO, [waking(0, 0)], [], True),
        (cuda(12, devices=2), TWO, [waking(0, 0, 1)], [], False),
        # one that has not begun does not begin now, and one that is stopped ends
        (cuda(9), ONE, [waking(0, 0, rests=True)], [], True),
        (cuda(9), ONE, [waking(0, 0)], [waking(0, 0)], True),
        (cpu(4), host(memory_available=12 * GB), [waking(3)], [], True),
        (cpu(5), host(memory_available=12 * GB), [waking(3)], [], False),
        (cpu(11), host(memory_available=12 * GB), [waking(0, rests=True)], [], True),
    ],
)
def test_a_replica_that_wakes_takes_its_memory_first(
    wants: Any, facts: HostFacts, slots: list[SlotFacts], stopped: list[SlotFacts], fits: bool
) -> None:
    room = find_room(wants, replace(facts, slots=tuple(slots)), stopped)
    assert room.fits == fits


def test_a_replica_that_must_start_without_room_starts_on_the_emptiest_devices() -> None:
    facts = host(devices=(gpu(0, 24, 2), gpu(1, 24, 9), gpu(2, 24, 5)))
    assert devices_to_start(cuda(15), facts, "green") == (1,)
    assert devices_to_start(cuda(30, devices=2), facts, "green") == (1, 2)
    assert devices_to_start(cuda(8), facts, "green") == (1,)
    assert devices_to_start(cuda(15), host(), "green") == ()
    assert devices_to_start(cpu(99), facts, "green") == ()


def test_a_replica_starts_where_it_runs_already_or_where_its_slot_leaves_room() -> None:
    there = replace(slot("blue", cuda(15), devices=(0,)), healthy=False)
    facts = host(there, devices=(gpu(0, 24, 9), gpu(1, 24, 24)))
    assert devices_to_start(cuda(15), facts, "blue") == (0,)
    assert devices_to_start(cuda(15), facts, "green") == (1,)
    alone = host(there, devices=(gpu(0, 24, 9),))
    assert devices_to_start(cuda(20), alone, "blue") == (0,)
    crashed = replace(there, process=ProcessState.FAILED)
    assert devices_to_start(cuda(15), host(crashed), "blue") == (0,)
    ended = host(replace(there, rests=True), devices=(gpu(0, 24, 9), gpu(1, 24, 24)))
    assert devices_to_start(cuda(15), ended, "blue") == (1,)
