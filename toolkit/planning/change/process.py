"""The process of a replica: what starts it, and the manifest that says what it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from toolkit.domain.accelerator import Accelerator
from toolkit.domain.release import Release
from toolkit.planning.engines import engine_of
from toolkit.planning.engines.port import Seat


def seat_of(root: str, program: str, port: int, span: Mapping[str, Any]) -> Seat:
    """Return the seat of the process in the slot `program` (MODEL-SLOT).

    `span` is what the program that holds several hosts together is told, or empty.
    """
    home = f"{root}/caches/{program}"
    if not span:
        return Seat(root, port, home)
    # The first of the replica's two ports is that program's own.
    return Seat(root, port, home, tuple(span["hosts"]), span["rank"], span["port"] + 1)


def process_variables(
    release: Release, slot: str, seat: Seat, devices: Sequence[int]
) -> Mapping[str, Any]:
    """Return the variables of the role `replica` that follow from the release and its seat."""
    engine, traits = engine_of(release.engine), Accelerator(release.accelerator).traits
    env = {**engine.surroundings(release, seat), **release.env}
    if devices:
        env[traits.variable] = ",".join(map(str, devices))
    return {
        "replica_home": seat.home,
        "replica_engine": release.engine,
        "replica_directory": engine.directory(release, seat),
        "replica_command": list(engine.command(release, seat)),
        "replica_env": env,
        "replica_nice": traits.niceness,
        "replica_device_nodes": traits.nodes,
        "replica_device_unit": traits.unit,
        "replica_manifest": {
            "model": release.model,
            "slot": slot,
            "port": seat.port,
            "devices": list(devices),
            "release": release.as_json(),
            "signs": engine.signs(release, seat.port).as_json(),
        },
    }
