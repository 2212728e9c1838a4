"""Keys of the fleet's routers: the truth is on the hosts. This reads all, and brings all to the union."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial, reduce
from typing import TypeVar

from toolkit.adapters.hosts.host import HostPort
from toolkit.domain.keys import KeyRing
from toolkit.errors import HostError, ToolkitError

T = TypeVar("T")

AT_ONCE = 32
# Somebody else may be changing keys too, and two unions meet after a round or two.
ROUNDS = 4


@dataclass(frozen=True, slots=True)
class FleetKeys:
    """The union of the keys of all hosts that answered.

    `behind` has hosts that answered and do not follow it yet, `silent` those that did not answer, with the reason.
    """

    ring: KeyRing
    behind: tuple[str, ...] = ()
    silent: Mapping[str, str] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Whether every host follows."""
        return not self.behind and not self.silent


def read_keys(hosts: Sequence[HostPort]) -> FleetKeys:
    """Return the keys of the fleet and which hosts lag behind; raises HostError where no host answers."""
    found, silent = _ask_all(hosts, lambda host: host.keys())
    if not found:
        raise _nobody(silent)
    ring = _union(each.ring for each in found.values())
    behind = tuple(name for name, each in found.items() if each.ring != ring or each.lagging)
    return FleetKeys(ring, behind, silent)


def change_keys(hosts: Sequence[HostPort], edit: Callable[[KeyRing], KeyRing]) -> FleetKeys:
    """Make `edit` of the fleet's keys effective at once on every host that answers.

    `edit` may refuse by raising; nothing was changed then. Raises HostError where no host took the change. The
    hosts that did not are in the result: `sync_keys` brings them to it, and so does any later change.
    """
    seen = read_keys(hosts)
    return _spread(hosts, edit(seen.ring))


def sync_keys(hosts: Sequence[HostPort]) -> FleetKeys:
    """Bring every host that answers to the union of all; does nothing on hosts that are there already.

    Also for a host without a router: it will start with these keys. Raises HostError where no host answers.
    """
    seen = read_keys(hosts)
    if not seen.behind:
        return seen
    return _spread(hosts, seen.ring)


def _spread(hosts: Sequence[HostPort], ring: KeyRing) -> FleetKeys:
    for _ in range(ROUNDS):
        taken, silent = _ask_all(hosts, partial(_apply, ring))
        if not taken:
            raise _nobody(silent)
        ring = _union(taken.values())
        behind = tuple(name for name, each in taken.items() if each != ring)
        if not behind:
            break
    return FleetKeys(ring, behind, silent)


def _apply(ring: KeyRing, host: HostPort) -> KeyRing:
    return host.apply_keys(ring)


def _union(rings: Iterable[KeyRing]) -> KeyRing:
    return reduce(KeyRing.merged, rings, KeyRing())


def _ask_all(
    hosts: Sequence[HostPort], ask: Callable[[HostPort], T]
) -> tuple[dict[str, T], dict[str, str]]:
    """Return what each host answered, and for the others why they did not, both in the hosts' order."""
    found: dict[str, T] = {}
    silent: dict[str, str] = {}
    with ThreadPoolExecutor(min(AT_ONCE, len(hosts))) as pool:
        for host, asked in [(host, pool.submit(ask, host)) for host in hosts]:
            try:
                found[host.host.name] = asked.result()
            except ToolkitError as error:
                silent[host.host.name] = error.message
    return found, silent


def _nobody(silent: Mapping[str, str]) -> HostError:
    return HostError("no host answered: " + "; ".join(silent.values()), hint="toolkit doctor")
