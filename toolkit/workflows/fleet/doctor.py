"""Examine everything that a deployment needs: this ops machine, its history and registry, and every host."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from toolkit.adapters.history.history import History
from toolkit.adapters.hosts.port import HostPort
from toolkit.adapters.ops_machine import ansible_version, free_for_temporary, is_privileged
from toolkit.adapters.store.store import Store
from toolkit.domain.hosts.fleet import Host
from toolkit.domain.registry.model import Registry
from toolkit.errors import ToolkitError
from toolkit.planning.routing.agreement import keys_differ
from toolkit.planning.upkeep.departed import departed
from toolkit.planning.upkeep.diagnosis import (
    Finding,
    Level,
    diagnose_host,
    diagnose_ops,
    diagnose_registry,
)
from toolkit.workflows.fleet.look import look


def examine(
    hosts: Sequence[HostPort],
    digest_of: Callable[[Host], str],
    store: Store,
    read_registry: Callable[[], Registry],
    check_registry: Callable[[], Sequence[Finding]],
    open_history: Callable[[], History],
    clock: Callable[[], float],
) -> tuple[Finding, ...]:
    """Return the findings about the ops machine and about `hosts`; `digest_of` gives a host's provision digest.

    `check_registry` gives the faults of the registry. An error that it, `read_registry` or `open_history` raises is a
    finding too.
    """
    registry, fault, faults = None, "", tuple[Finding, ...]()
    try:
        faults = tuple(check_registry())
        registry = read_registry()
    except ToolkitError as error:
        fault = " ".join(error.message.split())
    found = diagnose_registry(fault, faults)
    return (
        *_ops_machine(store, found, open_history, hosts),
        *_hosts(hosts, digest_of, registry, clock),
    )


def _ops_machine(
    store: Store,
    registry: Sequence[Finding],
    open_history: Callable[[], History],
    hosts: Sequence[HostPort],
) -> Iterator[Finding]:
    name = ""
    unfinished: list[str] = []
    try:
        history = open_history()
        unfinished = [
            f"deployment {each.id}, {each.action} {each.model}" for each in history.unfinished()
        ]
        name = history.name
        if history.fault:
            yield Finding(Level.FAIL, "history", history.fault, "bring back its backup")
    except ToolkitError as error:
        yield Finding(Level.FAIL, "history", error.message, error.hint)
    yield from diagnose_ops(
        ansible=ansible_version(),
        privileged=_privileged(hosts),
        store_free=store.free_space(),
        store_files=store.free_files(),
        tmp_free=free_for_temporary(),
        registry=registry,
        history=name,
        unfinished=unfinished,
    )


def _privileged(hosts: Sequence[HostPort]) -> bool | None:
    """Return whether commands may act as root on this machine; None where no host is this machine."""
    here = [each.host for each in hosts if each.host.connection == "local"]
    if not here:
        return None
    # Where sudo refuses the password that was given, the host cannot be observed, and the finding about it says so.
    return all(host.become_password for host in here) or is_privileged()


def _hosts(
    hosts: Sequence[HostPort],
    digest_of: Callable[[Host], str],
    registry: Registry | None,
    clock: Callable[[], float],
) -> Iterator[Finding]:
    seen, now = look(hosts), clock()
    for host in (each.host for each in hosts):
        name = host.name
        # The name of the only host says nothing.
        prefix = f"{name}: " if len(hosts) > 1 else ""
        if name in seen.unreachable:
            yield Finding(Level.FAIL, f"{prefix}host", seen.unreachable[name], "toolkit hosts")
            continue
        for each in diagnose_host(seen.facts[name], digest_of(host), now):
            yield replace(each, subject=f"{prefix}{each.subject}")
    if keys_differ(seen.facts.values()):
        words = "the hosts do not have the same keys: some may let in a key that was revoked"
        yield Finding(Level.WARN, "keys", words, "toolkit keys sync")
    for words in departed(seen.facts.values(), registry) if registry else ():
        hint = "take it out of service with toolkit stop, or bring its entry back"
        yield Finding(Level.WARN, "registry", words, hint)
