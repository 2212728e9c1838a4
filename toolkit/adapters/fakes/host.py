"""A host in memory, with its process supervisor and its router."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from toolkit.adapters.fakes.behaviour import UNFIT, Behaviour
from toolkit.adapters.fakes.guard import FakeGuards, Guarded
from toolkit.adapters.fakes.records import Recorded
from toolkit.adapters.fakes.replicas import Replicas
from toolkit.adapters.fakes.slots import mended
from toolkit.adapters.fakes.stock import Stocked
from toolkit.adapters.hosts.facts import own_routes
from toolkit.domain.gates.guard import AdapterReturn
from toolkit.domain.gates.verdict import GateResult, GuardPhase, Verdict
from toolkit.domain.hosts.facts import Device, GuardFacts, HostFacts, ProcessState, SlotFacts
from toolkit.domain.hosts.perimeter import Listener, Perimeter, ReplicaTries, Try
from toolkit.hostside.guard_names import order_path
from toolkit.hostside.routes_file import parsed


@dataclass
class FakeHost(Replicas, Stocked, Recorded, Guarded):
    """One host: its slots, router, replicas, stock, records and guards.

    `listeners` has what listens besides its router, `way_out` says how replicas' tries to leave end, and `homes` has
    the programs whose homes are there.
    """

    listeners: list[Listener] = field(default_factory=list)
    way_out: str = "refused"
    homes: set[str] = field(default_factory=set)
    guards: FakeGuards = field(init=False)

    def __post_init__(self) -> None:
        self.guards = FakeGuards(self._judge)

    def observe(self) -> HostFacts:
        self.interruption.check()
        slots = tuple(replace(self._routed(slot), can_rest=True) for slot in self.facts.slots)
        used = sum(slot.memory for slot in slots)
        return replace(
            self.facts,
            memory_available=self.facts.memory_available - used,
            devices=tuple(self._used(device, slots) for device in self.facts.devices),
            slots=slots,
            routes=own_routes(parsed(self.files.get("routes.json", "")), self.host),
            damaged=(*self.facts.damaged, *self._damaged()),
            held_by=self.owner,
            opened=self.opened,
            left_to_guards=tuple(self.left_to_guards),
            guards=tuple(self.guards.facts.values()),
            router=replace(
                self.facts.router,
                keys=len(self.ring.active),
                locked=self.ring.is_locked,
                ring_digest=str(self.ring.as_json()),
            ),
        )

    def perimeter(self) -> Perimeter:
        self.before("perimeter")
        running = [each for each in self.facts.slots if each.process is ProcessState.RUNNING]
        replicas = tuple(
            ReplicaTries(
                f"{each.model}-{each.slot}",
                each.model,
                each.slot,
                self.host.slot_user(f"{each.model}-{each.slot}"),
                (
                    Try("this host's own address", f"{self.host.address} tcp", "silent"),
                    Try("outside", "192.0.2.1 udp", self.way_out),
                    Try("outside", "192.0.2.1 tcp", "refused"),
                    Try("a resolver", "127.0.0.53 udp", "refused"),
                    Try("a name", "127.0.0.1 udp", "no way"),
                    Try("a name", "toolkit-perimeter.invalid", "no answer"),
                ),
            )
            for each in running
        )
        address, _, port = self.host.router_bind.rpartition(":")
        router = Listener("tcp", address, int(port), self.host.user, "haproxy")
        return Perimeter((router, *self.listeners), False, replicas)

    def repair_guards(self) -> tuple[str, ...]:
        self.happens("repair guards")
        found = self.facts.lost_guards
        # A standing guard has a copy of its order, so that order is not lost.
        standing = {order_path(model) for model in self.guards.orders}
        self.learn(lambda facts: mended(facts, found))
        lost = tuple(each for each in found if each not in standing)
        if self.opened and order_path(self.opened.model) in lost:
            self.opened = replace(self.opened, unjudged=True)
        self.left_to_guards = [
            replace(each, unjudged=True) if order_path(each.model) in lost else each
            for each in self.left_to_guards
        ]
        return lost

    def _used(self, device: Device, slots: Sequence[SlotFacts]) -> Device:
        taken = sum(
            slot.release.memory // len(slot.devices)
            for slot in slots
            if slot.release and device.index in slot.devices and slot.memory
        )
        return replace(device, memory_free=device.memory_free - taken)

    def _give_back(self, known: GuardFacts, swapped: AdapterReturn) -> None:
        port = next(
            each.port for each in self.facts.slots_of(known.model) if each.slot == known.slot
        )
        for each in (*(swapped.back if known.must_go else ()), *swapped.after):
            self.adapters.call(port, each.path, each.payload)

    def _judge(self, known: GuardFacts) -> GateResult:
        gate = "bake" if known.phase is GuardPhase.BAKE else "canary"
        behaves = self.behaviour.get(known.version, Behaviour.GOOD)
        if behaves in UNFIT:
            return GateResult(gate, Verdict.FAILED, f"it {behaves}")
        return GateResult(gate, Verdict.PASSED)


def gpu(memory: int, count: int = 1) -> tuple[Device, ...]:
    """Return `count` idle devices of `memory` bytes each."""
    return tuple(Device(index, "NVIDIA Test", memory, memory, "590.1") for index in range(count))
