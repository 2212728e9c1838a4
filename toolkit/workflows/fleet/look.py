"""Observe all hosts of a fleet at once, and lock them all."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from typing import TypeVar

from toolkit.adapters.capacity import width
from toolkit.adapters.hosts.held import busy
from toolkit.adapters.hosts.port import HostPort
from toolkit.adapters.patience import NO_PATIENCE, Patience
from toolkit.domain.hosts.facts import FleetFacts, HostFacts
from toolkit.domain.hosts.in_flight import ASKING
from toolkit.domain.replicas.probe import LockOwner
from toolkit.errors import HostError, ToolkitError
from toolkit.workflows.fleet.at_once import at_once

T = TypeVar("T")
R = TypeVar("R")


def look(hosts: Sequence[HostPort]) -> FleetFacts:
    """Return the facts of all hosts that answer, in the order of `hosts`, and why the others do not.

    A host at whose address another one of them answers counts as one that does not.
    """
    answers = each_at_once(hosts, _observe)
    names = {each.host.name for each in hosts}
    found = {
        each.host: _itself(each.host.name, answer, names)
        for each, answer in zip(hosts, answers, strict=True)
    }
    return FleetFacts(
        {host.name: each for host, each in found.items() if isinstance(each, HostFacts)},
        {host.name: each for host, each in found.items() if isinstance(each, HostError)},
        {host.name: host.label for host in found},
    )


def unreachable_that_served(
    facts: Iterable[HostFacts], unreachable: Iterable[str], deployed: Callable[[], Collection[str]]
) -> list[str]:
    """Return the `unreachable` hosts that alone can tell of keys: none of those with `facts` has served, but they have.

    `deployed` returns the hosts that have had a deployment by the history; where it is not needed it is not asked.
    """
    names = list(unreachable)
    if not names or any(each.converged for each in facts):
        return []
    known = deployed()
    return [name for name in names if name in known]


def _observe(host: HostPort) -> HostFacts | HostError:
    try:
        return host.observe()
    except HostError as error:
        return error


def _itself(
    name: str, answer: HostFacts | HostError, names: Collection[str]
) -> HostFacts | HostError:
    """Return the facts of a host, or an error where its router has the name of another host of these names."""
    if isinstance(answer, HostError):
        return answer
    own = answer.routes.get("at", "")
    if own == name or own not in names:
        return answer
    return HostError(
        f"{name}: the machine at its address is {own}, by the routes there",
        hint="correct the addresses of both in the inventory; a machine that was copied from the other one: "
        "remove the toolkit's directory there",
    )


def each_at_once(
    items: Sequence[T], act: Callable[[T], R], stop: Callable[[], None] = lambda: None
) -> list[R]:
    """Return `act` of each item, in their order, see `at_once`; raises the first exception of `act`."""
    return list(at_once(width(ASKING), items, act, stop))


def look_free(hosts: Sequence[HostPort], patience: Patience) -> FleetFacts:
    """Return what `look` returns, with `patience` for a command that holds one of the hosts.

    So a plan is made from what that command leaves behind. Raises BusyError where it does not end in time; without any
    patience the hosts are observed once, held or not.
    """

    def take() -> FleetFacts:
        seen = look(hosts)
        for name, facts in seen.facts.items() if patience.seconds else ():
            if facts.held_by:
                raise busy(name, asdict(facts.held_by))
        return seen

    return patience.until_free(take)


@contextmanager
def lock_all(
    hosts: Iterable[HostPort], owner: LockOwner, patience: Patience = NO_PATIENCE
) -> Iterator[None]:
    """Hold the deployment locks of all hosts.

    Raises BusyError, and holds none, where one is held already and stays so for longer than `patience` lasts; and the
    HostError of a host that cannot be locked.
    """
    with lock_able(hosts, owner, patience) as failed:
        for error in failed.values():
            raise error
        yield


@contextmanager
def lock_able(
    hosts: Iterable[HostPort], owner: LockOwner, patience: Patience = NO_PATIENCE
) -> Iterator[Mapping[str, HostError]]:
    """Hold the deployment locks of all hosts that can be locked; yield the errors of the others, by name.

    A host whose disk takes no changes any more is such a one. Raises BusyError as `lock_all` does.
    """
    hosts = list(hosts)
    failed, locks = patience.until_free(lambda: _locked(hosts, owner))
    with locks:
        yield failed


def _locked(hosts: Sequence[HostPort], owner: LockOwner) -> tuple[dict[str, HostError], ExitStack]:
    """Lock all hosts; return the errors of those that cannot be locked, and the stack that releases the others.

    Raises the first other error, and then holds no lock.
    """
    failed: dict[str, HostError] = {}
    with ExitStack() as held:

        def take(host: HostPort) -> ToolkitError | None:
            try:
                held.enter_context(host.lock(owner))
            except HostError as error:
                failed[host.name] = error
            except ToolkitError as error:
                return error
            return None

        for error in each_at_once(hosts, take):
            if error is not None:
                raise error
        return failed, held.pop_all()
