"""Check the perimeter of all hosts at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toolkit.adapters.hosts.port import HostPort
from toolkit.domain.hosts.failures import reasons
from toolkit.errors import HostError
from toolkit.planning.upkeep.perimeter import JudgedPerimeter, judge
from toolkit.workflows.fleet.look import each_at_once


@dataclass(frozen=True, slots=True)
class FleetPerimeter:
    """The verdict on each host that answers, and the errors of the others, by host's name."""

    hosts: Mapping[str, JudgedPerimeter]
    errors: Mapping[str, HostError]

    @property
    def findings(self) -> tuple[str, ...]:
        """The faults, each with its host's name."""
        return tuple(
            f"{name}: {words}" for name, each in self.hosts.items() for words in each.findings
        )

    def as_json(self) -> dict[str, Any]:
        """Return the findings as a document; the audit log has its digest."""
        return {
            "hosts": {name: each.as_json() for name, each in self.hosts.items()},
            "unreachable": reasons(self.errors),
        }


def check_perimeter(hosts: Sequence[HostPort]) -> FleetPerimeter:
    """Return the perimeter of all hosts; each host bounds its own time, see `SECONDS` in hostside/perimeter.py."""
    found = dict(zip([each.name for each in hosts], each_at_once(hosts, _check), strict=True))
    return FleetPerimeter(
        {name: each for name, each in found.items() if isinstance(each, JudgedPerimeter)},
        {name: each for name, each in found.items() if isinstance(each, HostError)},
    )


def _check(host: HostPort) -> JudgedPerimeter | HostError:
    try:
        return judge(host.host, host.observe(), host.perimeter())
    except HostError as error:
        return error
