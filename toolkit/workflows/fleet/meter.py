"""Read the energy counters of a fleet's devices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from toolkit.adapters.hosts.port import HostPort
from toolkit.domain.costs.energy import EnergyCount
from toolkit.errors import HostError
from toolkit.workflows.fleet.look import each_at_once


@dataclass(frozen=True, slots=True)
class Counters:
    """Counts of the hosts' devices, reasons why others have none, and errors of those that do not answer, by name."""

    counts: Mapping[str, EnergyCount]
    without: Mapping[str, str]
    errors: Mapping[str, HostError]


def read_counters(hosts: Sequence[HostPort]) -> Counters:
    """Return the counters of all hosts, read at once."""
    found = list(zip(hosts, each_at_once(hosts, _count), strict=True))
    counts = {host.name: each for host, each in found if isinstance(each, EnergyCount)}
    return Counters(
        {name: each for name, each in counts.items() if each.devices},
        {name: each.fault for name, each in counts.items() if not each.devices},
        {host.name: each for host, each in found if isinstance(each, HostError)},
    )


def _count(host: HostPort) -> EnergyCount | HostError:
    try:
        return host.energy()
    except HostError as error:
        return error
