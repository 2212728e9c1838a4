"""Read an Ansible inventory into a Fleet. Without one, the fleet is this machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from toolkit.config.inventory.host_variables import HOST_NAME, VariableError, as_typed, host_of
from toolkit.config.inventory.plain import EXAMPLE, PlainInventory, read_plain
from toolkit.domain.excerpt import excerpt
from toolkit.domain.hosts.fleet import Fleet, Host
from toolkit.errors import InputError

LOCALHOST = Fleet((Host("localhost"),))

Variables = Mapping[str, Mapping[str, Any]]
# Returns the variables of all hosts of an inventory, by the host's name, as Ansible reads them.
ReadInventory = Callable[[Path], Variables]


def load_fleet(path: Path | None, ansible: ReadInventory | None = None) -> Fleet:
    """Return the hosts of the inventory at `path`, or this machine where `path` is None.

    `ansible` reads an inventory that is more than one plain YAML file. Raises InputError, with file, line and column
    where the inventory is one, for what is no inventory and for variables that are not supported.
    """
    if path is None:
        return LOCALHOST
    hosts = _read(path, ansible)
    if not hosts:
        raise InputError(f"{path}: no hosts in it", hint=EXAMPLE)
    _check_apart(path, hosts)
    if all(host.gateway for host in hosts):
        raise InputError(
            f"{path}: each host is a gateway, so none is left for replicas",
            hint="take toolkit_gateway from the hosts that are to serve models",
        )
    return Fleet(_introduced(path, hosts))


def _read(path: Path, ansible: ReadInventory | None) -> tuple[Host, ...]:
    plain = read_plain(path)
    if plain is not None:
        return tuple(_plain_host(plain, name) for name in plain.hosts)
    if ansible is None:
        raise InputError(f"{path}: only Ansible can read this inventory", hint=EXAMPLE)
    return tuple(_host(path, name, variables) for name, variables in ansible(path).items())


def _plain_host(plain: PlainInventory, name: str) -> Host:
    try:
        return host_of(name, plain.hosts[name])
    except VariableError as error:
        raise plain.fault(name, error.variable, error.words, error.hint) from None


def _host(path: Path, name: str, variables: Mapping[str, Any]) -> Host:
    if not HOST_NAME.fullmatch(name):
        raise InputError(
            f"{path}: {excerpt(name)!r} is no host's name",
            hint="give the host a name, and its address as ansible_host",
        )
    try:
        return host_of(name, {each: as_typed(each, value) for each, value in variables.items()})
    except VariableError as error:
        raise InputError(f"{path}: {error.words}", hint=error.hint) from None


def _check_apart(path: Path, hosts: Sequence[Host]) -> None:
    seen: dict[tuple[str, ...], str] = {}
    for host in hosts:
        place = "this machine" if host.connection == "local" else host.address
        login = (place, *(word for word in host.ssh_options if word.startswith("Port=")))
        if login in seen:
            raise InputError(
                f"{path}: {seen[login]} and {host.name} have the same address, {place}",
                hint="a machine is one host; its name stands once in the inventory",
            )
        seen[login] = host.name


def _introduced(path: Path, hosts: Sequence[Host]) -> tuple[Host, ...]:
    """Return the hosts; each of several gets the addresses of the others as its peers.

    The addresses are sorted: a host is not set up anew where the inventory lists the same hosts in another order.
    """
    if len(hosts) == 1:
        return tuple(hosts)
    seen: dict[str, str] = {}
    for host in hosts:
        if not host.relay_address:
            raise InputError(
                f"{path}: {host.name} has no address at which the other hosts reach it",
                hint=f"give {host.name} its toolkit_address, an IPv4 address of its own",
            )
        if host.relay_address in seen:
            raise InputError(
                f"{path}: {seen[host.relay_address]} and {host.name} have the same toolkit_address, "
                f"{host.relay_address}",
                hint="the other hosts reach each host at an address of its own",
            )
        seen[host.relay_address] = host.name
    relays = tuple(sorted(f"{host.relay_address}:{host.relay_port}" for host in hosts))
    addresses = sorted(seen)
    return tuple(
        replace(
            host,
            peers=tuple(each for each in addresses if each != host.relay_address),
            relays=relays,
        )
        for host in hosts
    )
