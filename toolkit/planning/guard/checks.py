"""The checks of a release that ask for no text: a vector, an order, a transcription."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from toolkit.domain.gates.kind import Kind
from toolkit.domain.registry.release_parts import Check
from toolkit.planning.guard.kinds import SILENCE, fault_of_answer, norm, said_in

if TYPE_CHECKING:
    from toolkit.domain.replicas.answers import Answer

# The kinds whose answer is a text, which a completion judges; see `change.gate`.
TEXTS = (Kind.CHAT, Kind.COMPLETION)


def check_payload(model: str, check: Check) -> dict[str, Any]:
    """Return the request of a check that asks for no text."""
    asked: Mapping[Kind, Mapping[str, Any]] = {
        Kind.EMBEDDING: {"input": check.prompt},
        Kind.RERANK: {"query": check.prompt, "documents": [check.prompt, "Something else."]},
        Kind.CLASSIFICATION: {"input": check.prompt},
        Kind.TRANSCRIPTION: {"file": SILENCE, "temperature": 0},
    }
    return {"model": model, **asked[Kind(check.kind)]}


def check_fault(check: Check, answer: Answer) -> str:
    """Return why an answer does not pass its check; empty where it passes."""
    asked = f"asked for {check.kind} of {check.prompt!r}, it"
    if fault := fault_of_answer(answer):
        return f"{asked} {fault}"
    kind = Kind(check.kind)
    try:
        said = said_in(kind, answer, check_payload("", check))
    except ValueError as error:
        return f"{asked} answered {error}"
    if kind is Kind.EMBEDDING and not 0 < norm(said.vector) < math.inf:
        return f"{asked} answered a vector of {len(said.vector)} numbers without a direction"
    return ""
