"""A host of a fleet in memory whose system is installed anew."""

from __future__ import annotations

from dataclasses import replace

from tests.workflows.world import World


def install_anew(world: World, name: str) -> None:
    """Take everything from a host that an installation of its system takes."""
    host = world.hosts[name]
    host.files.clear()
    host.opened, host.left_to_guards, host.compiled, host.sealed = None, [], set(), set()
    host.loaded = "{}"
    host.guards.facts.clear()
    host.facts = replace(host.facts, slots=(), snapshots=(), engines=(), converged="")
