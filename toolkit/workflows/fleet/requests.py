"""Collect requests from the access logs of hosts, with the tokens that the engines recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from toolkit.adapters.hosts.port import HostPort
from toolkit.domain.clients.requests import LoggedRequest, RecordedUse, RequestPart
from toolkit.errors import HostError
from toolkit.planning.use.joined import APART_SECONDS, joined, lacks_tokens
from toolkit.workflows.fleet.look import each_at_once

# Seconds until the record of a request that has just ended is in the ledger, and between two looks for it.
PATIENCE, LOOK = 5.0, 0.5
_MOST = 1000


@dataclass(frozen=True, slots=True)
class Clock:
    """`now` returns seconds since the epoch; `sleep` waits for seconds."""

    now: Callable[[], float]
    sleep: Callable[[float], None]


@dataclass(slots=True)
class RequestReader:
    """Reads the requests of `model` on `hosts`; an empty name selects those of all models.

    `say` gets a line about each host that does not answer, once until it answers again, and about each whose log lacks
    requests.
    """

    hosts: Sequence[HostPort]
    model: str
    clock: Clock
    say: Callable[[str], None]
    _places: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    _silent: set[str] = field(default_factory=set)
    _lacking: set[str] = field(default_factory=set)

    def latest(self, lines: int) -> tuple[LoggedRequest, ...]:
        """Return the last `lines` requests of all hosts in the order in which they came in.

        The tokens of one that has just ended are waited for, for at most PATIENCE. Raises the error of a host where no
        host answers.
        """
        found = self._read(lines)
        found = (
            sorted(found, key=lambda each: each.at)[max(0, len(found) - lines) :] if lines else []
        )
        until = self.clock.now() + PATIENCE
        while True:
            found = list(self._told(found))
            late = [each for each in found if lacks_tokens(each) and _is_young(each, self.clock)]
            if not late or self.clock.now() >= until:
                return tuple(found)
            self.clock.sleep(LOOK)

    def further(
        self, shown: Sequence[LoggedRequest], seconds: float = 1.0
    ) -> Iterator[LoggedRequest]:
        """Yield, for ever, each request after those that `latest` has `shown`, once its tokens are known.

        Hosts are asked every `seconds`. A request is not held back for longer than PATIENCE.
        """
        told = {_name(each) for each in shown}
        waiting: list[tuple[float, LoggedRequest]] = []
        while True:
            self.clock.sleep(seconds)
            # The first look may repeat requests that were logged during the look before.
            fresh = [each for each in self._read(0) if _name(each) not in told]
            told = set()
            waiting += [(self.clock.now() + PATIENCE, each) for each in fresh]
            now = self.clock.now()
            known = self._told([each for _, each in waiting])
            held = []
            for (until, _), each in zip(waiting, known, strict=True):
                if lacks_tokens(each) and now < until:
                    held.append((until, each))
                else:
                    yield each
            waiting = held

    def _read(self, lines: int) -> list[LoggedRequest]:
        """Return the last `lines` requests of each host, or those since the last call."""

        def read(host: HostPort) -> RequestPart | HostError:
            try:
                return host.read_requests(self.model, lines, self._places.get(host.name))
            except HostError as error:
                return error

        found: list[LoggedRequest] = []
        errors: list[HostError] = []
        for host, part in zip(self.hosts, each_at_once(self.hosts, read), strict=True):
            if isinstance(part, HostError):
                errors.append(part)
                if host.name not in self._silent:
                    self._silent.add(host.name)
                    self.say(f"warning: {part.message}")
                continue
            self._silent.discard(host.name)
            if part.unlogged and host.name not in self._lacking:
                self._lacking.add(host.name)
                self.say(f"warning: {host.name}: {part.unlogged}")
            self._places[host.name] = part.place
            found += part.requests
        if errors and not self._places:
            raise errors[0]
        return found

    def _told(self, requests: Sequence[LoggedRequest]) -> tuple[LoggedRequest, ...]:
        """Return the requests with what the ledgers of all hosts say of them: a replica may be on another host."""
        wanting = [each for each in requests if lacks_tokens(each)][-_MOST:]
        if not wanting:
            return tuple(requests)
        ids = sorted({each.request_id for each in wanting})
        since = min(each.at for each in wanting) - APART_SECONDS

        def ask(host: HostPort) -> tuple[RecordedUse, ...]:
            try:
                return host.find_use(ids, since)
            except HostError:
                return ()

        records = [each for part in each_at_once(self.hosts, ask) for each in part]
        return joined(requests, records)


def _is_young(request: LoggedRequest, clock: Clock) -> bool:
    ended = request.at + max(request.total_ms, 0) / 1000
    return clock.now() - ended < PATIENCE


def _name(request: LoggedRequest) -> tuple[object, ...]:
    """Return the identity of a line of the log, the same with tokens and without."""
    return request.host, request.request_id, request.at, request.total_ms
