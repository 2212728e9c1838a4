"""A wait ends with what was awaited, and else says what it saw last, as does a command beside it that ends early."""

from __future__ import annotations

import os
import sys
from itertools import count
from types import SimpleNamespace

import pytest

from tests.system import waiting
from tests.system.beside import beside
from tests.system.waiting import until

TALKS = "import sys, time; print('begun', flush=True); print('trouble', file=sys.stderr); "
STAYS = f"{TALKS} sys.stderr.flush(); time.sleep(600)"
FAILS = f"{TALKS} sys.exit(7)"


def test_a_wait_returns_what_it_was_for() -> None:
    numbers = count()
    assert until(lambda: next(numbers), 60) == 1
    assert until(lambda: next(numbers), 60, lambda number: number > 2) == 3


def test_a_wait_in_vain_says_what_it_saw_last() -> None:
    with pytest.raises(AssertionError, match=r"not within 0 s; seen last: \['v1'\]"):
        until(lambda: ["v1"], 0, lambda serving: serving == ["v2"])
    with pytest.raises(AssertionError, match=r"seen last: o+ the end$"):
        until(lambda: "o" * 9999 + " the end", 0, lambda _: False)


def test_a_machine_that_stood_still_until_the_end_has_one_more_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [0.0]
    still = SimpleNamespace(monotonic=lambda: clock[0], sleep=lambda _: None)
    monkeypatch.setattr(waiting, "time", still)

    def look() -> bool:
        came = clock[0] > 60
        clock[0] += 100
        return came

    assert until(look, 60)


def test_a_command_beside_a_test_says_what_it_says_and_how_it_ended() -> None:
    with beside([sys.executable, "-c", STAYS], dict(os.environ)) as stays:
        stays.says("trouble", 60)
        assert stays.goes_on()
        process = stays.process
    assert process.returncode is not None
    with beside([sys.executable, "-c", FAILS], dict(os.environ)) as fails:
        assert fails.end(60) == 7
        assert "begun" in fails.said and "trouble" in fails.said
        for look in (fails.goes_on, lambda: fails.says("never", 600)):
            with pytest.raises(AssertionError, match=r"ended with 7\s[^$]*trouble"):
                look()
