"""Open the adapters for a change: those of each host of a fleet, and those of the ops machine that they share."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from toolkit.cli.opening.context import (
    Pins,
    lock_owner,
    open_converge,
    open_history,
    open_hub,
    open_ports,
    open_store,
)
from toolkit.cli.opening.ops_figures import keep_ops_current
from toolkit.cli.opening.trail import trail_now
from toolkit.cli.terminal.output import note
from toolkit.errors import ToolkitError

# Adapters are imported where they are opened, see `context`.
if TYPE_CHECKING:
    from toolkit.adapters.distribution.port import Distribution
    from toolkit.adapters.hosts.client import Clients
    from toolkit.adapters.hosts.port import HostPort
    from toolkit.adapters.interruption import Interruption
    from toolkit.domain.files.snapshot import Snapshot
    from toolkit.domain.hosts.fleet import Host
    from toolkit.domain.registry.model import Version
    from toolkit.workflows.tools import Scores, Supplies, Tools

T = TypeVar("T")


def open_members(
    home: Path,
    hosts: Sequence[Host],
    pins: Pins | None,
    *,
    quiet: bool = False,
    send_limit: int = 0,
    history_needed: bool = True,
    clients: Clients | None = None,
) -> tuple[Tools, ...]:
    """Return the adapters for each host of a fleet. They share the adapters of the ops machine.

    `send_limit` is in bytes a second, 0 for none; `history_needed` is explained at `open_history`. `clients` may have
    begun to connect, see `connect`.
    """
    from toolkit.adapters.ansible.certificate import provisioned_settings
    from toolkit.adapters.ansible.playbooks import provision_digest
    from toolkit.adapters.disk import scratch_of
    from toolkit.adapters.hosts.client import Clients
    from toolkit.adapters.store.compiled import CompiledTrees
    from toolkit.cli.arguments.waiting import patience_now
    from toolkit.workflows.change.routers import Routers
    from toolkit.workflows.tools import Tools

    clients = clients or Clients(scratch_of(home))
    interruption, ports = clients.stop, open_ports(hosts, home, clients)
    keep_metrics_current(home, ports)
    shared: dict[str, Any] = {
        "converge": open_converge(home, interruption),
        "history": open_history(home, needed=history_needed),
        "supplies": _once(partial(_supplies, home, pins, interruption)),
        "owner": lock_owner(),
        "clock": time.time,
        "say": (lambda text: None) if quiet else note,
        "routers": Routers(ports),
        "distribution": _once(partial(_distribution, home, send_limit, interruption)),
        "interruption": interruption,
        "trail": trail_now(),
        "patience": patience_now(note, interruption.sleep),
        "compiled": CompiledTrees(home),
        "scorer": _once(partial(_scorer, home, interruption)),
    }
    return tuple(
        Tools(
            host=port,
            provision_digest=provision_digest(port.host),
            settings=provisioned_settings(port.host),
            **shared,
        )
        for port in ports
    )


def keep_metrics_current(home: Path, ports: Sequence[HostPort]) -> None:
    """Have the targets of Prometheus follow at the end of the command, where it changes something."""
    command = click.get_current_context(silent=True)
    if command is None:
        return
    trail = trail_now()

    def follow_hosts() -> None:
        if trail.head is None:
            return
        from toolkit.workflows.fleet.metrics import follow

        try:
            follow(home, ports)
            keep_ops_current(home)
        except ToolkitError as error:
            note(f"warning: the targets of Prometheus are not current: {error.message}")

    command.call_on_close(follow_hosts)


def _supplies(home: Path, pins: Pins | None, interruption: Interruption) -> Supplies:
    from toolkit.adapters.engines.wheelhouse import Wheelhouse
    from toolkit.cli.views.pull import PullProgress
    from toolkit.config.engine_locks import read_locks
    from toolkit.domain.registry.model import Policy
    from toolkit.workflows.files.supplies import LocalSupplies

    def nothing_pinned(version: Version) -> Snapshot:
        raise AssertionError(f"{version.title}: a command without the registry fetches nothing")

    return LocalSupplies(
        store=open_store(home),
        wheelhouse=Wheelhouse(home, interruption=interruption),
        locks=pins.engines if pins else read_locks(home),
        open_hub=open_hub,
        policy=pins.registry.policy if pins else Policy(),
        snapshot_of=pins.lock.snapshot_of if pins else nothing_pinned,
        report=PullProgress(),
        interruption=interruption,
    )


def _distribution(home: Path, limit: int, interruption: Interruption) -> Distribution:
    from toolkit.adapters.distribution.over_ssh import SshDistribution

    return SshDistribution(home, limit=limit, interruption=interruption)


def _scorer(home: Path, interruption: Interruption) -> Scores:
    from toolkit.adapters.benchmarks.lm_eval import LmEval

    return LmEval(home, interruption)


def _once(opened: Callable[[], T]) -> Callable[[], T]:
    """Return a function that calls `opened` once, whichever thread asks first, and returns its result."""
    once, lock = cache(opened), threading.Lock()

    def get() -> T:
        with lock:
            return once()

    return get
