"""The seconds of a pace are those of the clock on an idle machine, and fewer where many tasks want to run."""

from __future__ import annotations

import pytest

from tests.pace import Pace, paced


@pytest.mark.parametrize(
    ("running", "seconds"),
    [
        pytest.param(0, 10.0, id="nobody tells"),
        pytest.param(1, 10.0, id="the test alone"),
        pytest.param(2, 10.0, id="as many as processors"),
        pytest.param(8, 2.5, id="four on each processor"),
    ],
)
def test_seconds_count_as_much_as_a_task_gets_of_a_processor(running: int, seconds: float) -> None:
    now = 100.0
    pace = Pace(lambda: now, lambda: running, processors=2)
    now += 4
    pace()
    now += 6
    assert pace() == pytest.approx(seconds)


def test_a_pace_goes_on() -> None:
    with paced() as pace:
        assert 0 <= pace() <= pace()
