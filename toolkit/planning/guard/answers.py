"""The verdict on golden prompts: new release and serving one, prompt by prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

from toolkit.domain.gates.golden import GoldenPrompt
from toolkit.domain.gates.guard import Answers
from toolkit.domain.gates.verdict import Figure, GateResult, Verdict

GATE = "answers"
_NAMED = 3


@dataclass(frozen=True, slots=True)
class PromptPair:
    """One prompt, and whether the two releases pass it; None where nobody can tell. `why` is the new one's fault."""

    prompt: GoldenPrompt
    new: bool | None
    old: bool | None = None
    why: str = ""

    @property
    def lost(self) -> bool:
        """Whether the serving release passes it and the new one does not."""
        return self.new is False and self.old is True

    @property
    def won(self) -> bool:
        """Whether the new release passes it and the serving one does not."""
        return self.new is True and self.old is False


def judge_answers(asked: Answers, pairs: Sequence[PromptPair], *, compared: bool) -> GateResult:
    """Return the verdict on the new release.

    Where it was `compared` with a serving release, prompts that both fail do not count: they say nothing of the change.
    Without one, the new release is held to passing all of them but `lose_at_most`. A prompt without a verdict matters
    only where it could turn the verdict on the release: one that the serving release fails cannot be lost.
    """
    known = [
        each
        for each in pairs
        if each.new or (each.new is False and not (compared and each.old is None))
    ]
    counted = [each for each in known if each.new or each.old or not compared]
    passed = sum(1 for each in counted if each.new)
    lost = [each for each in known if (each.lost if compared else not each.new)]
    figures = _figures(known, lost, compared=compared)
    if len(lost) > asked.lose_at_most:
        return GateResult(
            GATE, Verdict.FAILED, _lost(lost, asked, known, compared=compared), figures
        )
    unknown = [each for each in pairs if each not in known]
    asked_of_new = sum(1 for each in unknown if each.new is None)
    if passed + asked_of_new < asked.at_least * (len(counted) + asked_of_new):
        words = f"{passed} of {len(counted)} golden prompts passed, less than {asked.at_least * 100:g} %"
        missed = [each for each in counted if not each.new]
        return GateResult(GATE, Verdict.FAILED, f"{words}: {_named(missed)}", figures)
    # At worst all unknown prompts are failed, except those that the serving release fails too.
    at_worst = sum(1 for each in unknown if not (compared and each.old is False))
    misses = passed < asked.at_least * (len(counted) + at_worst)
    if (at_worst and len(lost) + at_worst > asked.lose_at_most) or (unknown and misses):
        words = f"{len(unknown)} of {len(pairs)} golden prompts could not be judged"
        return GateResult(GATE, Verdict.UNKNOWN, f"{words}: {_named(unknown)}", figures)
    return GateResult(GATE, Verdict.PASSED, _aside(pairs, unknown, counted), figures)


def chance_of(lost: int, won: int) -> float:
    """Return the chance that so many of the differing prompts are lost or more, where both releases are equally good.

    McNemar's exact test, one-sided: of `lost + won` pairs that differ, each is lost with probability 1/2
    (Q. McNemar, Psychometrika 12, 1947).
    """
    total = lost + won
    return float(sum(comb(total, each) for each in range(lost, total + 1)) / 2**total)


def _aside(
    pairs: Sequence[PromptPair], unknown: Sequence[PromptPair], counted: Sequence[PromptPair]
) -> str:
    """Return which prompts say nothing of a release that passes; empty where all do but those that both fail."""
    if unknown:
        words = f"{len(unknown)} of {len(pairs)} golden prompts could not be judged, which turns nothing"
        return f"{words}: {_named(unknown)}"
    if not counted:
        return f"no golden prompt counts, because both releases fail each one: {_named(pairs)}"
    return ""


def _figures(
    known: Sequence[PromptPair], lost: Sequence[PromptPair], *, compared: bool
) -> tuple[Figure, ...]:
    of = f"of {len(known)}"
    new = float(sum(1 for each in known if each.new))
    if not compared:
        return (Figure("golden prompts passed", new, None, of),)
    old = float(sum(1 for each in known if each.old))
    won = sum(1 for each in known if each.won)
    return (
        Figure("golden prompts passed", new, old, of),
        Figure("golden prompts lost", float(len(lost)), None, of),
        Figure("golden prompts won", float(won), None, of),
        Figure(
            "chance of that without a change", round(chance_of(len(lost), won) * 100, 2), None, "%"
        ),
    )


def _lost(
    lost: Sequence[PromptPair], asked: Answers, known: Sequence[PromptPair], *, compared: bool
) -> str:
    most = f"at most {asked.lose_at_most} may be" if asked.lose_at_most else "none may be"
    beside = " that the serving release passes at the same moment" if compared else ""
    return f"{len(lost)} of {len(known)} golden prompts{beside} lost, {most}: {_named(lost)}"


def _named(pairs: Sequence[PromptPair]) -> str:
    named = "; ".join(
        f"{each.prompt.name} ({each.prompt.place}) {each.why or 'no verdict'}"
        for each in pairs[:_NAMED]
    )
    more = len(pairs) - _NAMED
    return f"{named}; and {more} more" if more > 0 else named
