"""The gate on golden prompts: both releases are asked the same, in turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from toolkit.domain.gates.golden import GoldenPrompt
from toolkit.domain.gates.guard import Answers
from toolkit.domain.gates.verdict import GateResult, Verdict
from toolkit.planning.guard.answers import GATE, PromptPair, judge_answers
from toolkit.planning.guard.expectations import fault_of
from toolkit.planning.guard.kinds import Said, fault_of_answer, said_in
from toolkit.workflows.guard.replicas import GatedReplica, Gating, ask

# A replica that gives no answer at all so many times in a row is asked no more.
_SILENT = 3
# A prompt with several tries is asked no more after so many of them in a row without an answer.
_GONE = 2
# Answers differ from time to time even at temperature 0. A prompt is lost if it is lost twice in three rounds.
_ROUNDS, _LOST = 3, 2


@dataclass(frozen=True, slots=True)
class _Result:
    """Whether one release passes one prompt (None: nobody can tell), why not, and what it said last."""

    passed: bool | None
    why: str = ""
    said: Said | None = None
    silent: bool = False


def answers_gate(gating: Gating) -> GateResult | None:
    """Return the verdict on the new release's answers to golden prompts; None where there are none."""
    asked = gating.guard.answers
    return None if asked is None else _Asking(gating).run(asked)


@dataclass(frozen=True, slots=True)
class _Round:
    """One prompt asked once of both releases, and whether each of them gave no answer at all."""

    pair: PromptPair
    silent: bool
    old_silent: bool


class _Asking:
    def __init__(self, gating: Gating) -> None:
        self._gating, self._old = gating, gating.beside
        self._silent = self._old_silent = 0

    def run(self, asked: Answers) -> GateResult:
        pairs: list[PromptPair] = []
        passed: set[str] = set()
        prompts = self._gating.prompts
        for number, prompt in enumerate(prompts, start=1):
            rounds = self._rounds(prompt)
            pairs.append(_of(rounds))
            if all(each.pair.new for each in rounds):
                passed.add(prompt.name)
            # A prompt that is asked again is still one prompt without an answer.
            self._silent = self._silent + 1 if all(each.silent for each in rounds) else 0
            if self._silent >= _SILENT:
                words = f"{_SILENT} golden prompts in a row had no answer: {pairs[-1].why}"
                return GateResult(GATE, Verdict.FAILED, words)
            self._old_silent = (
                self._old_silent + 1 if all(each.old_silent for each in rounds) else 0
            )
            if self._old_silent >= _SILENT:
                self._old = None
            if number % 20 == 0:
                self._gating.say(f"  {number} of {len(prompts)} golden prompts asked")
        # A serving release that answers nothing is a reason for the change, and nothing to compare with.
        result = judge_answers(asked, pairs, compared=any(each.old is not None for each in pairs))
        return replace(result, passed=tuple(sorted(passed)))

    def _rounds(self, prompt: GoldenPrompt) -> list[_Round]:
        """Ask the prompt once, or, where it is lost, until it is lost twice or asked three times."""
        rounds = [self._once(prompt)]
        while rounds[0].pair.lost and len(rounds) < _ROUNDS and _losses(rounds) < _LOST:
            rounds.append(self._once(prompt))
        return rounds

    def _once(self, prompt: GoldenPrompt) -> _Round:
        old = self._passes(self._old, prompt, None) if self._old else _Result(None)
        new = self._passes(self._gating.new, prompt, old.said)
        passed_before = None if old.silent else old.passed
        pair = PromptPair(prompt, new.passed, passed_before, new.why)
        return _Round(pair, new.silent, old.silent)

    def _passes(self, replica: GatedReplica, prompt: GoldenPrompt, beside: Said | None) -> _Result:
        good, unsure, silent, why, last = 0, 0, 0, "", _Result(None)
        for number in range(1, prompt.tries + 1):
            last = self._answer(replica, prompt, beside)
            why = last.why or why
            good += last.passed is True
            unsure += last.passed is None
            silent = silent + 1 if last.silent else 0
            left = prompt.tries - number
            if good >= prompt.passes or good + unsure + left < prompt.passes or silent >= _GONE:
                break
        if good >= prompt.passes:
            return _Result(True, said=last.said)
        passed = None if good + unsure >= prompt.passes else False
        of = f" ({good} of {prompt.tries} as expected)" if prompt.tries > 1 else ""
        return _Result(passed, f"{why}{of}", last.said, silent == number)

    def _answer(self, replica: GatedReplica, prompt: GoldenPrompt, beside: Said | None) -> _Result:
        answer = ask(self._gating.host, replica, prompt.kind, prompt.payload, prompt.timeout)
        if fault := fault_of_answer(answer):
            return _Result(False, fault, silent=answer.status == 0)
        try:
            said = said_in(prompt.kind, answer, prompt.payload)
        except ValueError as error:
            return _Result(False, f"answered {error}")
        why = fault_of(prompt.kind, prompt.expect, said, beside, self._gating.fits)
        if why is None:
            return _Result(
                None, "its pattern or schema took too long, or its tokens are not counted", said
            )
        return _Result(not why, why, said)


def _losses(rounds: Sequence[_Round]) -> int:
    return sum(each.pair.lost for each in rounds)


def _of(rounds: Sequence[_Round]) -> PromptPair:
    """Return the prompt as it counts: lost where it is lost twice, else as the last round without a loss has it."""
    first = rounds[0].pair
    if _losses(rounds) >= _LOST:
        return first
    return next((each.pair for each in reversed(rounds) if not each.pair.lost), first)
