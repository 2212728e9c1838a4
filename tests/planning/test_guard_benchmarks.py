"""Scores are compared question by question, so that noise is told from a loss."""

from __future__ import annotations

import pytest

from toolkit.domain.gates.guard import Benchmarks, Score
from toolkit.domain.gates.verdict import Verdict
from toolkit.planning.guard.benchmarks import judge

ASKED = Benchmarks(("sums.yaml",), lose_at_most=0.02)


def score(right: range, of: int = 100, task: str = "sums") -> Score:
    """Return the score of a release that answers these questions right."""
    marks = {str(each): float(each in right) for each in range(of)}
    return Score(task, "exact_match", sum(marks.values()) / of, marks)


@pytest.mark.parametrize(
    ("new", "old", "verdict"),
    [
        (range(90), range(90), Verdict.PASSED),
        (range(100), range(90), Verdict.PASSED),
        # Two points are allowed, whatever their chance.
        (range(88), range(90), Verdict.PASSED),
        (range(80), range(90), Verdict.FAILED),
        (range(86), range(90), Verdict.UNKNOWN),
        # Six lost and three won are noise.
        (range(3, 93), range(6, 99), Verdict.PASSED),
    ],
)
def test_a_score_fails_where_more_questions_are_lost_than_by_chance(
    new: range, old: range, verdict: Verdict
) -> None:
    result = judge(ASKED, [score(new)], [score(old)])
    assert result.verdict is verdict
    (figure,) = result.figures
    assert (figure.name, figure.unit) == ("sums, exact_match", "of 100")
    assert (figure.new, figure.old) == (len(new) / 100, len(old) / 100)


def test_a_fall_is_named_with_its_chance() -> None:
    result = judge(ASKED, [score(range(80))], [score(range(90))])
    assert result.reason == (
        "sums: exact_match 0.8, that of the serving release 0.9"
        " (10 questions lost, 0 won; the chance of that without a change is 0.098 %)"
    )


def test_a_score_without_marks_falls_or_not() -> None:
    new, old = Score("t", "bleu", 0.3), Score("t", "bleu", 0.4)
    assert judge(ASKED, [new], [old]).verdict is Verdict.FAILED


def test_one_task_that_falls_is_enough() -> None:
    new = [score(range(90)), score(range(10), task="other")]
    old = [score(range(90)), score(range(90), task="other")]
    result = judge(ASKED, new, old)
    assert result.verdict is Verdict.FAILED
    assert result.reason.startswith("other: ")


def test_without_a_serving_release_scores_are_figures_alone() -> None:
    result = judge(ASKED, [score(range(5))], None)
    assert (result.verdict, result.figures[0].old) == (Verdict.PASSED, None)


def test_without_a_score_it_could_not_tell() -> None:
    assert judge(ASKED, [], []).verdict is Verdict.UNKNOWN
