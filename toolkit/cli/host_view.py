"""The host of a command that only looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from toolkit.adapters.host import HostPort
    from toolkit.domain.fleet import Host


def open_host(host: Host, home: Path) -> HostPort:
    """Return the adapter that speaks to `host`; `home` keeps the sockets of shared connections."""
    from toolkit.adapters.host import RealHost
    from toolkit.adapters.host_shell import LocalShell, SshShell

    shell = LocalShell(host) if host.connection == "local" else SshShell(host, home / "run")
    return RealHost(host, shell)
