"""The gate on the form of answers: both releases are asked in every way in which clients ask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from toolkit.adapters.hosts.port import HostPort
from toolkit.domain.gates.verdict import GateResult, Verdict
from toolkit.planning.guard.kinds import fault_of_answer
from toolkit.planning.guard.shape import (
    GATE,
    Question,
    judge_shape,
    keys_of,
    questions_of,
    wrong_in,
)
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
    wrong: dict[str, Mapping[str, str]] = {}
    for question in questions_of(old.release, gating.prompts):
        way, faults, excused = question.way, dict[str, str](), set[str]()
        for _ in range(_TIMES):
            before, _ = _form(host, old, question)
            # A question that the serving release does not answer cannot judge the new one.
            if before is None:
                break
            after, fault = _form(host, new, question)
            if after is None:
                return GateResult(GATE, Verdict.FAILED, f"asked for {way}, it {fault}")
            mine[way] = mine.get(way, frozenset()) | after.keys
            theirs[way] = theirs.get(way, frozenset()) | before.keys
            faults |= after.wrong
            excused |= before.wrong.keys()
            if mine[way] == theirs[way] and faults.keys() <= excused:
                break
        wrong[way] = {path: words for path, words in faults.items() if path not in excused}
    # A serving release that answers nothing is a reason for the change, and none against it.
    return judge_shape(gating.guard.shape, mine, theirs, wrong) if mine else None


@dataclass(frozen=True, slots=True)
class _Form:
    """The keys of an answer, and what of it cannot be, in words by the key."""

    keys: frozenset[str]
    wrong: Mapping[str, str]


def _form(host: HostPort, replica: GatedReplica, question: Question) -> tuple[_Form | None, str]:
    answer = ask(host, replica, question.kind, question.payload, question.timeout)
    if fault := fault_of_answer(answer):
        return None, fault
    try:
        asked = {"model": replica.asked, **question.payload}
        return _Form(keys_of(answer), wrong_in(asked, answer)), ""
    except ValueError as error:
        return None, f"answered no JSON: {error}"
