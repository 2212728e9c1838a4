"""The adapter of a host, over the connection that the fleet file names."""

from __future__ import annotations

from pathlib import Path

from toolkit.adapters.disk import scratch_of
from toolkit.adapters.hosts.client import Clients, host_client
from toolkit.adapters.hosts.host import RealHost
from toolkit.adapters.hosts.port import HostPort
from toolkit.adapters.interruption import Interruption
from toolkit.domain.fleet import Host


def open_host(host: Host, home: Path, interruption: Interruption | None = None) -> HostPort:
    """Return the adapter that speaks to `host`; `home` keeps the sockets of shared connections."""
    return RealHost(host_client(host, scratch_of(home), interruption))


def adapter_of(host: Host, clients: Clients) -> HostPort:
    """Return the adapter that speaks to `host` by its client, which may be connecting already."""
    return RealHost(clients.of(host))
