"""The load of a fleet, seen again and again: each host at its own pace, so that a silent one keeps no other back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from toolkit.adapters.hosts.port import HostPort
from toolkit.domain.hosts.facts import FleetFacts, HostFacts
from toolkit.domain.hosts.load import HostSample
from toolkit.errors import HostError
from toolkit.planning.upkeep.load import Load, loads
from toolkit.workflows.fleet.look import each_at_once

# Seconds between the two samples of a single look.
BETWEEN = 1.0
_END_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class HostView:
    """The result of one look at a host: facts and the load of its replicas by model and slot, or why it did not answer.

    `seconds` is the time over which the rates are; 0 where there are none yet. `at` is the caller's clock.
    """

    at: float
    facts: HostFacts | None = None
    loads: Mapping[tuple[str, str], Load] = field(default_factory=dict)
    seconds: float = 0.0
    error: HostError | None = None


def see_once(
    hosts: Sequence[HostPort], rest: Callable[[float], None], clock: Callable[[], float]
) -> dict[str, HostView]:
    """Return one view of each host, over `BETWEEN` seconds."""

    def see(host: HostPort) -> HostView:
        try:
            before = host.sample()
            rest(BETWEEN)
            return _sight(host, before, clock)[0]
        except HostError as error:
            return HostView(clock(), error=error)

    return dict(zip([each.name for each in hosts], each_at_once(hosts, see), strict=True))


class Follower:
    """Looks at all hosts every `pause` seconds, in a thread for each, until it is left.

    `stop` ends what the hosts' adapters wait for.
    """

    def __init__(
        self,
        hosts: Sequence[HostPort],
        pause: float,
        clock: Callable[[], float],
        stop: Callable[[], None],
    ) -> None:
        self._pause, self._clock, self._stop = pause, clock, stop
        self._over = threading.Event()
        self._seen: dict[str, HostView] = {}
        self._threads = [
            threading.Thread(target=self._follow, args=(host,), daemon=True) for host in hosts
        ]
        self._names = [host.name for host in hosts]

    def __enter__(self) -> Follower:
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._stop()
        for each in self._threads:
            each.join(_END_SECONDS)

    def seen(self) -> dict[str, HostView | None]:
        """Return the newest sight of each host, None of one that has not answered yet."""
        return {name: self._seen.get(name) for name in self._names}

    def _follow(self, host: HostPort) -> None:
        before: HostSample | None = None
        while not self._over.is_set():
            try:
                self._seen[host.name], before = _sight(host, before, self._clock)
            except HostError as error:
                # Keep the time of the first failure: the host has been away since then.
                known = self._seen.get(host.name)
                since = known.at if known and known.error else self._clock()
                self._seen[host.name], before = HostView(since, error=error), None
            self._over.wait(self._pause if before else self._pause / 2)


def fleet_facts(hosts: Sequence[HostPort], seen: Mapping[str, HostView | None]) -> FleetFacts:
    """Return the facts of all hosts seen, and the errors of the others."""
    return FleetFacts(
        {name: each.facts for name, each in seen.items() if each and each.facts},
        {name: each.error for name, each in seen.items() if each and each.error},
        {host.name: host.label for host in hosts},
    )


def _sight(
    host: HostPort, before: HostSample | None, clock: Callable[[], float]
) -> tuple[HostView, HostSample]:
    now = host.sample()
    facts = host.observe()
    same = before is not None and before.boot == now.boot
    seconds = max(0.0, now.clock - before.clock) if before and same else 0.0
    return HostView(clock(), facts, loads(before, now), seconds), now
