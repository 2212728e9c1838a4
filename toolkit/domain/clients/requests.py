"""Single requests: what a router's access log says of them, and what the engine recorded of their use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """A request as the router of `host` logged it.

    `at` is when it came in, in whole seconds since the epoch; `status` and `reason` say how it ended, with 499 also
    where the client left amid its answer; `end` is HAProxy's own word for it. `release` is None where no replica
    answered; `slot` may name another host, as routes do. Tokens are None where nobody has told them. The times are in
    milliseconds, -1 where the request did not get so far: until it was read (and had waited for its model), for the
    connection to the replica, until the answer began, and all of it. `left_out` counts requests of the same client
    without a valid key that have no line because there were many.
    """

    host: str
    at: int
    client: str
    method: str
    path: str
    key: str
    model: str
    version: str
    release: int | None
    slot: str
    status: int
    reason: str
    tokens_in: int | None
    tokens_out: int | None
    request_ms: int
    connect_ms: int
    first_byte_ms: int
    total_ms: int
    end: str
    request_id: str
    left_out: int = 0

    @property
    def reached_replica(self) -> float:
        """Seconds since the epoch at which a replica got the request, to a second."""
        return self.at + (max(self.request_ms, 0) + max(self.connect_ms, 0)) / 1000


@dataclass(frozen=True, slots=True)
class RecordedUse:
    """A record of the ledger: `began` and `at`, its end, in seconds since the epoch; tokens are None where unknown."""

    began: float
    at: float
    model: str
    version: str
    release: int
    tokens_in: int | None
    tokens_out: int | None
    request_id: str


@dataclass(frozen=True, slots=True)
class RequestPart:
    """Requests of a router's log, the oldest first, and the place where the next part begins.

    The place is the host's own word; `more` says that the log has more already, `unlogged` in words what it lacks.
    """

    requests: tuple[LoggedRequest, ...]
    place: Mapping[str, Any]
    more: bool = False
    unlogged: str = ""
