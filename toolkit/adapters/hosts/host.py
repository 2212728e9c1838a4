"""The real host behind `port.HostPort`: observe it and switch its router, directly and in milliseconds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from toolkit.adapters.hosts.answers import pair_of, perimeter_of
from toolkit.adapters.hosts.client import Report
from toolkit.adapters.hosts.facts import (
    facts_from_json,
    own_routes,
    understood,
)
from toolkit.adapters.hosts.held import withdrawn
from toolkit.adapters.hosts.records import Recorded
from toolkit.adapters.hosts.stock import Stocked
from toolkit.domain.bounds import LINE
from toolkit.domain.gates.verdict import GateResult, GuardPhase
from toolkit.domain.hosts.facts import HostFacts, SlotFacts
from toolkit.domain.hosts.routed import routed
from toolkit.domain.outside import checked, text_of, whole
from toolkit.domain.replicas.probe import Completion, Waited

# A rollback must start at once, so types that few commands need are loaded where they are used.
if TYPE_CHECKING:
    from toolkit.domain.clients.keys import HostKeys, KeyRing
    from toolkit.domain.costs.energy import EnergyCount
    from toolkit.domain.gates.guard import GuardOrder
    from toolkit.domain.hosts.load import HostSample
    from toolkit.domain.hosts.perimeter import Perimeter
    from toolkit.domain.replicas.answers import Answer, Call, Pair, PairsWanted, Vitals


class RealHost(Stocked, Recorded):
    """A host reached through a client."""

    def observe(self) -> HostFacts:
        facts = facts_from_json(self.name, self._client.ask("observe", label=self.label))
        with understood(self.name):
            routes = own_routes(facts.routes, self.host)
            slots = (self._as_routed(routes, each) for each in facts.slots)
            router = replace(facts.router, address=self.host.reached_at)
            return replace(facts, routes=routes, slots=tuple(slots), router=router)

    def _as_routed(self, routes: Mapping[str, Any], slot: SlotFacts) -> SlotFacts:
        # The weight is that of the running router, which may have missed a change of its files.
        return replace(routed(slot, routes, self.label), weight=slot.weight)

    def hold_wakes(self, *, on: bool) -> None:
        self._ask("hold-wakes", holder=self._holder(), on=on)

    def perimeter(self) -> Perimeter:
        answer = self._ask("perimeter")
        with understood(self.name):
            return checked(perimeter_of(answer))

    def apply_routes(
        self, files: Mapping[str, str], edits: Mapping[str, Any] = MappingProxyType({})
    ) -> None:
        self.require_lock()
        holder = {"holder": self._held[0]} if self._held else {}
        unedited = {name: text for name, text in files.items() if name not in edits}
        answer = self._ask("apply-routes", files=unedited, edits=dict(edits), **holder)
        if "stale" in answer:
            answer = self._ask("apply-routes", files=dict(files), **holder)
        if "withdrawn" in answer:
            with understood(self.name):
                target = text_of(answer["withdrawn"]["target"], "a target", LINE)
                error = withdrawn(
                    self.name, target, whole(answer["withdrawn"]["number"], "a release")
                )
            raise error

    def keys(self) -> HostKeys:
        from toolkit.domain.clients.keys import HostKeys, KeyRing

        answer = self._ask("keys")
        with understood(self.name):
            return checked(HostKeys(KeyRing.from_json(answer["ring"]), int(answer["lagging"])))

    def apply_keys(self, ring: KeyRing) -> KeyRing:
        answer = self._ask("apply-keys", ring=ring.as_json())
        with understood(self.name):
            return checked(type(ring).from_json(answer))

    def repair_keys(self, ring: KeyRing) -> KeyRing:
        answer = self._change("repair-keys", ring=ring.as_json())
        with understood(self.name):
            return checked(type(ring).from_json(answer))

    def wait_ready(self, program: str, port: int, timeout: float, report: Report) -> Waited:
        answer = self._ask("wait-ready", report, program=program, port=port, timeout=timeout)
        return self._waited(answer, "ready")

    def complete(self, port: int, payload: Mapping[str, Any], timeout: float) -> Completion:
        # What a model answers has lines.
        answer = self._client.ask("complete", port=port, payload=dict(payload), timeout=timeout)
        with understood(self.name):
            return checked(Completion(**answer))

    def ask(self, port: int, path: str, payload: Mapping[str, Any], timeout: float) -> Answer:
        request = {"port": port, "path": path, "payload": dict(payload), "timeout": timeout}
        answer = self._client.ask("ask", **request)
        with understood(self.name):
            texts, gaps = tuple(answer.pop("events")), tuple(answer.pop("gaps"))
            from toolkit.domain.replicas.answers import Answer

            return checked(Answer(**answer, events=texts, gaps=gaps))

    def call_in_turn(
        self, port: int, calls: Sequence[Call], pause: float, timeout: float
    ) -> tuple[int, str]:
        listed = [asdict(each) for each in calls]
        answer = self._change("call-in-turn", port=port, calls=listed, pause=pause, timeout=timeout)
        with understood(self.name):
            return int(answer["status"]), str(answer["error"])

    def pairs(self, wanted: PairsWanted, report: Report) -> tuple[Pair, ...]:
        answer = self._ask("pairs", report, **asdict(wanted))
        with understood(self.name):
            return tuple(checked(pair_of(each)) for each in answer["pairs"])

    def vitals(self, program: str, port: int, log: str = "") -> Vitals:
        answer = self._ask("vitals", program=program, port=port, log=log)
        with understood(self.name):
            cache, lines = tuple(answer.pop("cache")), tuple(answer.pop("lines"))
            from toolkit.domain.replicas.answers import Vitals

            return checked(Vitals(**answer, cache=cache, lines=lines))

    def sample(self) -> HostSample:
        from toolkit.domain.hosts.load import HostSample

        answer = self._ask("sample")
        with understood(self.name):
            return HostSample.from_json(answer)

    def energy(self) -> EnergyCount:
        from toolkit.domain.costs.energy import EnergyCount

        answer = self._ask("energy")
        with understood(self.name):
            return checked(EnergyCount(**answer))

    def watch(self, program: str, port: int, seconds: float, report: Report) -> Waited:
        request = {"program": program, "port": port, "seconds": seconds, **self._limits}
        return self._waited(self._ask("watch", report, **request), "ok")

    def probe(self, program: str, port: int) -> Waited:
        return self._waited(self._ask("probe", program=program, port=port, **self._limits), "ok")

    def doze(self, program: str, needs: int, timeout: float) -> Waited:
        asked = {"program": program, "needs": int(needs), "timeout": timeout}
        return self._waited(self._change("doze", **asked), "ok")

    def rouse(self, program: str, port: int, timeout: float) -> Waited:
        asked = {"program": program, "port": port, "timeout": timeout}
        return self._waited(self._change("rouse", **asked), "ok")

    def guard_begin(self, order: GuardOrder) -> None:
        self._ask("guard-begin", order=order.as_json(), holder=self._holder())

    def guard_phase(
        self, model: str, phase: GuardPhase, seconds: float, requests: int = 0, share: int = 0
    ) -> None:
        after = {"phase": phase, "seconds": seconds, "requests": requests, "share": share}
        self._ask("guard-phase", model=model, phase=after, holder=self._holder())

    def guard_follow(self, model: str, report: Report) -> GateResult:
        answer = self._ask("guard-follow", report, model=model)
        with understood(self.name):
            return checked(GateResult.from_json(answer))

    def guard_wish(self, model: str, wish: str, actor: str) -> bool:
        answer = self._ask("guard-wish", model=model, wish=wish, actor=actor)
        with understood(self.name):
            return bool(answer["taken"])

    def guard_end(self, model: str, rollout: str) -> None:
        self._change("guard-end", model=model, rollout=rollout)

    def repair_guards(self) -> tuple[str, ...]:
        answer = self._change("repair-guards")
        with understood(self.name):
            return tuple(str(each) for each in answer["lost"])

    def drain(self, model: str, slot: str, port: int, timeout: float, report: Report) -> Waited:
        name = f"{self.label}.{slot}" if self.label else slot
        request = {"model": model, "slot": name, "port": port, "timeout": timeout, **self._limits}
        return self._waited(self._change("drain", report, **request), "drained")

    def logs(
        self, program: str, lines: int, *, follow: bool, previous: bool = False
    ) -> Iterator[str]:
        request = {"program": program, "lines": lines, "follow": follow, "previous": previous}
        with self._client.open("logs", **request) as dialog:
            for event in dialog.events():
                if "line" in event:
                    with understood(self.name):
                        line = text_of(event["line"], "a line", LINE)
                    yield line

    def _waited(self, answer: Mapping[str, Any], key: str) -> Waited:
        with understood(self.name):
            return checked(
                Waited(
                    ok=bool(answer[key]),
                    reason=str(answer.get("reason", "")),
                    seconds=float(answer.get("seconds", 0.0)),
                    left=int(answer.get("left", 0)),
                    log=tuple(answer.get("log", ())),
                )
            )
