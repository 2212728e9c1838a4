"""The host of a command that only looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from toolkit.adapters.host import HostPort
    from toolkit.domain.fleet import Host


def open_host(host: Host) -> HostPort:
    """Return the adapter that speaks to `host`."""
    from toolkit.adapters.host import RealHost
    from toolkit.adapters.host_shell import LocalShell

    return RealHost(host, LocalShell(host))
