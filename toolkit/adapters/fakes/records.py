"""The records of a host in memory: deployments, heads of audit logs, requests, use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from toolkit.adapters.fakes.guard import FakeGuards
from toolkit.adapters.fakes.routing import Routed
from toolkit.adapters.fakes.slots import mended
from toolkit.domain.clients.evidence import Answered
from toolkit.domain.clients.requests import LoggedRequest, RecordedUse, RequestPart
from toolkit.domain.clients.use import LedgerPlace, LedgerSums, UseChunk
from toolkit.domain.deployment.release import OpenDeployment
from toolkit.domain.trail.audit import Head, KeptHead
from toolkit.hostside.guard_names import order_path


@dataclass
class Recorded(Routed):
    """The records of one host.

    `requests` and `logged` are its access log, `recorded` its ledger of use, and `ledger` the parts of the ledger as
    the host hands them out. `sums` is the use of keys by its own ledger, `told` that by all ledgers as it was told.
    """

    opened: OpenDeployment | None = None
    left_to_guards: list[OpenDeployment] = field(default_factory=list)
    heads: list[Head] = field(default_factory=list)
    requests: list[Answered] = field(default_factory=list)
    logged: list[LoggedRequest] = field(default_factory=list)
    recorded: list[RecordedUse] = field(default_factory=list)
    ledger: list[UseChunk] = field(default_factory=list)
    sums: tuple[LedgerSums, ...] = ()
    told: tuple[LedgerSums, ...] = ()

    guards: FakeGuards = field(init=False)

    def keep_deployment(self, opened: OpenDeployment, head: Head | None = None) -> bool:
        self.require_lock()
        self.before("keep deployment")
        if self.opened and self.opened.rollout != opened.rollout:
            model = self.opened.model
            guard, lost = self.guards.orders.get(model), order_path(model) in self.facts.damaged
            stands = guard.rollout == self.opened.rollout if guard else lost
            if stands or self.opened.unjudged:
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

    def drop_deployment(self, rollout: str) -> None:
        self.before("drop deployment")
        if self.opened and self.opened.rollout == rollout:
            self.opened = None
        self.left_to_guards = [each for each in self.left_to_guards if each.rollout != rollout]
        self.learn(lambda facts: mended(facts, facts.lost_records))

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

    def use(self, place: LedgerPlace, last: Mapping[str, int] | None = None) -> UseChunk:
        self.before("use")
        ledger = self.ledger[-1].end.ledger if self.ledger else ""
        start = place if place.ledger == ledger else LedgerPlace(ledger)
        for number, chunk in enumerate(self.ledger):
            if chunk.start == start:
                return replace(chunk, more=number + 1 < len(self.ledger))
        return UseChunk(self.name, start, start)

    def sums_of_use(self) -> tuple[LedgerSums, ...]:
        self.before("sums of use")
        return (*self.sums, *self.told)

    def tell_use(self, sums: Sequence[LedgerSums]) -> None:
        self.before("tell use")
        self.told = tuple(sums)
