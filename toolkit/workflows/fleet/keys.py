"""Keys of the fleet's routers. The hosts hold the truth: read all of them, and bring all to their union."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial, reduce
from typing import TypeVar

from toolkit.adapters.capacity import width
from toolkit.adapters.hosts.port import HostPort
from toolkit.domain.clients.keys import KeyRing
from toolkit.domain.hosts.failures import joined, own_words, reasons
from toolkit.domain.hosts.in_flight import ASKING
from toolkit.errors import HostError, ToolkitError

T = TypeVar("T")

# Another command may change keys meanwhile; the two unions agree after a round or two.
ROUNDS = 4


@dataclass(frozen=True, slots=True)
class FleetKeys:
    """The union of the keys of all hosts that answered.

    `behind` names hosts that answered with other keys; `errors` has the errors of hosts that did not answer, by name.
    """

    ring: KeyRing
    behind: tuple[str, ...] = ()
    errors: Mapping[str, ToolkitError] = field(default_factory=dict)

    @property
    def unreachable(self) -> dict[str, str]:
        """The reason of each host that did not answer."""
        return reasons(self.errors)

    @property
    def whole(self) -> bool:
        """Whether every host has these keys."""
        return not self.behind and not self.errors

    def faults_of(self, names: Iterable[str]) -> dict[str, ToolkitError]:
        """Return why hosts must not begin to serve: requests need a key of the fleet's, and they have not got them."""
        found = {name: self._fault_of(name) for name in names}
        return {name: fault for name, fault in found.items() if fault}

    def unheard(self, bare: Iterable[str], unreachable: Collection[str]) -> dict[str, ToolkitError]:
        """Return why `bare` hosts must not begin to serve where no host that answers has served before.

        Nobody can tell then whether requests need a key: `unreachable` hosts may have keys. A person who has opened the
        routers has said so.
        """
        if not unreachable or self.ring != KeyRing():
            return {}
        one = len(unreachable) == 1
        who = f"{' and '.join(unreachable)}, which may have keys of the fleet, {'does' if one else 'do'} not answer"
        return {
            name: HostError(
                f"{name}: it would serve requests without a key, and {who}",
                hint=f"bring {'that' if one else 'them'} back; or toolkit keys add NAME, "
                "or where requests need no key: toolkit keys open",
            )
            for name in bare
        }

    def _fault_of(self, name: str) -> ToolkitError | None:
        if not self.ring.is_locked or not (name in self.errors or name in self.behind):
            return None
        error = self.errors.get(name)
        why = own_words(name, error.message) if error else "they change all the time"
        return HostError(
            f"{name}: it would serve requests without a key, since it could not get the keys of the fleet: {why}",
            hint=(error.hint if error else "") or "toolkit keys sync, then the same command again",
        )


def read_keys(hosts: Sequence[HostPort]) -> FleetKeys:
    """Return the keys of the fleet and the hosts that lag behind; raises HostError where no host answers."""
    found, errors = _on_all(hosts, lambda host: host.keys())
    if not found:
        raise _no_answer(errors)
    ring = _union(each.ring for each in found.values())
    behind = tuple(name for name, each in found.items() if each.ring != ring or each.lagging)
    return FleetKeys(ring, behind, errors)


def change_keys(hosts: Sequence[HostPort], edit: Callable[[KeyRing], KeyRing]) -> FleetKeys:
    """Apply `edit` to the fleet's keys on every host that answers, at once.

    An `edit` that raises changes nothing. Raises HostError where no host took the change. The result names the hosts
    that did not take it: `sync_keys` or any later change brings them up.
    """
    seen = read_keys(hosts)
    return _spread(hosts, edit(seen.ring))


def sync_keys(hosts: Sequence[HostPort]) -> FleetKeys:
    """Bring every host that answers to the union of all keys; change nothing where all hosts have it.

    This includes a host without a router: its router starts with these keys. Raises HostError where no host answers.
    """
    seen = read_keys(hosts)
    if not seen.behind:
        return seen
    return _spread(hosts, seen.ring)


def _spread(hosts: Sequence[HostPort], ring: KeyRing) -> FleetKeys:
    for _ in range(ROUNDS):
        taken, errors = _on_all(hosts, partial(_apply, ring))
        if not taken:
            raise _no_answer(errors)
        ring = _union(taken.values())
        behind = tuple(name for name, each in taken.items() if each != ring)
        if not behind:
            break
    return FleetKeys(ring, behind, errors)


def _apply(ring: KeyRing, host: HostPort) -> KeyRing:
    return host.apply_keys(ring)


def _union(rings: Iterable[KeyRing]) -> KeyRing:
    return reduce(KeyRing.merged, rings, KeyRing())


def _on_all(
    hosts: Sequence[HostPort], call: Callable[[HostPort], T]
) -> tuple[dict[str, T], dict[str, ToolkitError]]:
    """Return the result of `call` for each host, and its error where it failed, both in the hosts' order."""
    found: dict[str, T] = {}
    errors: dict[str, ToolkitError] = {}
    with ThreadPoolExecutor(min(width(ASKING), len(hosts))) as pool:
        for host, called in [(host, pool.submit(call, host)) for host in hosts]:
            try:
                found[host.name] = called.result()
            except ToolkitError as error:
                errors[host.name] = error
    return found, errors


def _no_answer(errors: Mapping[str, ToolkitError]) -> ToolkitError:
    return joined(errors, hint="toolkit doctor", alone=len(errors) == 1)
