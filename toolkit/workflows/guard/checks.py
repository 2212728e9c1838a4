"""Ask a replica one check of its release."""

from __future__ import annotations

from dataclasses import replace

from toolkit.adapters.hosts.port import HostPort
from toolkit.domain.deployment.release import Release, ReleaseAdapter
from toolkit.domain.gates.kind import Kind
from toolkit.domain.registry.release_parts import Check
from toolkit.planning.change.gate import gate_fault, gate_payload
from toolkit.planning.guard.checks import TEXTS, check_fault, check_payload
from toolkit.planning.guard.kinds import PATHS


def fault_of_adapter(
    host: HostPort, port: int, release: Release, adapter: ReleaseAdapter, name: str
) -> str:
    """Return why an adapter, loaded under `name` at `port`, does not pass its checks; empty where it passes."""
    asked = replace(release, model=name)
    for check in adapter.checks:
        if fault := fault_of_check(host, port, asked, check):
            return f"adapter {adapter.name} ({adapter.source}@{adapter.revision[:12]}): {fault}"
    return ""


def fault_of_checks(host: HostPort, port: int, release: Release) -> str:
    """Return why the replica at `port` does not pass its checks or those of an adapter; empty where it passes."""
    for check in release.checks:
        if fault := fault_of_check(host, port, release, check):
            return fault
    for adapter in release.adapters:
        if fault := fault_of_adapter(host, port, release, adapter, adapter.name):
            return fault
    return ""


def fault_of_check(host: HostPort, port: int, release: Release, check: Check) -> str:
    """Return why the replica at `port` does not pass a check; empty where it passes."""
    kind = Kind(check.kind)
    if kind in TEXTS:
        return gate_fault(check, host.complete(port, gate_payload(release, check), check.timeout))
    payload = check_payload(release.model, check)
    return check_fault(check, host.ask(port, PATHS[kind], payload, check.timeout))
