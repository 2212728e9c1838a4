"""The slots of a host in memory: what starts, runs and ends in them."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any

from toolkit.adapters.fakes.adapters import FakeAdapters
from toolkit.adapters.fakes.behaviour import Behaviour
from toolkit.adapters.hosts.port import Named
from toolkit.adapters.interruption import Interruption
from toolkit.domain.deployment.release import Release
from toolkit.domain.hosts.facts import HostFacts, ProcessState, SlotFacts
from toolkit.domain.hosts.fleet import Host

MEMORY = 24 * 10**9


@dataclass
class Slots(Named):
    """The slots of one host. `behaviour` is by version name; `events` lists the operations on the host, in order.

    The host calls `before` with the name of each operation; it may raise to play a crash at that point. `damaged` has
    the faults of snapshots and engines.
    """

    host: Host = field(default_factory=lambda: Host("localhost"))
    facts: HostFacts = field(
        default_factory=lambda: HostFacts(
            name="localhost",
            observed_at=0.0,
            init="systemd",
            os="Debian",
            python="3.11",
            memory=MEMORY,
            memory_available=MEMORY,
            disk_free=10**12,
            cpus=2,
        )
    )
    behaviour: dict[str, Behaviour] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)
    damaged: dict[str, tuple[str, ...]] = field(default_factory=dict)
    before: Callable[[str], None] = lambda _: None
    interruption: Interruption = field(default_factory=Interruption)
    adapters: FakeAdapters = field(default_factory=FakeAdapters)
    _turn: Lock = field(default_factory=Lock, repr=False, compare=False)

    def learn(self, change: Callable[[HostFacts], HostFacts]) -> None:
        """Change the facts of the host; commands change several of its slots at once."""
        with self._turn:
            self.facts = change(self.facts)

    def happens(self, event: str) -> None:
        """Note that `event` happens on the host, after what `before` does at it."""
        self.before(event)
        self.events.append(event)

    def start(self, manifest: Mapping[str, Any]) -> None:
        """Start the replica of a slot's manifest."""
        release = Release.from_json(manifest["release"])
        slot = SlotFacts(
            manifest["model"],
            manifest["slot"],
            manifest["port"],
            release,
            devices=tuple(manifest["devices"]),
            process=ProcessState.RUNNING,
            memory=release.memory,
            started_at=0.0,
        )
        for there in self.facts.slots:
            # Its start finds the mark of one that dozes, and waits.
            if program_of(there) == program_of(slot) and (there.dozes or there.rests):
                slot = replace(slot, rests=True, memory=0)
        self.adapters.begin(slot.port, release)
        self._set(slot)

    def rewrite(self, manifest: Mapping[str, Any]) -> None:
        """Write a slot's manifest beside the replica that runs on."""
        slot = self._slot(f"{manifest['model']}-{manifest['slot']}")
        self._set(replace(slot, release=Release.from_json(manifest["release"])))

    def stop(self, program: str) -> None:
        """Stop the replica of a slot and empty the slot."""
        self.learn(lambda facts: replace(facts, slots=others(facts, program)))

    def kill(self, program: str) -> None:
        """End a replica's process as a crash would. The successor of a replica that dozes waits."""
        if self._slot(program).dozes:
            self._set(replace(self._slot(program), dozes=False, rests=True))
            return
        self._set(
            replace(self._slot(program), process=ProcessState.FAILED, healthy=False, memory=0)
        )

    def _behaves(self, slot: SlotFacts) -> Behaviour:
        return self.behaviour.get(version_of(slot), Behaviour.GOOD)

    def _slot(self, program: str) -> SlotFacts:
        return next(each for each in self.facts.slots if program_of(each) == program)

    def _set(self, slot: SlotFacts) -> None:
        self.learn(lambda facts: replace(facts, slots=(*others(facts, program_of(slot)), slot)))


def mended(facts: HostFacts, damaged: Container[str]) -> HostFacts:
    """Return the facts of a host on which the files `damaged` are sound again."""
    return replace(facts, damaged=tuple(each for each in facts.damaged if each not in damaged))


def others(facts: HostFacts, program: str) -> tuple[SlotFacts, ...]:
    """Return the slots of a host but for that of `program`."""
    return tuple(each for each in facts.slots if program_of(each) != program)


def program_of(slot: SlotFacts) -> str:
    """Return the name of the program that a slot's replica is."""
    return f"{slot.model}-{slot.slot}"


def version_of(slot: SlotFacts) -> str:
    """Return the version whose release a slot has; empty where it has none."""
    return slot.release.version if slot.release else ""
