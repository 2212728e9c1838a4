"""The real host behind `port.HostPort`: observe it and switch its router, directly and in milliseconds."""

from __future__ import annotations

import secrets
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from toolkit.adapters.hosts import heartbeat
from toolkit.adapters.hosts.answers import kept_head_of, leftover_of, pair_of, perimeter_of
from toolkit.adapters.hosts.client import HostClient, Report
from toolkit.adapters.hosts.facts import (
    asleep_of,
    facts_from_json,
    own_routes,
    owner_from_json,
    share_of,
    understood,
)
from toolkit.adapters.hosts.heartbeat import Heartbeat, beating
from toolkit.adapters.hosts.port import (
    CheckedEngine,
    FoundCompiled,
    KeptCompiled,
    Named,
    RemovedLeftovers,
)
from toolkit.domain.gates.guard import GateResult, GuardOrder, GuardPhase
from toolkit.domain.hosts.facts import HostFacts
from toolkit.domain.outside import checked, whole
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
from toolkit.errors import BusyError, HostError

# What few commands ask a host for is loaded where it is asked for: a rollback must start at once.
if TYPE_CHECKING:
    from toolkit.domain.clients.evidence import Answered
    from toolkit.domain.clients.keys import HostKeys, KeyRing
    from toolkit.domain.clients.requests import RecordedUse, RequestPart
    from toolkit.domain.clients.use import LedgerSums, Place, UseChunk
    from toolkit.domain.costs.energy import EnergyCount
    from toolkit.domain.deployment.release import OpenDeployment
    from toolkit.domain.files.snapshot import FileDigest
    from toolkit.domain.hosts.leftover import Leftover
    from toolkit.domain.hosts.load import HostSample
    from toolkit.domain.hosts.perimeter import Perimeter
    from toolkit.domain.trail.audit import Head, KeptHead


