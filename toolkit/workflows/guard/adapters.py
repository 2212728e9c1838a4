"""Run the gates of a LoRA adapter: it is asked by its name, beside the one that serves under it."""

from __future__ import annotations

from dataclasses import replace

from toolkit.domain.deployment.release import Release, ReleaseAdapter
from toolkit.domain.gates.guard import Guard
from toolkit.domain.gates.verdict import GateResult
from toolkit.workflows.guard.gates import run_gates
from toolkit.workflows.guard.replicas import GatedReplica
from toolkit.workflows.tools import Tools


def adapter_replica(
    slot: str, port: int, release: Release, adapter: ReleaseAdapter, name: str = ""
) -> GatedReplica:
    """Return an adapter as a replica to gate: that in `slot` has loaded it as `name`, by default its public name."""
    return GatedReplica(
        slot, port, replace(release, checks=adapter.checks), name=name or adapter.name
    )


def adapter_named(release: Release | None, name: str) -> ReleaseAdapter | None:
    """Return the adapter of a release that clients request by `name`."""
    found = release.adapters if release else ()
    return next((each for each in found if each.name == name), None)


def adapter_gates(
    tools: Tools, adapter: ReleaseAdapter, guard: Guard, new: GatedReplica, old: GatedReplica | None
) -> tuple[GateResult, ...]:
    """Return the verdicts on the adapter at `new`; at `old` the one answers that serves under its name.

    Both may be in the same replica. So the health is that of the replica of `new` alone.
    Raises InputError and HostError like `run_gates`.
    """

    def say(words: str) -> None:
        tools.say(f"  {adapter.name}:{words}")

    results = run_gates(tools.host, guard, new, None, say, tools.scorer, former=old)
    return tuple(replace(each, gate=f"{each.gate} of {adapter.name}") for each in results)
