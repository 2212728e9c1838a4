"""The records of a host: deployments, heads of audit logs, requests, use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from toolkit.adapters.hosts.answers import kept_head_of
from toolkit.adapters.hosts.facts import understood
from toolkit.adapters.hosts.held import Held
from toolkit.domain.outside import checked

# A rollback must start at once, so types that few commands need are loaded where they are used.
if TYPE_CHECKING:
    from toolkit.domain.clients.evidence import Answered
    from toolkit.domain.clients.requests import RecordedUse, RequestPart
    from toolkit.domain.clients.use import LedgerPlace, LedgerSums, UseChunk
    from toolkit.domain.deployment.release import OpenDeployment
    from toolkit.domain.trail.audit import Head, KeptHead


class Recorded(Held):
    """The records of a host."""

    def keep_deployment(self, opened: OpenDeployment, head: Head | None = None) -> bool:
        self.require_lock()
        request = {"deployment": opened.as_json(), "head": head.as_json() if head else None}
        answer = self._ask("keep-deployment", **request)
        with understood(self.name):
            return bool(answer["kept"])

    def keep_head(self, head: Head) -> bool:
        answer = self._ask("keep-head", head=head.as_json())
        with understood(self.name):
            return bool(answer["kept"])

    def audit_heads(self) -> tuple[KeptHead, ...]:
        answer = self._ask("audit-heads")
        with understood(self.name):
            return tuple(kept_head_of(self.name, each) for each in answer["heads"])

    def drop_deployment(self, rollout: str) -> None:
        self._change("drop-deployment", rollout=rollout)

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

    def use(self, place: LedgerPlace, last: Mapping[str, int] | None = None) -> UseChunk:
        from toolkit.adapters.hosts.use import chunk_from_json

        more = {} if last is None else {"last": dict(last)}
        answer = self._ask("hand-out-use", place={**asdict(place), **more})
        with understood(self.name):
            return chunk_from_json(self.name, answer)

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
