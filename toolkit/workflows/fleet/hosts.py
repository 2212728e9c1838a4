"""The inventory of a fleet: what each host is and has, observed at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from toolkit.adapters.hosts.host import HostPort
from toolkit.domain.facts import HostFacts
from toolkit.errors import HostError
from toolkit.planning.change.preflight import Fault, preflight, reason_to_provision, remarks
from toolkit.workflows.fleet.look import look


@dataclass(frozen=True, slots=True)
class HostLook:
    """The facts of a host, or the error that prevented them. `drift` is the reason to provision the host again."""

    name: str
    facts: HostFacts | None = None
    drift: str = ""
    faults: tuple[Fault, ...] = ()
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
    hosts: Sequence[tuple[HostPort, str, str]], clock: Callable[[], float]
) -> tuple[HostLook, ...]:
    """Return a look at each host, in their order; `hosts` are (host, provision digest, wanted driver package).

    `clock` returns seconds since the epoch. The error of a host that does not answer is in its look; it is not raised.
    """

    sight = look([host for host, _, _ in hosts])

    def judge(name: str, digest: str, driver_package: str) -> HostLook:
        if name in sight.errors:
            return HostLook(name, unreachable=sight.errors[name])
        facts = sight.facts[name]
        faults = preflight(facts, clock(), driver_package)
        return HostLook(name, facts, reason_to_provision(facts, digest), faults, remarks(facts))

    return tuple(judge(host.name, digest, driver) for host, digest, driver in hosts)
