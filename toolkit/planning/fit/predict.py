"""Model, options and a device's memory -> the memory and the capacity of a replica."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from toolkit.domain.accelerator import Accelerator
from toolkit.domain.engines.fit import Architecture, ModelFiles, NotUnderstoodError, Prediction
from toolkit.planning.engines import engine_named
from toolkit.planning.engines.port import EngineOptions
from toolkit.planning.fit.adapters import adapter_memory
from toolkit.planning.fit.architecture import read_architecture
from toolkit.planning.fit.cache import Cache, capacity, divide_cache, stages, token_bytes
from toolkit.planning.fit.options import StepLimits, served_context, step_limits
from toolkit.planning.fit.reserve import device_reserve, graphs
from toolkit.planning.fit.weights import held_weights, loaded_weights


@dataclass(frozen=True, slots=True)
class FitPlace:
    """The place of a replica: a device's `memory` in bytes and `name`, or the host's memory on the CPU."""

    accelerator: Accelerator
    memory: int
    name: str = ""


def predict(files: ModelFiles, options: EngineOptions, place: FitPlace) -> Prediction:
    """Return the memory that the replica takes of `place`, and its capacity.

    If the architecture is not understood, the weights are the files' sizes, nothing is predicted about the cache, and
    `note` gives the reason.
    """
    caches = engine_named(options.engine).keeps_cache(files.config)
    if not caches:
        # No part of the memory is given to a cache, whatever the options say of its size.
        options = replace(options, cache=0)
    try:
        arch = read_architecture(files.config)
        return _predict(files, arch, options, place, caches)
    except NotUnderstoodError as error:
        parts = options.tensor_parallel * options.pipeline_parallel
        weights = -(-sum(tensor.size for tensor in files.tensors) // parts)
        unknown = "its cache" if caches else "what it takes beside its weights"
        return Prediction(
            budget=_budget(options, place, weights),
            weights=weights,
            reserve=0,
            cache=0,
            token=0,
            context=options.context or 0,
            tokens=0,
            concurrency=0.0,
            longest=0,
            least=weights,
            tensor_parallel=options.tensor_parallel,
            pipeline_parallel=options.pipeline_parallel,
            note=f"{unknown} is not predicted: {error}",
        )


def _predict(
    files: ModelFiles, arch: Architecture, options: EngineOptions, place: FitPlace, caches: bool
) -> Prediction:
    if options.pipeline_parallel > len(arch.layers):
        raise NotUnderstoodError(
            f"{options.pipeline_parallel} pipeline stages for {len(arch.layers)} layers"
        )
    if arch.heads % options.tensor_parallel:
        raise NotUnderstoodError(
            f"{arch.heads} heads cannot be split over {options.tensor_parallel} devices"
        )
    limits = step_limits(arch, options, place.accelerator, place.memory, place.name)
    has_devices = place.accelerator.traits.has_devices
    load = held_weights if has_devices else loaded_weights
    reserved = adapter_memory(files.tensors, files.config, arch, options)
    filled = engine_named(options.engine).experts_filled(place.accelerator, place.name)
    own = load(files.tensors, arch, options, filled)
    weights = tuple(map(sum, zip(own, reserved, strict=True)))
    reserve = _reserve(arch, options, limits, place)
    budget = _budget(options, place, max(weights))
    found = Prediction(
        budget=budget,
        weights=max(weights),
        reserve=reserve,
        cache=0,
        token=0,
        context=served_context(arch, options),
        tokens=0,
        concurrency=0.0,
        longest=0,
        least=max(weights) + reserve,
        tensor_parallel=options.tensor_parallel,
        pipeline_parallel=options.pipeline_parallel,
        outside=_outside(options, limits, arch.vocabulary) if has_devices else 0,
        graphs=graphs(arch, options, limits) if has_devices else 0,
        adapters=max(reserved),
    )
    if not caches:
        return replace(found, longest=found.context if found.least <= budget else 0)
    given = not has_devices or options.cache
    left = [options.cache if given else budget - each - reserve for each in weights]
    return _with_cache(
        found, arch, options, limits, divide_cache(arch, options, place.accelerator), left
    )


def _with_cache(
    found: Prediction,
    arch: Architecture,
    options: EngineOptions,
    limits: StepLimits,
    cache: Cache,
    left: Sequence[int],
) -> Prediction:
    """Return `found` with the capacity of a cache that has `left` bytes on the device of each stage."""
    ranges = stages(len(arch.layers), options.pipeline_parallel)
    most = max(arch.context, found.context)
    memory = tuple(zip(ranges, left, strict=True))
    held = capacity(cache, memory, found.context, most, limits)
    return replace(
        found,
        cache=min(left),
        token=token_bytes(arch, options),
        state=cache.state(),
        tokens=held.tokens,
        concurrency=round(held.concurrency, 2),
        longest=held.longest,
        least=found.least + _one_request(cache, ranges, found.context, limits),
    )


def _outside(options: EngineOptions, limits: StepLimits, vocabulary: int) -> int:
    return engine_named(options.engine).outside(limits.sequences, vocabulary)


def _one_request(cache: Cache, ranges: Sequence[range], context: int, limits: StepLimits) -> int:
    """Return the bytes of a cache that holds one request, with the block that the pool keeps."""
    widest = max(cache.block_bytes(stage) for stage in ranges)
    return widest * (cache.blocks(context, limits) + 1)


def _reserve(
    arch: Architecture, options: EngineOptions, limits: StepLimits, place: FitPlace
) -> int:
    if not place.accelerator.traits.has_devices:
        return engine_named(options.engine).cpu_runtime
    return device_reserve(arch, options, limits)


def _budget(options: EngineOptions, place: FitPlace, weights: int) -> int:
    """Return the memory that the engine may use.

    vLLM, v1/worker/utils.py, request_memory: a share of the whole device, independent of its other users. On the CPU
    the size of the cache is given, and weights and processes are added.
    """
    if not place.accelerator.traits.has_devices:
        return weights + options.cache + engine_named(options.engine).cpu_runtime
    return math.ceil(place.memory * options.utilization)
