"""The settings of a host that its provisioning follows, as the host keeps them."""

from __future__ import annotations

from typing import Any

from toolkit.domain.hosts.fleet import Host


def settings_of(host: Host, certificate: str) -> dict[str, Any]:
    """Return the settings of a host by the names of the fleet file; `certificate` is the digest of its pair.

    No value is a secret: a certificate and its key are known by digest alone.
    """
    return {
        "toolkit_root": host.root,
        "toolkit_user": host.user,
        "ansible_python_interpreter": host.python,
        "router_bind": host.router_bind,
        "router_metrics_bind": host.router_metrics_bind,
        "router_tls": certificate,
        "router_require_keys": host.router_require_keys,
        "toolkit_accept_unfenced": host.accept_unfenced,
        "toolkit_swarm_tls": host.swarm_tls,
        "relay": host.relay_bind,
        "other hosts": list(host.peers),
        "relays": list(host.relays),
        **host.settings,
    }
