"""Record the answers of a serving release before a new one takes its place: later, nothing is left to compare with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from toolkit.adapters.hosts.port import HostPort
from toolkit.domain.gates.golden import GoldenPrompt
from toolkit.domain.gates.guard import Guard
from toolkit.domain.gates.kind import Kind
from toolkit.domain.replicas.answers import Answer
from toolkit.planning.guard.shape import questions_of
from toolkit.workflows.guard.files import prompts_of
from toolkit.workflows.guard.replicas import GatedReplica, ask, question_key

# A replica that gives no answer at all so many times in a row is asked no more: it is the reason for the change.
_SILENT = 3


def recorded(host: HostPort, guard: Guard, replica: GatedReplica) -> GatedReplica:
    """Return `replica` with its answers to all that the gates on answers will ask; they stay in memory alone."""
    answers: dict[str, Answer] = {}
    silent = 0
    for kind, payload, timeout in _questions(replica, prompts_of(guard)):
        answer = ask(host, replica, kind, payload, timeout)
        answers[question_key(kind, payload)] = answer
        silent = 0 if answer.status else silent + 1
        if silent >= _SILENT:
            break
    return replace(replica, recorded=answers)


def _questions(
    replica: GatedReplica, prompts: Sequence[GoldenPrompt]
) -> Iterator[tuple[Kind, Mapping[str, Any], float]]:
    for question in questions_of(replica.release, prompts):
        yield question.kind, question.payload, question.timeout
    for prompt in prompts:
        yield prompt.kind, prompt.payload, prompt.timeout
