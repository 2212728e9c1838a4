"""Many at once: in order, all of them ended before anything is raised, and Ctrl-C is never waited for."""

from __future__ import annotations

import _thread
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from tests.pace import Pace
from tests.workflows.world import AGES
from toolkit.errors import HostError
from toolkit.workflows.fleet.at_once import at_once


def test_what_was_returned_has_the_order_of_the_items() -> None:
    assert at_once(2, [3, 1, 2], lambda each: time.sleep(each / 100) or each * 10) == (30, 10, 20)


def test_no_items_need_nobody() -> None:
    assert at_once(0, [], str) == ()


def test_a_failure_is_raised_once_all_have_ended() -> None:
    ended = []

    def do(item: int) -> None:
        if item == 1:
            raise HostError("the first")
        time.sleep(0.05)
        ended.append(item)

    with pytest.raises(HostError, match="the first"):
        at_once(3, [1, 2, 3], do)
    assert sorted(ended) == [2, 3]


def test_ctrl_c_is_noticed_where_no_system_call_is_interrupted_by_it(pace: Pace) -> None:
    """As where it comes just before the main thread begins to wait: `interrupt_main` wakes nobody."""
    stopped = threading.Event()

    def do(item: int) -> None:
        time.sleep(0.2)  # until the main thread waits
        if item == 1:
            _thread.interrupt_main()
        stopped.wait(AGES)

    started = pace()
    with pytest.raises(KeyboardInterrupt):
        at_once(2, [1, 2], do, stopped.set)
    assert pace() - started < 5


def test_ctrl_c_before_all_are_known_lets_none_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    submit, begun, stops = ThreadPoolExecutor.submit, [], []

    def interrupted(pool: ThreadPoolExecutor, *call: Any) -> Future[Any]:
        submit(pool, *call)
        raise KeyboardInterrupt

    monkeypatch.setattr(ThreadPoolExecutor, "submit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        at_once(2, [1, 2], begun.append, lambda: stops.append("stop"))
    assert (begun, stops) == ([], ["stop"])
