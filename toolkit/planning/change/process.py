"""The process of a replica: its command, and the manifest that describes it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from toolkit.domain.accelerator import Accelerator
from toolkit.domain.deployment.release import Release
from toolkit.planning.engines import engine_of
from toolkit.planning.engines.port import Seat


def seat_of(
    root: str, program: str, port: int, span: Mapping[str, Any], fences: Collection[str]
) -> Seat:
    """Return the seat of the process in the slot `program` (MODEL-SLOT).

    `span` is what the program that holds several hosts together is told, or empty. `fences` are those of the replica.
    """
    home = f"{root}/caches/{program}"
    # Some compiled files contain their own path. So every replica with its own view of the files sees them at the same
    # path.
    compiling = f"{root}/compiling/{'here' if 'files' in fences else program}"
    if not span:
        return Seat(root, port, home, compiling=compiling)
    # The first of the replica's two ports is that program's own.
    hosts, meeting = tuple(span["hosts"]), span["port"] + 1
    return Seat(root, port, home, hosts, span["rank"], meeting, compiling)


def compiles(release: Release, rank: int = 0, hosts: int = 0) -> dict[str, Any]:
    """Return the data from which a host tells, with the model's files, which compiled graphs a replica may load.

    `rank` is the host's place among the `hosts` that run the replica together, none for one host.
    """
    return {
        "engine": release.engine,
        "accelerator": release.accelerator,
        "words": list(engine_of(release.engine).shaping(release)),
        "rank": [rank, max(1, hosts)],
    }


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
            "compiles": compiles(release, seat.rank, len(seat.hosts)),
            "signs": engine.signs(release, seat.port).as_json(),
        },
    }
