"""Engines: all that is particular to each of them, one module an engine."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from toolkit.domain.engines.engine import engine_spec
from toolkit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from toolkit.planning.engines.figures import Figures
    from toolkit.planning.engines.port import Engine


@cache
def _engines() -> Mapping[str, Engine]:
    # Here and not above: a switch to a standby asks no engine for anything, and must start at once.
    from toolkit.planning.engines.vllm import Vllm

    return {engine.name: engine for engine in (Vllm(),)}


def engine_named(name: str) -> Engine:
    """Return the engine called `name`; raises InputError where there is none."""
    if name not in _engines():
        raise InputError(
            f"no engine {name!r}; known: {', '.join(_engines())}", hint="toolkit engine list"
        )
    return _engines()[name]


def engine_of(identifier: str) -> Engine:
    """Return the engine of a lock's id, such as `vllm-0.32.0-cpu-py311-1a2b3c4d`."""
    return engine_named(engine_spec(identifier).name)


def all_figures() -> tuple[Figures, ...]:
    """Return the names of metrics of all engines, for rules and dashboards."""
    return tuple(each for engine in _engines().values() for each in engine.figures())
