"""The start of a replica on a host: files that are as they were put there, and the variables of its slot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from toolkit.adapters.hosts.port import HostPort
from toolkit.domain.deployment.release import Release
from toolkit.domain.hosts.facts import HostFacts
from toolkit.domain.hosts.fleet import Host
from toolkit.errors import IntegrityError, RefusedError
from toolkit.planning.change.process import process_variables, seat_of


def require_files(host: HostPort, release: Release) -> None:
    """Raise IntegrityError where the release's files on the host are not those that were put there."""
    for part in release.parts:
        if faults := host.check_snapshot(part.snapshot, lambda _: None):
            raise IntegrityError(
                f"{host.name}: files of {release.title} are not what was put there:\n  "
                + "\n  ".join(faults),
                hint="find out who wrote there; then: toolkit verify --repair, and "
                f"toolkit deploy {release.model}@{release.version}",
            )


def slot_variables(
    facts: HostFacts, host: Host, release: Release, slot: str, port: int, devices: Sequence[int]
) -> dict[str, Any]:
    """Return the variables of the role `replica` with which `release` runs in a slot of `host`.

    Raises RefusedError where the release runs over several hosts and the address of `host` is none of theirs.
    """
    program, span = f"{release.model}-{slot}", _span(host, release, slot, port)
    seat = seat_of(host.root, program, port, span, facts.fences)
    return {
        "replica_program": program,
        "replica_user": host.slot_user(program),
        "replica_state": "started",
        "replica_fences": list(facts.fences),
        "replica_span": span,
        **process_variables(release, slot, seat, devices),
    }


def _span(host: Host, release: Release, slot: str, port: int) -> Mapping[str, Any]:
    """Return the settings of the slot's span supervisor: rank, hosts and ports; raises RefusedError."""
    if release.span is None:
        return {}
    hosts, rank = list(release.span.hosts), release.span.rank_of(host.relay_address)
    if rank is None:
        raise RefusedError(
            f"{release.title} runs on the hosts at {' and '.join(hosts)}, and {host.name} is at {host.relay_address}",
            hint=f"toolkit deploy {release.model}@{release.version} starts it at today's addresses",
        )
    return {"rank": rank, "hosts": hosts, "port": release.span.port_of(slot), "door": port}
