"""Open the adapters of a workflow from the options of a command."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from toolkit.adapters.store.private import make_private
from toolkit.cli.terminal.output import note
from toolkit.cli.terminal.passwords import become_password, vault_password
from toolkit.config.completion.known_names import remember
from toolkit.config.inventory.fleet import Variables, load_fleet
from toolkit.config.paths import absolute, expanded
from toolkit.errors import ToolkitError

# Import adapters where they are opened: `toolkit ask` needs few of them and must start at once.
if TYPE_CHECKING:
    from toolkit.adapters.ansible.converge import Converge
    from toolkit.adapters.history.history import History
    from toolkit.adapters.hosts.client import Clients
    from toolkit.adapters.hosts.port import HostPort
    from toolkit.adapters.hub.port import Hub
    from toolkit.adapters.interruption import Interruption
    from toolkit.adapters.prometheus import PrometheusPort
    from toolkit.adapters.store.store import Store
    from toolkit.config.registry.lock_file import Lock
    from toolkit.domain.engines.engine import EngineLock
    from toolkit.domain.hosts.fleet import Fleet, Host
    from toolkit.domain.registry.model import Registry
    from toolkit.domain.replicas.probe import LockOwner

PROMETHEUS, PROMETHEUS_CREDENTIALS = "TOOLKIT_PROMETHEUS", "TOOLKIT_PROMETHEUS_CREDENTIALS"


def home_directory(home: str | None) -> Path:
    """Return the directory of this ops machine's store, history, engines and private files; close it to others."""
    home_path = absolute(home) if home else Path.home() / ".toolkit"
    if opened := make_private(home_path):
        note(f"closed to other users of this machine: {', '.join(opened)}")
    return home_path


def open_fleet(fleet: str | None) -> Fleet:
    """Return the hosts of the fleet's inventory, or this machine."""
    found = load_fleet(Path(fleet) if fleet else None, _read_with_ansible)
    remember_names(fleet, hosts=[host.name for host in found.hosts])
    password = become_password()
    if password is None:
        return found
    # As for Ansible, a host's own variable wins.
    hosts = (
        replace(host, become_password=host.become_password or password) for host in found.hosts
    )
    return replace(found, hosts=tuple(hosts))


def open_hosts(fleet: str | None, home: Path) -> list[HostPort]:
    """Return the adapters of all hosts of the fleet, see `open_fleet`."""
    return open_ports(open_fleet(fleet).hosts, home)


def open_ports(hosts: Sequence[Host], home: Path, clients: Clients | None = None) -> list[HostPort]:
    """Return the adapter of each host, over the connection that the fleet file names.

    `home` keeps the sockets of shared connections. `clients` may have begun to connect, see `connect`.
    """
    from toolkit.adapters.disk import scratch_of
    from toolkit.adapters.hosts.client import Clients

    clients = clients or Clients(scratch_of(home))
    return [open_port(host, clients) for host in hosts]


def open_port(host: Host, clients: Clients) -> HostPort:
    """Return the adapter of a host. All commands open hosts here alone: tests put their doubles in its place."""
    from toolkit.adapters.hosts.host import RealHost

    return RealHost(clients.of(host))


def open_converge(
    home: Path, interruption: Interruption | None = None, *, check: bool = False
) -> Converge:
    """Return the runner of playbooks; with `check` they change nothing."""
    from toolkit.adapters.ansible.converge import RealConverge
    from toolkit.adapters.ansible.playbooks import playbook_directory
    from toolkit.adapters.disk import modules_of, scratch_of

    return RealConverge(
        playbook_directory(),
        scratch_of(home),
        modules=modules_of(home),
        check=check,
        interruption=interruption,
    )


