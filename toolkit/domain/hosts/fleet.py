"""Hosts and the fleet."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from toolkit.domain.secret import Secret
from toolkit.errors import InputError

# Of a user or a group, for systemd (systemd.exec(5), USER/GROUP NAME SYNTAX: 31 characters).
LONGEST_NAME = 31
_ALL_ADDRESSES = ("", "*", "0.0.0.0", "[::]")  # noqa: S104 - what to look for, nothing to listen at
_ACCOUNT = re.compile(r"[a-z_][a-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class Host:
    """A machine of the fleet.

    `connection` is `local` or `ssh`; `root` is the directory of everything that the toolkit keeps on the host.
    Clients use `router_bind`; the router's own figures are read at `router_metrics_bind`. The ports of replicas
    count up from `port_base`. `ssh_options` are words of an `ssh` command line, such as `-o`, `User=ops`.
    `router_tls_certificate` and `router_tls_key` are paths on the ops machine, empty for plain HTTP.
    With `router_require_keys` the router asks for a key even before the first key exists.
    Routers of other hosts send requests for this host's replicas to `relay_address`, port `relay_port`; `peers` are
    the relay addresses of those hosts, and `relays` the addresses and ports of all hosts, this one's too. With
    `swarm_tls` the host takes part in encrypted swarms alone. Hosts pass weights on within a `site`.
    With `accept_unfenced` it may serve other machines though it cannot fence its replicas.
    A `gateway` takes requests of clients and gets no replica.
    `user` runs the router; each replica has a user of its own, see `slot_user`.
    `become_password` is the login's for sudo, None where sudo asks for none.
    `settings` are inventory variables that the roles get unchanged, see `config.inventory.host_settings`.
    """

    name: str
    connection: str = "local"
    address: str = "127.0.0.1"
    root: str = "/var/lib/toolkit"
    router_bind: str = "127.0.0.1:8080"
    router_metrics_bind: str = "127.0.0.1:8405"
    router_tls_certificate: str = ""
    router_tls_key: str = ""
    router_require_keys: bool = False
    port_base: int = 8100
    user: str = "toolkit"
    python: str = "/usr/bin/python3"
    ssh_options: tuple[str, ...] = ()
    relay_address: str = ""
    relay_port: int = 8090
    swarm_tls: bool = False
    site: str = ""
    accept_unfenced: bool = False
    gateway: bool = False
    peers: tuple[str, ...] = ()
    relays: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    become_password: Secret | None = field(default=None, repr=False, compare=False)

    @property
    def label(self) -> str:
        """The host's name in routes; empty where it is the only host."""
        return self.name if self.peers else ""

    @property
    def endpoint(self) -> str:
        """The URL that clients are given."""
        return endpoint_of(self.router_bind, self.reached_at, tls=bool(self.router_tls_certificate))

    @property
    def inward(self) -> bool:
        """Whether the host is another machine whose endpoint only clients on it can use."""
        return self.connection == "ssh" and is_loopback(self.router_bind.rpartition(":")[0])

    @property
    def reached_at(self) -> str:
        """The address by which other machines reach the host, as far as the inventory tells."""
        return self.address if self.connection == "ssh" else self.relay_address or self.address

    @property
    def models_group(self) -> str:
        """The group of all replicas' users. It may read the snapshots."""
        return self._account("models")

    def slot_user(self, program: str) -> str:
        """Return the user, and group of the same name, of the replica in the slot `program` (MODEL-SLOT)."""
        return self._account(program)

    def _account(self, rest: str) -> str:
        name = f"{self.user}-{rest}"
        if len(name) <= LONGEST_NAME and _ACCOUNT.fullmatch(name):
            return name
        # useradd and systemd take neither long names nor all characters that a model's name may have.
        return f"{self.user[:20]}-{hashlib.sha256(rest.encode()).hexdigest()[:10]}"

    @property
    def relay_bind(self) -> str:
        """The address where the router listens for the other hosts; empty where there are none."""
        return f"{self.relay_address}:{self.relay_port}" if self.peers else ""


def endpoint_of(bind: str, address: str, *, tls: bool) -> str:
    """Return the URL of a router that listens at `bind`, ADDRESS:PORT, on the host with `address`.

    A router that listens at all addresses is reached at the host's.
    """
    at, _, port = bind.rpartition(":")
    if at in _ALL_ADDRESSES and address:
        at = f"[{address}]" if ":" in address else address
    return f"{'https' if tls else 'http'}://{at}:{port}/v1"


def is_loopback(address: str) -> bool:
    """Whether a listener at the address can be reached from its own host alone."""
    return address in ("localhost", "[::1]") or address.startswith("127.")


@dataclass(frozen=True, slots=True)
class Fleet:
    """All hosts, in the order of the inventory."""

    hosts: tuple[Host, ...]

    @property
    def entrances(self) -> tuple[Host, ...]:
        """The hosts whose routers clients of other machines reach; all hosts where there is none."""
        return tuple(host for host in self.hosts if not host.inward) or self.hosts

    def select(self, names: Sequence[str]) -> tuple[Host, ...]:
        """Return the named hosts in the fleet's order, all of them for no names; raises InputError."""
        known = {host.name: host for host in self.hosts}
        for name in names:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                raise InputError(
                    f"the fleet has no host {name!r}",
                    hint=f"did you mean {near[0]}?" if near else f"it has {', '.join(known)}",
                )
        return tuple(host for host in self.hosts if not names or host.name in names)