class RealHost(Named):
    """A host reached through a client."""

    def __init__(self, client: HostClient) -> None:
        self.host = client.host
        self._client, self._ask = client, client.ask
        names = {"hang": "toolkit_hang_seconds", "stall": "toolkit_stall_seconds"}
        settings = self.host.settings
        self._limits = {each: settings[name] for each, name in names.items() if name in settings}
        self._held: tuple[str, Heartbeat] | None = None

    def observe(self) -> HostFacts:
        facts = facts_from_json(self.name, self._ask("observe", label=self.label))
        with understood(self.name):
            routes = own_routes(facts.routes, self.host)
            slots = (
                replace(
                    each,
                    share=share_of(routes, self.label, each),
                    asleep=asleep_of(routes, self.label, each),
                )
                for each in facts.slots
            )
            router = replace(facts.router, address=self.host.reached_at)
            return replace(facts, routes=routes, slots=tuple(slots), router=router)

    @contextmanager
    def lock(self, owner: LockOwner) -> Iterator[None]:
        token, silence = secrets.token_hex(8), heartbeat.SILENCE_SECONDS
        named = {**asdict(owner), "token": token}
        with self._client.open("lock", owner=named, silence=silence) as dialog:
            first = next(dialog.events())
            held = first.get("result", first)
            if not held["held"]:
                raise busy(self.name, held.get("owner") or {})
            with beating(dialog, silence) as beat:
                self._held = (token, beat)
                try:
                    yield
                finally:
                    self._held = None

    def require_lock(self) -> None:
        if self._held and self._held[1].lost:
            raise lock_lost()

    def hold_wakes(self, *, on: bool) -> None:
        self._ask("hold-wakes", holder=self._holder(), on=on)

    def keep_deployment(self, opened: OpenDeployment, head: Head | None = None) -> bool:
        self.require_lock()
        request = {"deployment": opened.as_json(), "head": head.as_json() if head else None}
        return bool(self._ask("keep-deployment", **request)["kept"])

    def keep_head(self, head: Head) -> bool:
        return bool(self._ask("keep-head", head=head.as_json())["kept"])

    def audit_heads(self) -> tuple[KeptHead, ...]:
        answer = self._ask("audit-heads")
        with understood(self.name):
            return tuple(kept_head_of(self.name, each) for each in answer["heads"])

    def answered(self, request: str) -> tuple[Answered, ...]:
        from toolkit.domain.clients.evidence import Answered

        answer = self._ask("find-request", id=request)
        with understood(self.name):
            found = [Answered.from_line(self.name, each) for each in answer["lines"]]
            return tuple(checked(each) for each in found if each)

    def read_requests(
        self, model: str, lines: int, place: Mapping[str, Any] | None = None
    ) -> RequestPart:
        from toolkit.adapters.hosts.requests import part_from_json

        answer = self._ask("read-requests", model=model, lines=lines, place=place)
        with understood(self.name):
            return part_from_json(self.name, answer)

    def find_use(self, ids: Sequence[str], since: float) -> tuple[RecordedUse, ...]:
        from toolkit.adapters.hosts.requests import records_from_json

        answer = self._ask("find-use", ids=list(ids), since=since)
        with understood(self.name):
            return records_from_json(answer)

    def use(self, place: Place) -> UseChunk:
        from toolkit.adapters.hosts.use import chunk_from_json

        answer = self._ask("hand-out-use", place=asdict(place))
        with understood(self.name):
            return chunk_from_json(self.name, answer)

    def perimeter(self) -> Perimeter:
        answer = self._ask("perimeter")
        with understood(self.name):
            return checked(perimeter_of(answer))

    def sums_of_use(self) -> tuple[LedgerSums, ...]:
        from toolkit.adapters.hosts.use import sums_from_json

        answer = self._ask("sums-of-use")
        with understood(self.name):
            return sums_from_json(answer)

    def tell_use(self, sums: Sequence[LedgerSums]) -> None:
        ledgers = {
            each.ledger: {"day": each.day, "month": each.month, "keys": dict(each.keys)}
            for each in sums
        }
        self._ask("tell-use", told={"ledgers": ledgers})

    def drop_deployment(self, rollout: str) -> None:
        self._ask("drop-deployment", rollout=rollout)

    def apply_routes(
        self, files: Mapping[str, str], edits: Mapping[str, Any] = MappingProxyType({})
    ) -> None:
        self.require_lock()
        holder = {"holder": self._held[0]} if self._held else {}
        whole = {name: text for name, text in files.items() if name not in edits}
        answer = self._ask("apply-routes", files=whole, edits=dict(edits), **holder)
        if "stale" in answer:
            self._ask("apply-routes", files=dict(files), **holder)

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
        return type(ring).from_json(self._ask("repair-keys", ring=ring.as_json()))

    def wait_ready(self, program: str, port: int, timeout: float, report: Report) -> Waited:
        answer = self._ask("wait-ready", report, program=program, port=port, timeout=timeout)
        return self._waited(answer, "ready")

    def complete(self, port: int, payload: Mapping[str, Any], timeout: float) -> Completion:
        answer = self._ask("complete", port=port, payload=dict(payload), timeout=timeout)
        with understood(self.name):
            return checked(Completion(**answer))

    def ask(self, port: int, path: str, payload: Mapping[str, Any], timeout: float) -> Answer:
        request = {"port": port, "path": path, "payload": dict(payload), "timeout": timeout}
        answer = self._ask("ask", **request)
        with understood(self.name):
            texts, gaps = tuple(answer.pop("events")), tuple(answer.pop("gaps"))
            return checked(Answer(**answer, events=texts, gaps=gaps))

    def call_in_turn(
        self, port: int, calls: Sequence[Call], pause: float, timeout: float
    ) -> tuple[int, str]:
        listed = [asdict(each) for each in calls]
        answer = self._ask("call-in-turn", port=port, calls=listed, pause=pause, timeout=timeout)
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
        return self._waited(self._ask("doze", **asked), "ok")

    def rouse(self, program: str, port: int, timeout: float) -> Waited:
        asked = {"program": program, "port": port, "timeout": timeout}
        return self._waited(self._ask("rouse", **asked), "ok")

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
        return bool(self._ask("guard-wish", model=model, wish=wish, actor=actor)["taken"])

    def guard_end(self, model: str, rollout: str) -> None:
        self._ask("guard-end", model=model, rollout=rollout)

    def repair_guards(self) -> tuple[str, ...]:
        answer = self._ask("repair-guards")
        with understood(self.name):
            return tuple(str(each) for each in answer["lost"])

    def drain(self, model: str, slot: str, port: int, timeout: float, report: Report) -> Waited:
        name = f"{self.label}.{slot}" if self.label else slot
        request = {"model": model, "slot": name, "port": port, "timeout": timeout, **self._limits}
        return self._waited(self._ask("drain", report, **request), "drained")

    def logs(
        self, program: str, lines: int, *, follow: bool, previous: bool = False
    ) -> Iterator[str]:
        request = {"program": program, "lines": lines, "follow": follow, "previous": previous}
        with self._client.open("logs", **request) as dialog:
            for event in dialog.events():
                if "line" in event:
                    yield event["line"]

    def place(self, source: str, digest: str, files: Sequence[str], report: Report) -> None:
        self._ask("place", report, source=source, digest=digest, files=list(files))

    def hash_files(self, digest: str, report: Report) -> dict[str, dict[str, Any]]:
        answer = self._ask("hash", report, digest=digest)
        found: dict[str, dict[str, Any]] = answer["files"]
        for path, words in answer["faults"].items():
            found.setdefault(path, {})["fault"] = words
        return found

    def check_snapshot(self, digest: str, report: Report) -> tuple[str, ...]:
        return tuple(self._ask("check-snapshot", report, digest=digest)["faults"])

    def keep_compiled(self, program: str) -> KeptCompiled:
        answer = self._ask("keep-compiled", program=program)
        with understood(self.name):
            return KeptCompiled(
                name=str(answer["name"]), size=int(answer["bytes"]), why=str(answer["why"])
            )

    def find_compiled(self, compiles: Mapping[str, Any], snapshot: str) -> FoundCompiled:
        answer = self._ask("find-compiled", compiles=dict(compiles), snapshot=snapshot)
        with understood(self.name):
            return FoundCompiled(str(answer["kind"]), str(answer["name"]))

    def hand_out_compiled(self, name: str) -> tuple[tuple[FileDigest, ...], Iterator[bytes]]:
        from toolkit.domain.files.snapshot import FileDigest

        first = self._ask("hand-out-compiled", name=name, offset=0)
        with understood(self.name):
            files = tuple(
                checked(FileDigest(path, whole(size, "size"), sha256))
                for path, size, sha256 in first["files"]
            )
        return files, self._parts(name, first)

    def _parts(self, name: str, answer: Mapping[str, Any]) -> Iterator[bytes]:
        offset = 0
        while True:
            with understood(self.name):
                data = b64decode(answer["data"], validate=True)
            yield data
            offset += len(data)
            if not (data and answer["more"]):
                return
            answer = self._ask("hand-out-compiled", name=name, offset=offset)

    def place_compiled(self, source: str, name: str, files: Sequence[str]) -> None:
        request = {"source": source, "digest": name, "files": list(files), "kind": "compiled"}
        self._ask("place", lambda _: None, **request)

    def seal_engine(self, engine: str, report: Report) -> None:
        self._ask("seal-engine", report, name=engine)

    def check_engine(self, engine: str, report: Report) -> CheckedEngine:
        answer = self._ask("check-engine", report, name=engine)
        return CheckedEngine(
            sealed=bool(answer["sealed"]),
            files=int(answer["files"]),
            size=int(answer["bytes"]),
            faults=tuple(answer["faults"]),
        )

    def swap_engine(self, engine: str, report: Report) -> None:
        self._ask("swap-engine", report, name=engine)

    def remove(self, kind: str, name: str) -> int:
        return int(self._ask("remove", kind=kind, name=name)["freed"])

    def leftovers(self) -> tuple[Leftover, ...]:
        answer = self._ask("leftovers")
        with understood(self.name):
            return tuple(leftover_of(each) for each in answer["leftovers"])

    def remove_leftovers(self, paths: Sequence[str]) -> RemovedLeftovers:
        answer = self._ask("remove-leftovers", paths=list(paths), holder=self._holder())
        with understood(self.name):
            kept = {str(path): str(why) for path, why in answer["kept"].items()}
            return RemovedLeftovers(whole(answer["freed"], "bytes"), kept)

    def _holder(self) -> str:
        self.require_lock()
        return self._held[0] if self._held else ""

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


def busy(host: str, owner: Mapping[str, Any]) -> BusyError:
    """Return the error that names the holder of a host, the time and the command."""
    holder = owner_from_json(owner)
    from datetime import UTC, datetime

    since = datetime.fromtimestamp(holder.since, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return BusyError(
        f"{host} is held by {holder.actor} (pid {holder.pid}) since {since}: {holder.command}",
        hint="the same command with --wait 10min waits for it; toolkit status shows it; a holder that lost its link "
        f"gives up within {heartbeat.SILENCE_SECONDS:.0f} s",
    )


def lock_lost() -> HostError:
    """Return the error of a command that lost the lock of a host."""
    return HostError(
        "the deployment lock was lost: this machine or its link was silent for too long",
        hint="the same command again, here or elsewhere: it ends what was begun",
    )