def connect(hosts: Sequence[Host], home: Path) -> Clients:
    """Begin to connect to all hosts, and return their clients at once.

    A command that will ask them all calls this before it loads the rest of its code and reads the registry: that takes
    as long as a handshake.
    """
    from toolkit.adapters.disk import scratch_of
    from toolkit.adapters.hosts.client import Clients

    clients = Clients(scratch_of(home))
    clients.connect(hosts)
    command = click.get_current_context(silent=True)
    if command is not None:
        command.call_on_close(clients.end)
    return clients


def remember_names(
    fleet: str | None, *, hosts: Sequence[str] | None = None, keys: Sequence[str] | None = None
) -> None:
    """Keep names for completion in the home of the running command; see `known_names`."""
    command = click.get_current_context(silent=True)
    if command is not None:
        home = command.params.get("home") or os.environ.get("TOOLKIT_HOME")
        home_path = expanded(home) if home else Path.home() / ".toolkit"
        remember(home_path, fleet, hosts=hosts, keys=keys)


def _read_with_ansible(path: Path) -> Variables:
    from toolkit.adapters.ansible.inventory import read_inventory
    from toolkit.config.inventory.host_variables import is_known

    return read_inventory(path, is_known, vault_password=vault_password())


def open_history(home: Path, *, needed: bool = True, whole: bool = False) -> History:
    """Return the history that TOOLKIT_HISTORY names, else the one under `home`; it is closed with the command.

    A command that is under way goes on where the file of the history fails, and says so. A command without a `needed`
    history begins without one as well. A command that sums over a `whole` history fails where a part of it is damaged.
    """
    from toolkit.adapters.history.database import read_address
    from toolkit.adapters.history.history import History

    url = os.environ.get("TOOLKIT_HISTORY")
    history = History(
        read_address(url) if url else home / "history.db",
        time.time,
        without=None if whole else _without_history,
        needed=needed,
    )
    command = click.get_current_context(silent=True)
    if command is not None:
        command.call_on_close(history.close)
    return history


def _without_history(error: ToolkitError) -> None:
    note(f"warning: {error.message}; this command goes on without it and records nothing more")


def open_prometheus() -> PrometheusPort | None:
    """Return the Prometheus that TOOLKIT_PROMETHEUS names, None without one.

    Raises InputError where the address or the file of credentials is none.
    """
    from toolkit.adapters.prometheus import Prometheus, read_credentials

    address, file = os.environ.get(PROMETHEUS), os.environ.get(PROMETHEUS_CREDENTIALS)
    if not address:
        return None
    return Prometheus(address, read_credentials(file) if file else None)


def open_store(home: Path) -> Store:
    """Return the store under `home`."""
    from toolkit.adapters.store.store import Store

    return Store(home / "store")


def open_hub() -> Hub:
    """Return the client for `HF_ENDPOINT`, by default https://huggingface.co."""
    from toolkit.adapters.hub.client import HuggingFaceHub

    return HuggingFaceHub()


@dataclass(frozen=True, slots=True)
class Pins:
    """The registry with its lock, and the engine locks."""

    registry: Registry
    lock: Lock
    engines: tuple[EngineLock, ...]


def read_registry(registry_path: str) -> Registry:
    """Read and validate the registry alone."""
    from toolkit.config.registry.reading import load_registry

    return load_registry(Path(registry_path))


def read_pins(registry_path: str, home: Path, registry: Registry | None = None) -> Pins:
    """Read and validate the registry, unless the command has read it already, its lock and the engine locks."""
    from toolkit.config.engine_locks import read_locks
    from toolkit.config.registry.lock_file import read_lock
    from toolkit.config.registry.reading import load_registry

    path = Path(registry_path)
    return Pins(registry or load_registry(path), read_lock(path), read_locks(home))


def lock_owner() -> LockOwner:
    """Return the person, command and process to show to a command that finds the lock held."""
    import getpass
    import socket

    from toolkit.domain.replicas.probe import LockOwner

    actor = f"{os.environ.get('SUDO_USER') or getpass.getuser()}@{socket.gethostname()}"
    return LockOwner(actor, " ".join(["toolkit", *sys.argv[1:]]), os.getpid())
