"""People are told the tasks that change a host, not those that a playbook skips or that find nothing to do."""

from __future__ import annotations

import threading

import pytest

from toolkit.adapters.ansible.announced import Announced

CHECK = "replica : Validating arguments against arg spec 'main' - One replica of a model"
START, SKIP, OK = "playbook_on_task_start", "runner_on_skipped", "runner_on_ok"
# A task that found all as it wants it.
SAME = "runner_on_ok, unchanged"


@pytest.mark.parametrize(
    ("events", "told"),
    [
        ([(START, "a"), (OK, "a"), (START, "b"), (SKIP, "b"), (START, "c"), (OK, "c")], ["a", "c"]),
        ([(START, "a"), ("runner_on_failed", "a")], ["a"]),
        ([(START, "a"), (OK, "a"), (OK, "a")], ["a"]),
        ([(START, "a"), (START, "b"), (OK, "b")], ["b"]),
        ([(START, "a"), ("playbook_on_stats", "")], []),
        ([(SKIP, "a"), (OK, "a")], []),
        ([(START, CHECK), (OK, CHECK), (START, "a"), (OK, "a")], ["a"]),
        ([(START, "a"), (SAME, "a"), (START, "b"), (OK, "b")], ["b"]),
    ],
)
def test_a_task_that_does_nothing_is_not_told(
    events: list[tuple[str, str]], told: list[str]
) -> None:
    said: list[str] = []
    shown = Announced(said.append, patience=60)
    for kind, name in events:
        result = {"changed": kind != SAME}
        shown.take(kind.partition(",")[0], {"name": name, "res": result})
    assert said == told


def test_a_long_task_is_told_while_it_runs() -> None:
    told = threading.Event()
    Announced(lambda _: told.set(), patience=0.01).take(START, {"task": "Install the engine"})
    assert told.wait(60)


def test_a_run_that_ends_early_has_no_later_words() -> None:
    said: list[str] = []
    before = timers()
    shown = Announced(said.append, patience=60)
    shown.take(START, {"task": "Install the engine"})
    assert len(timers() - before) == 1
    shown.close()
    # Its words were not said, and nobody is left to say them.
    assert (said, timers() - before) == ([], set())


def timers() -> set[threading.Thread]:
    return {each for each in threading.enumerate() if isinstance(each, threading.Timer)}
