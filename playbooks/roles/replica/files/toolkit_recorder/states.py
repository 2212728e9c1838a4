"""The engine's own figures: the states of vLLM's requests, and its counters. Nothing else here has vLLM's names.

Each sequence of a request has a state (`RequestState` of `v1/engine/output_processor.py`), whose figures go into the
engine's counters one by one (`IterationStats` of `v1/metrics/stats.py`). So the sum over states is the counters'
difference exactly, also for a request that was broken off: an aborted state gets nothing more.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any

from toolkit_recorder.counting import Part

COUNTERS = {"in": "vllm:prompt_tokens_total", "out": "vllm:generation_tokens_total"}

# A state must have these attributes for its figures to be known. A test holds each version of the engine to them.
STATE = ("prompt_len", "is_prefilling", "num_cached_tokens", "parent_req", "lora_name")
OF_STATS = "num_generation_tokens"
figures = operator.attrgetter(*STATE, f"stats.{OF_STATS}")


class Sequence:
    """A sequence that the engine computes. Raises where its state is another than those known here."""

    __slots__ = ("_id", "_processor", "_state")

    def __init__(self, processor: Any, request_id: str) -> None:
        self._processor, self._id = processor, request_id
        self._state = processor.request_states[request_id]
        figures(self._state)

    def is_open(self) -> bool:
        """Whether the engine still computes it."""
        return self._processor.request_states.get(self._id) is self._state

    def part(self) -> Part:
        """Return the tokens computed so far."""
        prompt, waits, cached, parent, name, generated = figures(self._state)
        # The counter of prompts moves with the first output.
        if waits:
            prompt = 0
        origin = id(self._state if parent is None else parent)
        return Part(prompt, cached if prompt else 0, generated, origin, name or "")


def watch(begun: Callable[[Any, str], None], fault: Callable[[BaseException], None]) -> bool:
    """Call `begun` for each sequence that the engine takes from now on; return whether this engine can be watched.

    `begun` gets what a `Sequence` is made of: the processor and the id. An error of it goes to `fault`, and the engine
    goes on.
    """
    try:
        from vllm.v1.engine.output_processor import (  # type: ignore[import-not-found]
            OutputProcessor,
        )

        add_request = OutputProcessor.add_request
    except (ImportError, AttributeError) as error:
        fault(error)
        return False

    @functools.wraps(add_request)
    def add(self: Any, request: Any, *given: Any, **named: Any) -> Any:
        # A further part of a request that streams its input has a state already.
        known = request.request_id in self.request_states
        done = add_request(self, request, *given, **named)
        if not known:
            try:
                begun(self, request.request_id)
            except Exception as error:
                fault(error)
        return done

    OutputProcessor.add_request = add
    return True


def counters() -> dict[str, int]:
    """Return the engine's counters of tokens in this process: `in` and `out`. Raises where there are none."""
    from prometheus_client import REGISTRY  # type: ignore[import-not-found]

    registry = REGISTRY.restricted_registry(list(COUNTERS.values()))
    sums = {sample.name: 0.0 for metric in registry.collect() for sample in metric.samples}
    for metric in registry.collect():
        for sample in metric.samples:
            sums[sample.name] += sample.value
    return {name: int(sums[counter]) for name, counter in COUNTERS.items()}
