"""The targets of a fleet for Prometheus: files, as its file discovery takes them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence

from toolkit.domain.deployment.release import Release
from toolkit.domain.hosts.facts import HostFacts
from toolkit.domain.hosts.fleet import Host, is_loopback
from toolkit.domain.hosts.metrics import HOST_JOB, ScrapeTarget
from toolkit.domain.outside import parse_json

# The jobs, each with its file of targets.
ROUTER, HOST, REPLICA, NODE, DCGM, OPS = (
    "toolkit-router",
    HOST_JOB,
    "toolkit-replica",
    "toolkit-node",
    "toolkit-dcgm",
    "toolkit-ops",
)
JOBS = (ROUTER, HOST, REPLICA, NODE, DCGM, OPS)
# The settings of a host with the addresses of exporters that an operator has installed there, and their paths.
_EXPORTERS = {
    NODE: ("toolkit_node_exporter", "/metrics/node"),
    DCGM: ("toolkit_dcgm_exporter", "/metrics/dcgm"),
}


def targets(
    hosts: Sequence[Host], seen: Mapping[str, HostFacts]
) -> dict[str, tuple[ScrapeTarget, ...]]:
    """Return the targets of each job.

    `seen` are the facts of the hosts that answered, by name. The replicas of a host that did not are left out: nobody
    knows its slots. A host whose metrics only itself can read has no targets.
    """
    found: dict[str, list[ScrapeTarget]] = {job: [] for job in JOBS}
    for host in hosts:
        address = metrics_address(host)
        if not address:
            continue
        own = {"host": host.name, "instance": host.name}
        found[ROUTER].append(ScrapeTarget(address, "/metrics", own))
        found[HOST].append(ScrapeTarget(address, "/metrics/host", own))
        for job, (setting, path) in _EXPORTERS.items():
            if host.settings.get(setting):
                found[job].append(ScrapeTarget(address, path, own))
        if host.name in seen:
            found[REPLICA] += _replicas(address, own, host, seen[host.name])
    return {job: tuple(each) for job, each in found.items()}


def out_of_reach(hosts: Sequence[Host]) -> tuple[str, ...]:
    """Return the hosts whose metrics no other machine can read, because their router serves them on loopback."""
    return tuple(host.name for host in hosts if not metrics_address(host))


def metrics_address(host: Host) -> str:
    """Return address and port at which Prometheus, on the ops machine, reads a host; empty where it cannot."""
    bind, _, port = host.router_metrics_bind.rpartition(":")
    if is_loopback(bind):
        return f"{bind}:{port}" if host.connection == "local" else ""
    if bind in _ALL:
        bind = "127.0.0.1" if host.connection == "local" else host.reached_at
        bind = f"[{bind}]" if ":" in bind else bind
    return f"{bind}:{port}"


_ALL = ("", "*", "0.0.0.0", "[::]")  # noqa: S104 - what to look for, nothing to listen at


def _replicas(
    address: str, own: Mapping[str, str], host: Host, facts: HostFacts
) -> list[ScrapeTarget]:
    """Return the replicas of a host. An engine's labels are the same for all releases: these tell them apart.

    A replica that runs over several hosts is one of its leader: the others hand requests to the leader's engine, so
    they would tell the same figures again.
    """
    return [
        ScrapeTarget(
            address,
            f"/metrics/replica/{slot.model}/{slot.slot}",
            {
                **own,
                "model": slot.model,
                "slot": slot.slot,
                "release": str(slot.release.number),
                "version": slot.release.version,
            },
        )
        for slot in facts.slots
        if slot.release and not _follows(slot.release, host)
    ]


def _follows(release: Release, host: Host) -> bool:
    return bool(release.span and release.span.rank_of(host.relay_address))


def kept_targets(text: str, hosts: Collection[str]) -> tuple[ScrapeTarget, ...]:
    """Return the targets of `hosts` in a file of targets; none where the text is no such file."""
    try:
        return tuple(
            ScrapeTarget(
                each["targets"][0],
                each["labels"].pop("__metrics_path__"),
                {str(name): str(value) for name, value in each["labels"].items()},
            )
            for each in parse_json(text, 2**24)
            if each["labels"].get("host") in hosts
        )
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        return ()


def render_targets(found: Sequence[ScrapeTarget]) -> str:
    """Return the text of a file of targets; the same targets give the same bytes."""
    data = [
        {"targets": [each.address], "labels": {"__metrics_path__": each.path, **each.labels}}
        for each in sorted(found, key=lambda each: (each.address, each.path))
    ]
    return json.dumps(data, indent=2, sort_keys=True) + "\n"
