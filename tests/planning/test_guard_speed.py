"""The gate `speed` fails what is slower beyond doubt, passes what is not, and says so where it cannot tell."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from tests.planning.facts import release
from toolkit.domain.gates.guard import Speed, Tolerance
from toolkit.domain.gates.verdict import Verdict
from toolkit.domain.replicas.answers import Pair, Times
from toolkit.planning.guard.speed import Judged, judge, wanted

REFUSED = Times(None, None, None, 0.01, 0, 1, 1, "ConnectionRefusedError: refused")


def times(dice: random.Random, ratio: float = 1.0, noise: float = 0.1) -> Times:
    """Return the times of one answer with 32 tokens."""
    first, gap = (ratio * each * dice.lognormvariate(0, noise) for each in (0.05, 0.01))
    whole = first + 31 * gap
    return Times(first, gap, whole, whole, 32, 0, 1)


def judged(count: int, ratio: float, seed: int = 1, noise: float = 0.1) -> Judged:
    """Return the judgement of `count` pairs with that true ratio of times."""
    dice = random.Random(seed)
    pairs = [Pair(times(dice, ratio, noise), times(dice, 1.0, noise)) for _ in range(count)]
    return judge(pairs, Tolerance())


@pytest.mark.parametrize("seed", range(5))
def test_an_unchanged_release_passes_at_once(seed: int) -> None:
    found = judged(20, 1.0, seed)
    assert (found.result.verdict, found.undecided) == (Verdict.PASSED, False)
    figures = {each.name: each for each in found.result.figures}
    assert figures["time to first token"].new == pytest.approx(50, rel=0.1)
    assert figures["time to first token"].old == pytest.approx(50, rel=0.1)
    assert figures["throughput"].unit == "tokens/s"
    assert figures["failed requests"].unit == "of 20"


@pytest.mark.parametrize("ratio", [1.3, 2.0])
def test_a_slower_release_needs_more_pairs_and_fails(ratio: float) -> None:
    assert judged(20, ratio).undecided
    more = judged(40, ratio)
    assert (more.result.verdict, more.undecided) == (Verdict.UNKNOWN, True)
    assert more.result.reason.endswith("not shown with certainty")
    last = judged(100, ratio)
    assert (last.result.verdict, last.undecided) == (Verdict.FAILED, False)
    assert last.result.reason.startswith("time to first token: ")
    assert "at least" in last.result.reason


def test_a_faster_release_passes() -> None:
    assert judged(20, 0.5).result.verdict is Verdict.PASSED


def test_without_a_serving_release_the_times_are_figures_alone() -> None:
    dice = random.Random(1)
    found = judge([Pair(times(dice, 9.0)) for _ in range(20)], Tolerance())
    assert found.result.verdict is Verdict.PASSED
    assert {each.old for each in found.result.figures} == {None}


def test_what_only_the_new_release_refuses_fails() -> None:
    pairs = [Pair(REFUSED, times(random.Random(1))) for _ in range(20)]
    found = judge(pairs, Tolerance())
    assert found.result.verdict is Verdict.FAILED
    assert found.result.reason.startswith("100 % of 20 requests failed, 0 % of 20")


def test_what_both_refuse_could_not_be_measured() -> None:
    found = judge([Pair(REFUSED, REFUSED)] * 20, Tolerance())
    assert (found.result.verdict, found.undecided) == (Verdict.UNKNOWN, False)
    assert found.result.reason == "nothing was measured: ConnectionRefusedError: refused"


def test_one_refused_request_is_no_failure() -> None:
    dice = random.Random(1)
    pairs = [Pair(times(dice), times(dice)) for _ in range(19)]
    assert judge([*pairs, Pair(REFUSED, times(dice))], Tolerance()).result.verdict is Verdict.PASSED


def test_an_answer_without_tokens_counts_by_its_time() -> None:
    """Embeddings, for example."""
    dice = random.Random(1)
    bare = [
        replace(times(dice, ratio), first=None, next=None, tokens=0)
        for _ in range(100)
        for ratio in (1.5, 1.0)
    ]
    found = judge([Pair(*bare[at : at + 2]) for at in range(0, 200, 2)], Tolerance())
    assert found.result.verdict is Verdict.FAILED
    assert found.result.reason.startswith("time of all tokens: 1.46 times")


def test_the_request_makes_answers_equally_long() -> None:
    of = wanted(release(1), Speed(pairs=30, concurrency=4, max_tokens=48), 8100, 8101)
    assert (of.new, of.old, of.pairs, of.concurrency) == (8100, 8101, 30, 4)
    assert of.payload["max_tokens"] == of.payload["min_tokens"] == 48
    assert "{fresh}" in of.payload["messages"][0]["content"]
