"""A worse release is found from few samples, and an unchanged one is not accused, however often one looks."""

from __future__ import annotations

import json
import random
import sys

import pytest

from tests.hostside.router_lab import REPO

sys.path.insert(0, str(REPO / "toolkit/hostside"))

from sequential import ErrorTest, RatioTest, Run
from trial import FAILED, PASSED, UNKNOWN, Trial


def pairs(test: RatioTest, ratio: float, count: int, noise: float = 0.15, seed: int = 1) -> int:
    """Feed pairs of times with that true ratio; return after how many it was breached, 0 for never."""
    dice = random.Random(seed)
    for index in range(count):
        test.see(ratio * dice.lognormvariate(0, noise), dice.lognormvariate(0, noise))
        if test.breached:
            return index + 1
    return 0


def seconds(test: ErrorTest, new: float, old: float, count: int, seed: int = 1) -> int:
    """Feed five requests of each release a second; return after how many seconds it was breached, 0 for never."""
    dice = random.Random(seed)
    for index in range(count):
        test.see(
            sum(dice.random() < new for _ in range(5)),
            5,
            sum(dice.random() < old for _ in range(5)),
            5,
        )
        if test.breached:
            return index + 1
    return 0


@pytest.mark.parametrize("seed", range(5))
def test_a_slower_release_is_breached_and_an_equal_one_is_cleared(seed: int) -> None:
    slow, equal = RatioTest(0.0003, 1.15), RatioTest(0.0003, 1.15)
    assert 0 < pairs(slow, 1.3, 300, seed=seed) < 250
    assert pairs(equal, 1.0, 300, seed=seed) == 0
    assert not equal.suspected


def test_the_bounds_of_a_ratio_hold_it() -> None:
    test = RatioTest(0.001, 1.15)
    pairs(test, 1.05, 400)
    low, middle, high = test.estimate
    assert 0.9 < low <= 1.05 <= high < 1.2
    assert middle == pytest.approx(1.05, rel=0.03)
    assert "at least" in test.words


def test_a_bad_spell_alone_breaches_nothing() -> None:
    test = RatioTest(0.0003, 1.15)
    pairs(test, 1.0, 60)
    for _ in range(16):
        test.see(9.0, 1.0)
    assert not test.breached
    # One that lasts does.
    for _ in range(100):
        test.see(9.0, 1.0)
    assert test.breached


def test_what_was_not_measured_is_no_pair() -> None:
    test = RatioTest(0.001, 1.15)
    for new, old in ((0.0, 1.0), (1.0, 0.0), (float("inf"), 1.0), (float("nan"), 1.0)):
        test.see(new, old)
    assert test.count == 0
    assert test.estimate[1] == 1.0
    assert not test.breached
    assert not test.suspected


@pytest.mark.parametrize("seed", range(5))
def test_errors_over_the_margin_are_found_and_errors_of_both_are_not(seed: int) -> None:
    assert 0 < seconds(ErrorTest(0.0003, 0.005), 0.03, 0.0, 300, seed) < 300
    both = ErrorTest(0.0003, 0.005)
    assert seconds(both, 0.1, 0.1, 300, seed) == 0


def test_one_bad_second_is_no_breach_of_errors() -> None:
    test = ErrorTest(0.0003, 0.005)
    for _ in range(60):
        test.see(0, 100, 0, 100)
    test.see(100, 100, 0, 100)
    assert not test.breached


def test_requests_that_come_at_other_seconds_are_compared_too() -> None:
    test = ErrorTest(0.0003, 0.005)
    for index in range(200):
        test.see(index % 4 == 0, 1, 0, 0) if index % 2 else test.see(0, 0, 0, 1)
    assert not test.breached
    for index in range(200):
        test.see(index % 4 == 1, 1, 0, 0) if index % 2 else test.see(0, 0, 0, 1)
    assert test.breached


def test_without_a_serving_release_the_margin_is_all_that_may_fail() -> None:
    bad, good = ErrorTest(0.0003, 0.005, alone=True), ErrorTest(0.0003, 0.005, alone=True)
    for index in range(300):
        bad.see(index % 5 == 0, 5, 0, 0)
        good.see(0, 5, 0, 0)
    assert bad.breached
    assert not good.breached
    assert not good.suspected


def test_a_run_of_failures_ends_it_within_seconds() -> None:
    run = Run()
    run.see(0.0, 0, 1, 0, 3)
    for second in (1.0, 2.0, 3.0):
        run.see(second, 1, 1, 0, 3)
        assert not run.breached
    run.see(4.0, 1, 1, 0, 3)
    assert run.breached


@pytest.mark.parametrize(
    ("looks", "why"),
    [
        ([(20, 20, 0, 9)], "one bad second"),
        ([(2, 2, 0, 3), (2, 2, 1, 3), (2, 2, 0, 3), (2, 2, 0, 3)], "the serving one fails too"),
        ([(2, 2, 0, 0)] * 6, "the serving one was not asked"),
        ([(1, 1, 0, 1), (1, 2, 0, 1)] * 5, "some are answered"),
        ([(0, 0, 0, 5)] * 9, "nothing was asked"),
    ],
)
def test_looks_without_a_run_of_failures_are_no_breach(
    looks: list[tuple[int, int, int, int]], why: str
) -> None:
    run = Run()
    for second, look in enumerate(looks):
        run.see(float(second), *look)
    assert not run.breached, why


def test_the_rule_of_runs_counts_the_seconds_without_a_request() -> None:
    run = Run()
    for second in range(8):
        run.see(float(second), *((1, 1, 0, 2) if second % 2 else (0, 0, 0, 2)))
    assert run.breached


def test_a_trial_goes_on_where_its_state_was_kept() -> None:
    dice = random.Random(3)
    whole, parts = Trial(1.15, 0.005), Trial(1.15, 0.005)
    for second in range(120):
        look = (second % 9 == 0, 3, 0, 4)
        new, old = dice.lognormvariate(0.2, 0.2), dice.lognormvariate(0, 0.2)
        for each in (whole, parts):
            each.see(float(second), *look)
            each.pair({"first": new, "next": new / 9}, {"first": old, "next": old / 9})
        parts = Trial(1.15, 0.005).restore(json.loads(json.dumps(parts.as_json())))
    assert parts.as_json() == whole.as_json()
    assert parts.verdict() == whole.verdict()


def test_a_trial_has_three_verdicts() -> None:
    trial = Trial(1.15, 0.005)
    assert trial.verdict() == (PASSED, "")
    assert trial.figures == []
    trial.see(0.0, 0, 9, 0, 9)
    assert trial.verdict(requests=10) == (
        UNKNOWN,
        "it has answered 9 of the 10 requests that the step asks for",
    )
    for index in range(40):
        # Not a stream: only the time of the answer is there.
        trial.pair({"whole": 1.3 + index % 3 / 9}, {"whole": 1.1})
        if index == 15:
            assert trial.doubtful
            assert trial.verdict() == (PASSED, "")
    assert trial.verdict()[0] == UNKNOWN
    assert trial.suspicion.startswith("time of an answer: 1.28 times")
    for second in range(5):
        trial.see(float(second), 2, 2, 0, 2)
    assert trial.verdict() == (
        FAILED,
        "10 requests in a row failed, none of the serving release in the same time",
    )
    assert {each["name"] for each in trial.figures} >= {"errors", "requests", "time of an answer"}
