"""Hosts and the fleet."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Host:
    """A machine of the fleet.

    `connection` is `local` or `ssh`; `root` the directory that holds everything the toolkit keeps on it;
    `router_bind` the address clients use, `router_metrics_bind` where the router's own figures are
    read; ports of replicas count up from `port_base`.
    `ssh_options` are words of an `ssh` command line that lead to `address`, such as `-o`, `User=ops`.
    """

    name: str
    connection: str = "local"
    address: str = "127.0.0.1"
    root: str = "/var/lib/toolkit"
    router_bind: str = "127.0.0.1:8080"
    router_metrics_bind: str = "127.0.0.1:8405"
    port_base: int = 8100
    user: str = "toolkit"
    python: str = "/usr/bin/python3"
    ssh_options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fleet:
    """All hosts, in the order of the inventory."""

    hosts: tuple[Host, ...]
