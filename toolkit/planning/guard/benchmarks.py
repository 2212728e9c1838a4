"""The gate `benchmarks`: scores of the new release beside the serving one's, question by question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from toolkit.domain.gates.guard import Benchmarks, Score
from toolkit.domain.gates.verdict import Figure, GateResult, Verdict
from toolkit.planning.guard.answers import chance_of

GATE = "benchmarks"
# Chances that a score falls so far without a change. Below the first one the score fails, below the second one it is in
# doubt. Anything else is noise: answers differ from time to time even at temperature 0.
CERTAIN, DOUBTFUL = 0.01, 0.1


@dataclass(frozen=True, slots=True)
class Fall:
    """A score that fell by more than allowed, and the chance of so many lost questions without a change."""

    words: str
    chance: float


def judge(benchmarks: Benchmarks, new: Sequence[Score], old: Sequence[Score] | None) -> GateResult:
    """Return the verdict on the new release's scores; without the serving release's (None) they are figures alone."""
    figures = tuple(_figure(each, old) for each in new)
    if not new:
        return GateResult(GATE, Verdict.UNKNOWN, "no task gave a score", figures)
    falls = [] if old is None else _falls(benchmarks, new, old)
    reason = "; ".join(each.words for each in falls)
    least = min((each.chance for each in falls), default=1.0)
    if least < CERTAIN:
        return GateResult(GATE, Verdict.FAILED, reason, figures)
    return GateResult(
        GATE, Verdict.UNKNOWN if least < DOUBTFUL else Verdict.PASSED, reason, figures
    )


def _falls(benchmarks: Benchmarks, new: Sequence[Score], old: Sequence[Score]) -> list[Fall]:
    before = {(each.task, each.metric): each for each in old}
    found = []
    for score in new:
        former = before.get((score.task, score.metric))
        if former is None or former.value - score.value <= benchmarks.lose_at_most:
            continue
        common = score.marks.keys() & former.marks.keys()
        lost = sum(score.marks[each] < former.marks[each] for each in common)
        won = sum(score.marks[each] > former.marks[each] for each in common)
        chance = chance_of(lost, won) if common else 0.0
        found.append(
            Fall(
                f"{score.task}: {score.metric} {score.value:.3g}, that of the serving release {former.value:.3g}"
                f" ({lost} questions lost, {won} won; the chance of that without a change is {100 * chance:.2g} %)",
                chance,
            )
        )
    return found


def _figure(score: Score, old: Sequence[Score] | None) -> Figure:
    former = [
        each.value for each in old or () if (each.task, each.metric) == (score.task, score.metric)
    ]
    name = f"{score.task}, {score.metric}"
    return Figure(
        name,
        round(score.value, 4),
        round(former[0], 4) if former else None,
        f"of {len(score.marks)}",
    )
