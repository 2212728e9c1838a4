"""The test of refused requests: what clients do wrong says nothing of a release, whenever they do it."""

from __future__ import annotations

import random
import sys

from tests.hostside.router_lab import REPO

sys.path.insert(0, str(REPO / "toolkit/hostside"))

from refusals import RefusedTest

MARGIN = 0.02


def judged(seed: int, share: float, worse: float, alpha: float = 0.01) -> bool:
    """Return whether a release is found to refuse more in 300 s, of which a client floods the model in some."""
    dice, test = random.Random(seed), RefusedTest(alpha, MARGIN)
    for second in range(300):
        flood = second // 20 % 4 == 1
        wrong = 0.8 if flood else 0.05
        counts = [0, 0, 0, 0]
        for _ in range(dice.randrange(1, 60 if flood else 12)):
            mine = dice.random() < share
            refused = dice.random() < wrong + (1 - wrong) * worse * mine
            counts[1 if mine else 3] += 1
            counts[0 if mine else 2] += refused
        test.see(*counts)
    return test.breached


def test_an_unchanged_release_is_suspected_as_seldom_as_stated() -> None:
    for share in (0.01, 0.1, 0.5):
        assert sum(judged(seed, share, 0.0) for seed in range(300)) <= 300 * 0.01 + 3


def test_a_release_that_refuses_one_request_in_three_is_found_amid_wrong_ones() -> None:
    assert all(judged(seed, 0.5, 0.33, alpha=2e-5) for seed in range(30))


def test_less_than_the_margin_is_no_breach_however_certain_it_is() -> None:
    test = RefusedTest(2e-5, MARGIN)
    for _ in range(5000):
        test.see(1, 100, 0, 100)
    assert not test.breached
    assert not test.suspected
    for _ in range(5000):
        test.see(4, 100, 0, 100)
    assert test.breached


def test_a_look_with_requests_of_one_release_alone_says_nothing() -> None:
    test = RefusedTest(2e-5, MARGIN)
    for _ in range(100):
        test.see(5, 5, 0, 0)
        test.see(0, 0, 5, 5)
    assert (test.new, test.old, test.breached) == ([0, 0], [0, 0], False)


def test_it_goes_on_from_its_state() -> None:
    test = RefusedTest(2e-5, MARGIN)
    for _ in range(20):
        test.see(1, 2, 1, 20)
    again = RefusedTest(2e-5, MARGIN).restore(test.as_json())
    assert again.as_json() == test.as_json()
    assert again.words == "50 % of 40 requests are refused, 5 % of 400 of the serving release"
