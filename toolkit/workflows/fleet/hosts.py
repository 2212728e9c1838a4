"""The inventory of a fleet: what each host is and has, observed at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from toolkit.adapters.hosts.port import HostPort
from toolkit.domain.accelerator import driver_package
from toolkit.domain.hosts.facts import HostFacts
from toolkit.domain.hosts.fleet import Host
from toolkit.errors import HostError
from toolkit.planning.change.fence import fence_remarks
from toolkit.planning.change.placement import gateway_remarks
from toolkit.planning.change.preflight import Obstacle, preflight, reason_to_provision, remarks
from toolkit.workflows.fleet.look import look


@dataclass(frozen=True, slots=True)
class HostLook:
    """The facts of a host, or the error that prevented them. `drift` is the reason to provision the host again."""

    name: str
    facts: HostFacts | None = None
    drift: str = ""
    faults: tuple[Obstacle, ...] = ()
    remarks: tuple[str, ...] = ()
    unreachable: HostError | None = None

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints of a host that answers."""
        assert self.facts is not None
        return {
            **self.facts.as_json(),
            "replicas": len(self.facts.slots),
            "serving": sum(slot.serving for slot in self.facts.slots),
            "drift": self.drift,
            "faults": [asdict(fault) for fault in self.faults],
            "remarks": list(self.remarks),
        }


def look_at_hosts(
    hosts: Sequence[HostPort], digest_of: Callable[[Host], str], clock: Callable[[], float]
) -> tuple[HostLook, ...]:
    """Return a look at each host, in their order; `digest_of` gives a host's provision digest.

    `clock` returns seconds since the epoch. The error of a host that does not answer is in its look; it is not raised.
    """
    seen = look(hosts)

    def judge(host: Host) -> HostLook:
        if host.name in seen.errors:
            return HostLook(host.name, unreachable=seen.errors[host.name])
        facts = seen.facts[host.name]
        faults = preflight(facts, clock(), driver_package(host.settings))
        drift = reason_to_provision(facts, digest_of(host))
        words = (*remarks(facts), *fence_remarks(facts), *gateway_remarks(host, facts))
        return HostLook(host.name, facts, drift, faults, words)

    return tuple(judge(each.host) for each in hosts)
