"""The replica that serves a model now."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from toolkit.adapters.hosts.port import HostPort
from toolkit.errors import HostError, InputError
from toolkit.workflows.guard.replicas import Place


def serving_place(
    hosts: Sequence[HostPort], model: str, named: Collection[str]
) -> tuple[HostPort, Place]:
    """Return the first host that serves `model`, of those `named` where some are, and the replica there.

    Raises InputError where none serves it, HostError where no host answers.
    """
    failed: HostError | None = None
    silent = 0
    chosen = [each for each in hosts if not named or each.name in named]
    for host in chosen:
        try:
            facts = host.observe()
        except HostError as error:
            failed, silent = error, silent + 1
            continue
        slot = facts.serving_slot(model)
        if slot and slot.release and slot.healthy:
            return host, Place(slot.slot, slot.port, slot.release)
    if failed is not None and silent == len(chosen):
        raise failed
    raise InputError(f"{model} serves on none of these hosts", hint="toolkit status")
