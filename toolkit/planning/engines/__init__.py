"""Engines: all that is particular to each of them, one module an engine."""

from __future__ import annotations

from collections.abc import Mapping

from toolkit.domain.engine import engine_spec
from toolkit.errors import InputError
from toolkit.planning.engines.figures import Figures
from toolkit.planning.engines.port import Engine
from toolkit.planning.engines.vllm import Vllm

_ENGINES: Mapping[str, Engine] = {engine.name: engine for engine in (Vllm(),)}


def engine_named(name: str) -> Engine:
    """Return the engine called `name`; raises InputError where there is none."""
    if name not in _ENGINES:
        raise InputError(
            f"no engine {name!r}; known: {', '.join(_ENGINES)}", hint="toolkit engine list"
        )
    return _ENGINES[name]


def engine_of(identifier: str) -> Engine:
    """Return the engine of a lock's id, such as `vllm-0.32.0-cpu-py311-1a2b3c4d`."""
    return engine_named(engine_spec(identifier).name)


def all_figures() -> tuple[Figures, ...]:
    """Return the names of metrics of all engines, for rules and dashboards."""
    return tuple(each for engine in _ENGINES.values() for each in engine.figures())
