"""The host of a command that only looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from toolkit.adapters.hosts.host import HostPort
    from toolkit.adapters.interruption import Interruption
    from toolkit.domain.fleet import Host


def open_host(host: Host, home: Path, interruption: Interruption | None = None) -> HostPort:
    """Return the adapter that speaks to `host`; `home` keeps the sockets of shared connections."""
    from toolkit.adapters.hosts.host import RealHost
    from toolkit.adapters.hosts.shell import LocalShell, SshShell

    if host.connection == "local":
        return RealHost(host, LocalShell(host, interruption))
    return RealHost(host, SshShell(host, home / "run", interruption))
