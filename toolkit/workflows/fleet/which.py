"""Ask golden prompts of a model inside and of a closed one, each as its clients reach it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from toolkit.adapters.endpoint.endpoint import Endpoint
from toolkit.domain.gates.golden import Fits, GoldenPrompt
from toolkit.domain.replicas.answers import Answer
from toolkit.errors import HostError
from toolkit.planning.economics.which import PromptResults
from toolkit.planning.guard.expectations import fault_of
from toolkit.planning.guard.kinds import PATHS, fault_of_answer, said_in


def try_prompts(
    endpoint: Endpoint,
    model: str,
    prompts: Sequence[GoldenPrompt],
    fits: Fits,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[PromptResults, tuple[str, ...]]:
    """Return how the prompts went at an endpoint, each asked once, and why they failed.

    A prompt that gets no answer has failed. Prompts and answers are kept nowhere.
    """
    passed = failed = unknown = 0
    seconds, faults = [], []
    base = urlsplit(endpoint.url).path.rstrip("/")
    for prompt in prompts:
        path = PATHS[prompt.kind]
        if base and base != "/v1":
            path = base + path.removeprefix("/v1")
        began = clock()
        answer = _asked(endpoint, path, {"model": model, **prompt.payload})
        took = clock() - began
        why = fault_of_answer(answer) or _fault(prompt, answer, fits)
        if answer.status == 200:
            seconds.append(took)
        if why is None:
            unknown += 1
        elif why:
            failed += 1
            faults.append(f"{prompt.name} ({prompt.place}): {why}")
        else:
            passed += 1
    return PromptResults(passed, failed, unknown, tuple(seconds)), tuple(faults)


def _asked(endpoint: Endpoint, path: str, payload: dict[str, object]) -> Answer:
    try:
        with endpoint.ask(path, payload) as opened:
            text = "".join(opened.texts)
            if opened.status == 200:
                return Answer(200, text)
            return Answer(opened.status, error=text[:200])
    except HostError as error:
        return Answer(0, error=error.message)


def _fault(prompt: GoldenPrompt, answer: Answer, fits: Fits) -> str | None:
    try:
        return fault_of(
            prompt.kind, prompt.expect, said_in(prompt.kind, answer, prompt.payload), None, fits
        )
    except ValueError as error:
        return f"answered {error}"
