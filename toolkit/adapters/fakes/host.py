"""A host in memory, with its process supervisor and its router."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from types import MappingProxyType
from typing import Any

from toolkit.adapters.fakes.adapters import LOAD, UNLOAD, FakeAdapters
from toolkit.adapters.fakes.answers import answer_of, answer_of_kind, times_of
from toolkit.adapters.fakes.behaviour import UNFIT, Behaviour
from toolkit.adapters.fakes.guard import FakeGuards, Guarded
from toolkit.adapters.hosts.client import Report
from toolkit.adapters.hosts.facts import asleep_of, own_routes, share_of
from toolkit.adapters.hosts.host import busy, lock_lost
from toolkit.adapters.hosts.port import CheckedEngine, FoundCompiled, KeptCompiled, RemovedLeftovers
from toolkit.adapters.interruption import Interruption
from toolkit.domain.clients.evidence import Answered
from toolkit.domain.clients.keys import HostKeys, KeyRing
from toolkit.domain.clients.requests import LoggedRequest, RecordedUse, RequestPart
from toolkit.domain.clients.use import LedgerSums, Place, UseChunk
from toolkit.domain.costs.energy import EnergyCount
from toolkit.domain.deployment.release import OpenDeployment, Release
from toolkit.domain.files.snapshot import FileDigest, digest_of_files
from toolkit.domain.gates.golden import Kind
from toolkit.domain.gates.guard import AdapterReturn, GateResult, GuardPhase, Verdict
from toolkit.domain.hosts.facts import (
    Device,
    GuardFacts,
    HostFacts,
    ProcessState,
    SlotFacts,
)
from toolkit.domain.hosts.fleet import Host
from toolkit.domain.hosts.leftover import Leftover
from toolkit.domain.hosts.load import HostSample, ReplicaCount, TargetCount
from toolkit.domain.hosts.perimeter import Listener, Perimeter, ReplicaTries, Try
from toolkit.domain.replicas.probe import (
    Answer,
    Call,
    Completion,
    LockOwner,
    Pair,
    PairsWanted,
    Vitals,
    Waited,
)
from toolkit.domain.trail.audit import Head, KeptHead
from toolkit.errors import HostError
from toolkit.hostside.routes_file import edited, is_sound, needs_reload, parsed, targets_of
from toolkit.hostside.sleeping import awake, sleepers
from toolkit.hostside.splices import Stale, spliced

MEMORY = 24 * 10**9
# The log lines on memory of a replica that is ready.
MEMORY_SAID = (
    "INFO Explicitly set (0.5/12.34) GiB for KV cache on node 0.",
    'vllm:cache_config_info{block_size="128",engine="0",num_gpu_blocks="16"} 1.0',
)
# The graph that every engine compiles.
COMPILED_BYTES = b"graph"
COMPILED = FileDigest("graph", 5, sha256(COMPILED_BYTES).hexdigest())


@dataclass
class FakeHost(Guarded):
    """One host. `behaviour` is by version name; `events` lists the operations on it, in order.

    The host calls `before` with the name of each operation; it may raise to play a crash at that point. `owner` has
    the lock; `holder` is this command, which loses the lock where another owner is set. `damaged` has the faults of
    snapshots and engines, `requests` and `logged` are its access log, `recorded` its ledger, `listeners` what listens
    besides its router, `way_out` how replicas' tries to leave end, `sealed` the engines whose digests are kept,
    `beside` those that were installed beside the present ones, `left` what was cut short, `compiled` the trees of what
    engines have compiled for its `machine`, `homes` the programs whose homes are there. `says` is what a version
    answers to a payload, `refuses` why it takes none, empty where it takes it.
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
    files: dict[str, str] = field(default_factory=dict)
    owner: LockOwner | None = None
    holder: LockOwner | None = None
    opened: OpenDeployment | None = None
    left_to_guards: list[OpenDeployment] = field(default_factory=list)
    heads: list[Head] = field(default_factory=list)
    requests: list[Answered] = field(default_factory=list)
    logged: list[LoggedRequest] = field(default_factory=list)
    recorded: list[RecordedUse] = field(default_factory=list)
    # The parts of its ledger of use, as the host hands them out.
    ledger: list[UseChunk] = field(default_factory=list)
    listeners: list[Listener] = field(default_factory=list)
    way_out: str = "refused"
    # The use of keys by its own ledger, and by all ledgers as it was told.
    sums: tuple[LedgerSums, ...] = ()
    told: tuple[LedgerSums, ...] = ()
    loaded: str = "{}"
    ring: KeyRing = field(default_factory=KeyRing)
    damaged: dict[str, tuple[str, ...]] = field(default_factory=dict)
    sealed: set[str] = field(default_factory=set)
    beside: set[str] = field(default_factory=set)
    left: list[Leftover] = field(default_factory=list)
    compiled: set[str] = field(default_factory=set)
    machine: str = "cpu"
    homes: set[str] = field(default_factory=set)
    before: Callable[[str], None] = lambda _: None
    says: Callable[[str, Mapping[str, Any]], str] = lambda version, _: f"hello from {version}"
    refuses: Callable[[Mapping[str, Any]], str] = lambda _: ""
    interruption: Interruption = field(default_factory=Interruption)
    adapters: FakeAdapters = field(default_factory=FakeAdapters)
    sampled: int = 0
    # The command that holds wakes off, and the models that requests want.
    wakes_held: LockOwner | None = None
    wished: set[str] = field(default_factory=set)
    counts_energy: EnergyCount | None = None
    guards: FakeGuards = field(init=False)

    def __post_init__(self) -> None:
        self.guards = FakeGuards(self._judge)

    @property
    def leased(self) -> bool:
        return self.owner is not None

    def observe(self) -> HostFacts:
        self.interruption.check()
        slots = tuple(
            replace(
                slot,
                weight=self._weight(slot),
                share=self._share(slot),
                can_rest=True,
                **self._asleep(slot),
            )
            for slot in self.facts.slots
        )
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

    @contextmanager
    def lock(self, owner: LockOwner) -> Iterator[None]:
        if self.owner is not None:
            raise busy(self.name, asdict(self.owner))
        self.owner = self.holder = owner
        try:
            yield
        finally:
            # Silence has ended the holder's lock, and another command may have taken it.
            if self.owner is owner:
                self.owner = None
            self.holder = None
            self._wake()

    def require_lock(self) -> None:
        if self.holder is not None and self.owner is not self.holder:
            raise lock_lost()

    def hold_wakes(self, *, on: bool) -> None:
        self.require_lock()
        if self.owner is None:
            raise lock_lost()
        self.before("hold wakes" if on else "let wakes begin")
        self.wakes_held = self.owner if on else None
        self._wake()

    def keep_deployment(self, opened: OpenDeployment, head: Head | None = None) -> bool:
        self.require_lock()
        self.before("keep deployment")
        if self.opened and self.opened.rollout != opened.rollout:
            guard = self.guards.orders.get(self.opened.model)
            if guard and guard.rollout == self.opened.rollout:
                self.left_to_guards.append(self.opened)
        self.opened = opened
        if head:
            self.heads.append(head)
        return True

    def keep_head(self, head: Head) -> bool:
        self.before("keep head")
        self.heads.append(head)
        return True

    def audit_heads(self) -> tuple[KeptHead, ...]:
        self.before("audit heads")
        return tuple(KeptHead(self.name, each, 0.0) for each in self.heads)

    def answered(self, request: str) -> tuple[Answered, ...]:
        self.before("answered")
        return tuple(each for each in self.requests if each.request_id == request)

    def read_requests(
        self, model: str, lines: int, place: Mapping[str, Any] | None = None
    ) -> RequestPart:
        self.before("read requests")
        start = place["line"] if place else 0
        found = [each for each in self.logged[start:] if model in ("", each.model)]
        if place is None:
            found = found[len(found) - min(lines, len(found)) :]
        return RequestPart(tuple(found), {"line": len(self.logged)}, False, self.facts.unlogged)

    def find_use(self, ids: Sequence[str], since: float) -> tuple[RecordedUse, ...]:
        self.before("find use")
        return tuple(each for each in self.recorded if each.request_id in ids and each.at >= since)

    def use(self, place: Place) -> UseChunk:
        self.before("use")
        ledger = self.ledger[-1].end.ledger if self.ledger else ""
        start = place if place.ledger == ledger else Place(ledger)
        for number, chunk in enumerate(self.ledger):
            if chunk.start == start:
                return replace(chunk, more=number + 1 < len(self.ledger))
        return UseChunk(self.name, start, start)

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

    def sums_of_use(self) -> tuple[LedgerSums, ...]:
        self.before("sums of use")
        return (*self.sums, *self.told)

    def tell_use(self, sums: Sequence[LedgerSums]) -> None:
        self.before("tell use")
        self.told = tuple(sums)

    def drop_deployment(self, rollout: str) -> None:
        self.before("drop deployment")
        if self.opened and self.opened.rollout == rollout:
            self.opened = None
        self.left_to_guards = [each for each in self.left_to_guards if each.rollout != rollout]
        lost = self.facts.lost_records
        sound = tuple(each for each in self.facts.damaged if each not in lost)
        self.facts = replace(self.facts, damaged=sound)

    def apply_routes(
        self, files: Mapping[str, str], edits: Mapping[str, Any] = MappingProxyType({})
    ) -> None:
        self.require_lock()
        with suppress(Stale):
            whole = {name: text for name, text in files.items() if name not in edits}
            files = spliced(whole, edits, self.files)
        self.happens(f"routes {'reload' if needs_reload(self.files, files) else 'runtime'}")
        self.files.update(files)
        self.loaded = files["routes.json"]
        self._wake()
        for slot in self.facts.slots:
            if self._weight(slot) and self._behaves(slot) is Behaviour.DIES_UNDER_TRAFFIC:
                self._set(replace(slot, process=ProcessState.FAILED, healthy=False, memory=0))

    def keys(self) -> HostKeys:
        self.before("keys")
        return HostKeys(self.ring)

    def apply_keys(self, ring: KeyRing) -> KeyRing:
        self.happens("apply keys")
        self.ring = self.ring.merged(ring)
        return self.ring

    def repair_keys(self, ring: KeyRing) -> KeyRing:
        self.facts = replace(
            self.facts, damaged=tuple(each for each in self.facts.damaged if "keys" not in each)
        )
        return self.apply_keys(ring)

    def repair_guards(self) -> tuple[str, ...]:
        self.happens("repair guards")
        found = self.facts.lost_guards
        # Of an order whose guard stands there is a copy.
        standing = {f"guard/{model}.json" for model in self.guards.orders}
        sound = tuple(each for each in self.facts.damaged if each not in found)
        self.facts = replace(self.facts, damaged=sound)
        return tuple(each for each in found if each not in standing)

    def wait_ready(self, program: str, port: int, timeout: float, report: Report) -> Waited:
        self.happens(f"wait {program}")
        slot = self._slot(program)
        report({"seconds": 1.0, "line": ""})
        self.interruption.check()
        if slot.rests:
            return Waited(False, f"it was not ready within {timeout:.0f} s")
        behaviour = self._behaves(slot)
        if behaviour is Behaviour.DIES_AT_START:
            self._set(replace(slot, process=ProcessState.FAILED, memory=0))
            return Waited(False, "its process ended", log=("ValueError: no such thing",))
        if behaviour is Behaviour.NEVER_READY:
            return Waited(False, f"it was not ready within {timeout:.0f} s")
        self._set(replace(slot, healthy=True))
        return Waited(True, seconds=1.0, log=MEMORY_SAID)

    def complete(self, port: int, payload: Mapping[str, Any], timeout: float) -> Completion:
        slot = next(each for each in self.facts.slots if each.port == port)
        self.happens(f"complete {slot.model}-{slot.slot}")
        # The checks of a gate are one event, however many there are.
        if self.events[-2:-1] == self.events[-1:]:
            del self.events[-1]
        if not slot.healthy:
            return Completion(0, "", error="ConnectionRefusedError: refused")
        if _speechless(slot):
            return Completion(404, "", error='{"detail":"Not Found"}')
        if self._behaves(slot) is Behaviour.DIES_SAMPLING and "top_p" in payload:
            self._set(replace(slot, process=ProcessState.FAILED, healthy=False, memory=0))
            closed = "Remote end closed connection without response"
            return Completion(0, "", error=f"RemoteDisconnected: {closed}")
        if self._behaves(slot) is Behaviour.ERROR:
            return Completion(500, "", error="internal error")
        asked = payload.get("model", slot.model)
        digest = self.adapters.digest(port, slot.model, asked)
        if digest is None:
            return Completion(404, "", error=f"The model `{asked}` does not exist.")
        if words := self.refuses(payload):
            return Completion(400, "", error=words)
        text = "" if self._behaves(slot) is Behaviour.EMPTY else self.says(_version(slot), payload)
        text = "" if digest in self.adapters.mute else self.adapters.says.get(digest, text)
        return Completion(200, text, "stop", 0.01 * self.adapters.slow.get(digest, 1.0))

    def ask(self, port: int, path: str, payload: Mapping[str, Any], timeout: float) -> Answer:
        if path in (LOAD, UNLOAD):
            self.happens(f"{path[4:].partition('_')[0]} {payload['lora_name']}")
            return self.adapters.call(port, path, payload)
        slot = next(each for each in self.facts.slots if each.port == port)
        if (kind := _speechless(slot)) and self._behaves(slot) is Behaviour.GOOD and slot.healthy:
            self.happens(f"complete {slot.model}-{slot.slot}")
            return answer_of_kind(kind, path)
        return answer_of(self.complete(port, payload, timeout), payload)

    def call_in_turn(
        self, port: int, calls: Sequence[Call], pause: float, timeout: float
    ) -> tuple[int, str]:
        self.happens("call in turn")
        failed = [
            answer
            for each in calls
            if (answer := self.adapters.call(port, each.path, each.payload)).status != 200
            and not each.may_fail
        ]
        return (failed[0].status, failed[0].error) if failed else (200, "")

    def pairs(self, wanted: PairsWanted, report: Report) -> tuple[Pair, ...]:
        named = {"model": wanted.former} if wanted.former else {}
        asked = [(wanted.new, wanted.payload)]
        asked += [(wanted.old, {**wanted.payload, **named})] if wanted.old else []
        found = []
        for index in range(wanted.pairs):
            times = [
                times_of(self.complete(port, payload, wanted.timeout), wanted)
                for port, payload in asked
            ]
            found.append(Pair(*times))
            report({"pair": index + 1})
        return tuple(found)

    def vitals(self, program: str, port: int, log: str = "") -> Vitals:
        slot = self._slot(program)
        runs = slot.process is ProcessState.RUNNING
        said = (MEMORY_SAID[-1],) if runs else ()
        return Vitals(
            str(slot.process), int(runs), slot.started_at, slot.memory, None, 0.0, said, "1:0"
        )

    def energy(self) -> EnergyCount:
        self.interruption.check()
        without = EnergyCount(1.0, 0.0, 0, "no NVIDIA driver that counts energy")
        return self.counts_energy or without

    def sample(self) -> HostSample:
        self.interruption.check()
        self.sampled += 1
        routed = [each for each in self.facts.slots if self._weight(each) or self._share(each)]
        return HostSample(
            self.facts.observed_at,
            float(self.sampled),
            "boot",
            self.facts.router.running,
            tuple(TargetCount(1, each.model, each.slot, 0, 0, 0, 0) for each in routed),
            tuple(
                ReplicaCount(each.model, each.slot, "1" if each.healthy else "", each.healthy, 0.0)
                for each in self.facts.slots
            ),
        )

    def watch(self, program: str, port: int, seconds: float, report: Report) -> Waited:
        self.happens(f"watch {program}")
        slot = self._slot(program)
        if self._behaves(slot) is Behaviour.HANGS:
            return Waited(False, "it hangs: 2 requests are open, and it did nothing for 2 s")
        well = slot.healthy
        return Waited(well, "" if well else "its process ended", log=("EngineDeadError: gone",))

    def probe(self, program: str, port: int) -> Waited:
        self.happens(f"probe {program}")
        slot = self._slot(program)
        if self._behaves(slot) is not Behaviour.HANGS:
            return Waited(True)
        self._set(replace(slot, healthy=False))
        return Waited(False, "it hangs: it did not answer a request of one token within 2 s")

    def doze(self, program: str, needs: int, timeout: float) -> Waited:
        self.happens(f"doze {program}")
        slot = self._slot(program)
        if needs > self.observe().memory_available:
            return Waited(False, "its weights may need more than the host's free memory")
        if self._behaves(slot) is Behaviour.NEVER_SLEEPS:
            self._set(replace(slot, healthy=False, rests=True, memory=0))
            return Waited(False, "its engine does not sleep: RuntimeError: out of memory")
        self._set(replace(slot, healthy=False, dozes=True, memory=0))
        return Waited(True)

    def rouse(self, program: str, port: int, timeout: float) -> Waited:
        self.happens(f"rouse {program}")
        slot = self._slot(program)
        if not slot.dozes:
            return Waited(False, "its process has ended since it fell asleep")
        if self._behaves(slot) is Behaviour.NEVER_WAKES:
            return Waited(False, "its engine does not wake: RuntimeError: out of memory")
        taken = slot.release.memory if slot.release else 0
        self._set(replace(slot, healthy=True, dozes=False, memory=taken))
        return Waited(True)

    def drain(self, model: str, slot: str, port: int, timeout: float, report: Report) -> Waited:
        self.happens(f"drain {model}-{slot}")
        found = self._slot(f"{model}-{slot}")
        if self._behaves(found) is not Behaviour.HANGS:
            return Waited(True)
        self._set(replace(found, healthy=False))
        return Waited(False, "it hangs: 2 requests are open, and it did nothing for 2 s", left=2)

    def logs(
        self, program: str, lines: int, *, follow: bool, previous: bool = False
    ) -> Iterator[str]:
        yield f"log of {program}"

    def place(self, source: str, digest: str, files: Sequence[str], report: Report) -> None:
        self.happens(f"place {digest[:8]}")
        self.facts = replace(self.facts, snapshots=(*self.facts.snapshots, digest))

    def hash_files(self, digest: str, report: Report) -> dict[str, dict[str, Any]]:
        return {}

    def check_snapshot(self, digest: str, report: Report) -> tuple[str, ...]:
        return self.damaged.get(digest, ())

    def keep_compiled(self, program: str) -> KeptCompiled:
        self.before("keep compiled")
        slot = self._slot(program)
        if slot.release is None or self._weight(slot):
            return KeptCompiled("", why="it has taken requests of clients")
        kind = f"{hash_of(slot.release.engine)}.{hash_of(self.machine)}"
        name = f"{kind}.{digest_of_files([COMPILED])}"
        new, self.compiled = name not in self.compiled, {*self.compiled, name}
        return KeptCompiled(name, 1 if new else 0)

    def find_compiled(self, compiles: Mapping[str, Any], snapshot: str) -> FoundCompiled:
        kind = f"{hash_of(compiles['engine'])}.{hash_of(self.machine)}"
        return FoundCompiled(kind, next((n for n in self.compiled if n.startswith(kind)), ""))

    def hand_out_compiled(self, name: str) -> tuple[tuple[FileDigest, ...], Iterator[bytes]]:
        self.events.append(f"hand out {name[:8]}")
        return (COMPILED,), iter((COMPILED_BYTES[:2], COMPILED_BYTES[2:]))

    def place_compiled(self, source: str, name: str, files: Sequence[str]) -> None:
        self.compiled.add(name)

    def seal_engine(self, engine: str, report: Report) -> None:
        self.sealed.add(engine)

    def check_engine(self, engine: str, report: Report) -> CheckedEngine:
        return CheckedEngine(engine in self.sealed, 0, 0, self.damaged.get(engine, ()))

    def swap_engine(self, engine: str, report: Report) -> None:
        self.happens(f"swap engine {engine}")
        if engine not in self.beside:
            raise HostError(f"{self.name}: no engine that could replace {engine} was installed")
        self.beside.discard(engine)
        self.damaged.pop(engine, None)
        self.sealed.add(engine)
        engines = (*(each for each in self.facts.engines if each != engine), engine)
        self.facts = replace(self.facts, engines=engines)

    def remove(self, kind: str, name: str) -> int:
        self.happens(f"remove {kind} {name[:8]}")
        without = {
            "snapshots": tuple(each for each in self.facts.snapshots if each != name),
            "engines": tuple(each for each in self.facts.engines if each != name),
        }
        self.facts = replace(self.facts, **{kind: without[kind]})  # type: ignore[arg-type]
        return 1

    def leftovers(self) -> tuple[Leftover, ...]:
        self.before("leftovers")
        return tuple(self.left)

    def remove_leftovers(self, paths: Sequence[str]) -> RemovedLeftovers:
        if self.holder is None or self.owner is not self.holder:
            raise lock_lost()
        self.happens(f"remove {len(paths)} leftovers")
        named = [each for each in self.left if each.path in paths]
        gone = [each for each in named if not each.busy]
        self.left = [each for each in self.left if each not in gone]
        kept = {each.path: each.busy for each in named if each.busy}
        return RemovedLeftovers(sum(each.size for each in gone), kept)

    # The playbooks and tests call these.

    def happens(self, event: str) -> None:
        """Note that `event` happens on the host, after what `before` does at it."""
        self.before(event)
        self.events.append(event)

    def want(self, model: str) -> None:
        """Want a model that sleeps, as a client's request does."""
        self.wished.add(model)
        self._wake()

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
            if _program(there) == _program(slot) and (there.dozes or there.rests):
                slot = replace(slot, rests=True, memory=0)
        self.adapters.begin(slot.port, release)
        self._set(slot)

    def rewrite(self, manifest: Mapping[str, Any]) -> None:
        """Write a slot's manifest beside the replica that runs on."""
        slot = self._slot(f"{manifest['model']}-{manifest['slot']}")
        self._set(replace(slot, release=Release.from_json(manifest["release"])))

    def stop(self, program: str) -> None:
        """Stop the replica of a slot and empty the slot."""
        self.facts = replace(
            self.facts, slots=tuple(s for s in self.facts.slots if _program(s) != program)
        )

    def kill(self, program: str) -> None:
        """End a replica's process as a crash would. What starts in the place of one that dozes waits."""
        if self._slot(program).dozes:
            self._set(replace(self._slot(program), dozes=False, rests=True))
            return
        self._set(
            replace(self._slot(program), process=ProcessState.FAILED, healthy=False, memory=0)
        )

    def _used(self, device: Device, slots: Sequence[SlotFacts]) -> Device:
        taken = sum(
            slot.release.memory // len(slot.devices)
            for slot in slots
            if slot.release and device.index in slot.devices and slot.memory
        )
        return replace(device, memory_free=device.memory_free - taken)

    def _weight(self, slot: SlotFacts) -> int:
        # As a running router does, whatever becomes of its files.
        for route in own_routes(json.loads(self.loaded), self.host).get("routes", ()):
            for target in route["targets"]:
                here = target.get("host", "") == self.label
                if here and (route["model"], target["slot"]) == (slot.model, slot.slot):
                    return int(target["weight"])
        return 0

    def _share(self, slot: SlotFacts) -> int:
        return share_of(own_routes(json.loads(self.loaded), self.host), self.label, slot)

    def _asleep(self, slot: SlotFacts) -> dict[str, Any]:
        # A replica falls asleep at once.
        routes = own_routes(json.loads(self.loaded), self.host)
        if word := asleep_of(routes, self.label, slot):
            return {"asleep": word, "rests": word == "asleep", "healthy": False, "memory": 0}
        return {}

    def _wake(self) -> None:
        """Do what the watches of the hosts do of a model that wakes, at once."""
        if self.wakes_held and self.wakes_held is self.owner:
            return
        routes = json.loads(self.loaded)
        for route in sleepers(routes):
            if route["sleep"]["due"] or route["model"] in self.wished:
                names = targets_of(routes, route["model"])
                routes = edited(routes, awake(route["model"], names))
                self.loaded = self.files["routes.json"] = json.dumps(routes)

    def _damaged(self) -> tuple[str, ...]:
        sound = is_sound(
            self.files.get("routes.json"),
            self.files.get("backends.cfg"),
            in_use=bool(parsed(self.loaded).get("routes")),
        )
        return () if sound else ("router/routes.json",)

    def _behaves(self, slot: SlotFacts) -> Behaviour:
        return self.behaviour.get(_version(slot), Behaviour.GOOD)

    def _give_back(self, known: GuardFacts, swapped: AdapterReturn) -> None:
        port = next(
            each.port for each in self.facts.slots_of(known.model) if each.slot == known.slot
        )
        for each in (*(swapped.back if known.withdrawn else ()), *swapped.after):
            self.adapters.call(port, each.path, each.payload)

    def _judge(self, known: GuardFacts) -> GateResult:
        gate = "bake" if known.phase is GuardPhase.BAKE else "canary"
        behaves = self.behaviour.get(known.version, Behaviour.GOOD)
        if behaves in UNFIT:
            return GateResult(gate, Verdict.FAILED, f"it {behaves}")
        return GateResult(gate, Verdict.PASSED)

    def _slot(self, program: str) -> SlotFacts:
        return next(each for each in self.facts.slots if _program(each) == program)

    def _set(self, slot: SlotFacts) -> None:
        others = [each for each in self.facts.slots if _program(each) != _program(slot)]
        self.facts = replace(self.facts, slots=(*others, slot))


def gpu(memory: int, count: int = 1) -> tuple[Device, ...]:
    """Return `count` idle devices of `memory` bytes each."""
    return tuple(Device(index, "NVIDIA Test", memory, memory, "590.1") for index in range(count))


def hash_of(text: str) -> str:
    """Return the part of a compiled tree's name that stands for `text`."""
    return sha256(text.encode()).hexdigest()[:16]


def _program(slot: SlotFacts) -> str:
    return f"{slot.model}-{slot.slot}"


def _speechless(slot: SlotFacts) -> Kind | None:
    """Return the kind of a replica whose model writes no texts; None of any other."""
    kind = slot.release.does.kind if slot.release and slot.release.does else Kind.CHAT
    return None if kind in (Kind.CHAT, Kind.COMPLETION) else kind


def _version(slot: SlotFacts) -> str:
    return slot.release.version if slot.release else ""
