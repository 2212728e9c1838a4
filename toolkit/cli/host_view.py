"""The adapter of a host, over whichever connection the fleet file names."""

from __future__ import annotations

from pathlib import Path

from toolkit.adapters.hosts.host import HostPort, RealHost
from toolkit.adapters.hosts.shell import LocalShell, SshShell
from toolkit.adapters.interruption import Interruption
from toolkit.domain.fleet import Host


def open_host(host: Host, home: Path, interruption: Interruption | None = None) -> HostPort:
    """Return the adapter that speaks to `host`; `home` keeps the sockets of shared connections."""
    if host.connection == "local":
        return RealHost(host, LocalShell(host, interruption))
    return RealHost(host, SshShell(host, home / "run", interruption))
