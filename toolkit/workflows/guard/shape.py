"""The gate on the form of answers: both releases are asked in every way in which clients ask."""

from __future__ import annotations

from toolkit.adapters.hosts.port import HostPort
from toolkit.domain.gates.verdict import GateResult, Verdict
from toolkit.planning.guard.kinds import fault_of_answer
from toolkit.planning.guard.shape import GATE, Question, judge_shape, keys_of, questions_of
from toolkit.workflows.guard.replicas import GatedReplica, Gating, ask

# Send a question at most so many times, until both releases show the same keys: not every answer has every key.
_TIMES = 3


def shape_gate(gating: Gating) -> GateResult | None:
    """Return the verdict on the new release's form of answers; None where no release serves and answers beside it."""
    host, new, old = gating.host, gating.new, gating.beside
    if old is None:
        return None
    mine: dict[str, frozenset[str]] = {}
    theirs: dict[str, frozenset[str]] = {}
    for question in questions_of(old.release, gating.prompts):
        for _ in range(_TIMES):
            before, _ = _keys(host, old, question)
            # A question that the serving release does not answer cannot judge the new one.
            if before is None:
                break
            after, fault = _keys(host, new, question)
            if after is None:
                return GateResult(GATE, Verdict.FAILED, f"asked for {question.way}, it {fault}")
            mine[question.way] = mine.get(question.way, frozenset()) | after
            theirs[question.way] = theirs.get(question.way, frozenset()) | before
            if mine[question.way] == theirs[question.way]:
                break
    # A serving release that answers nothing is a reason for the change, and none against it.
    return judge_shape(gating.guard.shape, mine, theirs) if mine else None


def _keys(
    host: HostPort, replica: GatedReplica, question: Question
) -> tuple[frozenset[str] | None, str]:
    answer = ask(host, replica, question.kind, question.payload, question.timeout)
    if fault := fault_of_answer(answer):
        return None, fault
    try:
        return keys_of(answer), ""
    except ValueError as error:
        return None, f"answered no JSON: {error}"
