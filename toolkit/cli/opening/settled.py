"""The fleet as it is once the verdicts are recorded to which guards came without a command."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

from toolkit.adapters.history.history import History
from toolkit.adapters.hosts.port import HostPort
from toolkit.cli.opening.context import lock_owner, read_registry
from toolkit.cli.opening.trail import record_found
from toolkit.workflows.change.wishes import settle_bakes, watched
from toolkit.workflows.fleet.status import FleetStatus, observe_fleet


def observe_settled(
    ports: list[HostPort], history: History, registry_path: str, home: Path
) -> FleetStatus:
    """Return the status of all hosts. Record the verdicts of their guards first, and tell people."""
    look = partial(observe_fleet, ports, history, partial(read_registry, registry_path))
    seen = look()
    if not watched(seen.fleet):
        return seen
    found = settle_bakes(ports, history, seen.fleet, lock_owner(), time.time)
    for record in found:
        record_found(home, {"model": record.model, **record.as_json()})
    return look() if found else seen
