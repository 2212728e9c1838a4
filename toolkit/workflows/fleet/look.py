"""Observe all hosts of a fleet at once, and lock them all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TypeVar

from toolkit.adapters.hosts.host import HostPort
from toolkit.domain.facts import FleetFacts, HostFacts
from toolkit.domain.probe import LockOwner
from toolkit.errors import HostError, ToolkitError
from toolkit.workflows.fleet.at_once import at_once

AT_ONCE = 32
T = TypeVar("T")
R = TypeVar("R")


def look(hosts: Sequence[HostPort]) -> FleetFacts:
    """Return the facts of all hosts that answer, in the order of `hosts`, and why the others do not."""
    found = dict(zip([each.host for each in hosts], each_at_once(hosts, _observe), strict=True))
    return FleetFacts(
        {host.name: each for host, each in found.items() if isinstance(each, HostFacts)},
        {host.name: each for host, each in found.items() if isinstance(each, HostError)},
        {host.name: host.label for host in found},
    )


def _observe(host: HostPort) -> HostFacts | HostError:
    try:
        return host.observe()
    except HostError as error:
        return error


def each_at_once(
    items: Sequence[T], act: Callable[[T], R], stop: Callable[[], None] = lambda: None
) -> list[R]:
    """Return `act` of each item, in their order, see `at_once`; raises the first exception of `act`."""
    return list(at_once(AT_ONCE, items, act, stop))


@contextmanager
def lock_all(hosts: Iterable[HostPort], owner: LockOwner) -> Iterator[None]:
    """Hold the deployment locks of all hosts; raises BusyError, and holds none, where one is held already."""
    with ExitStack() as held:

        def take(host: HostPort) -> ToolkitError | None:
            try:
                held.enter_context(host.lock(owner))
            except ToolkitError as error:
                return error
            return None

        for error in each_at_once(list(hosts), take):
            if error is not None:
                raise error
        yield
