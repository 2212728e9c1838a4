"""The replicas of a host in memory: what they answer, and how they start, sleep and hang."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from toolkit.adapters.fakes.adapters import LOAD, UNLOAD
from toolkit.adapters.fakes.answers import answer_of, answer_of_kind, times_of
from toolkit.adapters.fakes.behaviour import Behaviour
from toolkit.adapters.fakes.routing import Routed
from toolkit.adapters.fakes.slots import version_of
from toolkit.adapters.hosts.client import Report
from toolkit.domain.costs.energy import EnergyCount
from toolkit.domain.gates.kind import Kind
from toolkit.domain.hosts.facts import HostFacts, ProcessState, SlotFacts
from toolkit.domain.hosts.load import HostSample, ReplicaCount, TargetCount
from toolkit.domain.replicas.answers import Answer, Call, Pair, PairsWanted, Vitals
from toolkit.domain.replicas.probe import Completion, Waited

# The log lines on memory of a replica that is ready.
MEMORY_SAID = (
    "INFO Explicitly set (0.5/12.34) GiB for KV cache on node 0.",
    'vllm:cache_config_info{block_size="128",engine="0",num_gpu_blocks="16"} 1.0',
)


@dataclass
class Replicas(Routed):
    """The replicas of one host. `says` is what a version answers to a payload.

    `refuses` returns why a payload is not taken; empty where it is.
    """

    says: Callable[[str, Mapping[str, Any]], str] = lambda version, _: f"hello from {version}"
    refuses: Callable[[Mapping[str, Any]], str] = lambda _: ""
    sampled: int = 0
    counts_energy: EnergyCount | None = None

    def observe(self) -> HostFacts:
        """Return the present facts of the host."""
        raise NotImplementedError

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
        text = (
            "" if self._behaves(slot) is Behaviour.EMPTY else self.says(version_of(slot), payload)
        )
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
        parts = map(self._routed, self.facts.slots)
        found = [each for each in parts if each.weight or each.share]
        return HostSample(
            self.facts.observed_at,
            float(self.sampled),
            "boot",
            self.facts.router.running,
            tuple(TargetCount(1, each.model, each.slot, 0, 0, 0, 0) for each in found),
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


def _speechless(slot: SlotFacts) -> Kind | None:
    """Return the kind of a replica whose model writes no texts; None of any other."""
    kind = slot.release.does.kind if slot.release and slot.release.does else Kind.CHAT
    return None if kind in (Kind.CHAT, Kind.COMPLETION) else kind
