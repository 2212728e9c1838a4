"""What a host that left the fleet still serves, by the history: tables of records and models."""

from __future__ import annotations

import pytest

from tests.planning.test_rollback import FIRST, LIVE, UNDONE, Entry, told
from toolkit.domain.deployment.release import Outcome
from toolkit.planning.routing.members import left_behind

DONE = Outcome.DONE
GATED: Entry = ("r3", "gate", 2, 1, (None, None, DONE))
UNSTOPPED: Entry = ("r2", "stop", 1, None, (None, None, UNDONE))
STOPPED: Entry = ("r2", "stop", 1, None, (None, None, DONE))


@pytest.mark.parametrize(
    ("entries", "serves"),
    [
        pytest.param((), {}, id="nothing was ever deployed"),
        pytest.param((FIRST,), {"c": ("tiny",)}, id="it was in the fleet and has its model still"),
        pytest.param((("r1", "deploy", 1, None, (LIVE, LIVE, None)),), {}, id="it was never in the fleet"),
        pytest.param((FIRST, STOPPED), {}, id="its model was stopped"),
        pytest.param((FIRST, ("r2", "forget", 1, None, (None, None, DONE))), {}, id="it was forgotten"),
        pytest.param((FIRST, STOPPED, GATED), {}, id="gates alone ran since its model was stopped"),
        pytest.param((FIRST, GATED), {"c": ("tiny",)}, id="gates alone ran since it serves"),
        pytest.param((FIRST, UNSTOPPED), {"c": ("tiny",)}, id="its stop was undone"),
    ],
)  # fmt: skip
def test_a_host_that_left_serves_what_its_last_change_says(
    entries: tuple[Entry, ...], serves: dict[str, tuple[str, ...]]
) -> None:
    assert left_behind(told(*entries), {"a", "b"}) == serves
