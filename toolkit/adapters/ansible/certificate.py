"""The settings that the provisioning of a host follows, and the operator's certificate among them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from toolkit.domain.hosts.fleet import Host
from toolkit.errors import InputError
from toolkit.regular import read_regular


def provisioned_settings(host: Host) -> dict[str, Any]:
    """Return `settings_of` the host with the certificate that this machine has now; raises as `certificate_digest`."""
    return settings_of(host, certificate_digest(host))


def certificate_digest(host: Host) -> str:
    """Return 16 hex digits over the content of the host's certificate and key, empty where it has none.

    Raises InputError where a file cannot be read, is no PEM or needs a passphrase, and where the two do not match.
    This is known before any change of a host: a router with such a pair would not start.
    """
    if not host.router_tls_certificate:
        return ""
    certificate, key = Path(host.router_tls_certificate), Path(host.router_tls_key)
    summary = hashlib.sha256()
    for path in (certificate, key):
        try:
            summary.update(hashlib.sha256(read_regular(path)).digest())
        except OSError as error:
            raise InputError(
                f"{host.name}: {path} cannot be read: {error.strerror}",
                hint="router_tls_certificate and router_tls_key are paths on this machine",
            ) from None
    # Import it only here: a host without a certificate does not need it, and a rollback must start at once.
    import ssl

    try:
        # Give an empty passphrase, or OpenSSL asks for one on the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, lambda: "")
    except ssl.SSLError as error:
        raise InputError(
            f"{host.name}: {certificate} and {key} are not a certificate and its key: {error.reason or error}",
            hint=f"openssl x509 -noout -subject -enddate -in {certificate}",
        ) from None
    return summary.hexdigest()[:16]


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
