"""The largest step that an engine plans for, and the longest request that it serves."""

from __future__ import annotations

from dataclasses import dataclass

from toolkit.domain.accelerator import Accelerator
from toolkit.domain.engines.fit import Architecture
from toolkit.planning.engines import engine_named
from toolkit.planning.engines.port import EngineOptions


@dataclass(frozen=True, slots=True)
class StepLimits:
    """The largest step: tokens in a step, requests in it, tokens scheduled but not settled."""

    batch: int
    sequences: int
    in_flight: int


def served_context(arch: Architecture, options: EngineOptions) -> int:
    """Return the tokens that a request may have: the wanted context, else the model's."""
    return options.context or arch.context


def step_limits(
    arch: Architecture,
    options: EngineOptions,
    accelerator: Accelerator,
    device: int,
    name: str = "",
) -> StepLimits:
    """Return the largest step that the engine plans for; `device` is a device's memory in bytes, `name` its name.

    vLLM, config/vllm.py, max_in_flight_tokens: on a device two steps overlap (asynchronous scheduling), on the CPU none
    does (platforms/cpu.py, check_and_update_config). There is one more for each further stage of a pipeline.
    """
    engine = engine_named(options.engine)
    batch, sequences = engine.step_defaults(options, accelerator, device, name)
    context = served_context(arch, options)
    sequences = options.sequences or sequences
    batch = options.batch or min(batch, sequences * context)
    if not options.sequences:
        sequences = min(sequences, batch)
    steps = options.pipeline_parallel + (1 if accelerator.traits.has_devices else 0)
    return StepLimits(batch, sequences, batch * steps)
