"""Look at all hosts of a fleet at once, and hold them all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from toolkit.adapters.hosts.host import HostPort
from toolkit.domain.facts import HostFacts
from toolkit.domain.probe import LockOwner
from toolkit.errors import HostError, ToolkitError
from toolkit.workflows.fleet.at_once import at_once

AT_ONCE = 32
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Sight:
    """Facts by host's name, and why others show none."""

    facts: dict[str, HostFacts] = field(default_factory=dict)
    errors: dict[str, HostError] = field(default_factory=dict)

    @property
    def lost(self) -> dict[str, str]:
        """Why hosts show nothing, in words that do not name the host again."""
        return {
            name: error.message.removeprefix(f"{name}: ") for name, error in self.errors.items()
        }

    def by_label(self, hosts: Iterable[HostPort]) -> dict[str, HostFacts]:
        """Return the facts of those of `hosts` that answered, by what routes call them."""
        return {each.label: self.facts[each.name] for each in hosts if each.name in self.facts}


def look(hosts: Sequence[HostPort]) -> Sight:
    """Return what the hosts show, in their order; who does not answer is among the lost."""
    sight = Sight()
    for host, found in zip(hosts, each_at_once(hosts, _observe), strict=True):
        if isinstance(found, HostError):
            sight.errors[host.name] = found
        else:
            sight.facts[host.name] = found
    return sight


def _observe(host: HostPort) -> HostFacts | HostError:
    try:
        return host.observe()
    except HostError as error:
        return error


def each_at_once(
    items: Sequence[T], act: Callable[[T], R], stop: Callable[[], None] = lambda: None
) -> list[R]:
    """Return `act` of each item, in their order, performed in threads; raises what the first of them raised.

    `stop` is called where Ctrl-C comes meanwhile, see `at_once`.
    """
    if len(items) == 1:
        return [act(items[0])]
    return list(at_once(AT_ONCE, items, act, stop))


@contextmanager
def hold(hosts: Iterable[HostPort], owner: LockOwner) -> Iterator[None]:
    """Hold the deployment locks of all hosts; raises BusyError, holding none, where one is held already."""
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
