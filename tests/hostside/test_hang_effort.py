"""The effort of a replica, by the times of its threads: what it computes, and nothing of its waits."""

from __future__ import annotations

import sys

import pytest

from tests.hostside.router_lab import REPO

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import hang
import processes
import signs


@pytest.mark.parametrize(
    ("threads", "found"),
    [
        pytest.param([], 0.0, id="it has just been found"),
        pytest.param([(0.002, 0.18)] * 12, 0.09, id="a dozen threads that listen, each in line"),
        pytest.param([(0.1, 1.9)], 1.0, id="one that computes on a processor that is taken"),
        pytest.param([(0.6, 0.0)] * 3, 0.9, id="three that compute in turn"),
        pytest.param([(1.0, 0.6), (0.0, 1.5)], 0.8, id="the busier one of two"),
    ],
)
def test_the_waits_of_threads_do_not_add_up(
    threads: list[tuple[float, float]], found: float
) -> None:
    before = {7: {str(each): (10.0, 20.0) for each in range(len(threads))}, 8: {"9": (5.0, 5.0)}}
    now = {
        7: {str(each): (10 + ran, 20 + late) for each, (ran, late) in enumerate(threads)},
        8: {"9": (5.0, 5.0)},
        # one that has begun meanwhile
        9: {"1": (100.0, 100.0)},
    }
    assert hang.effort(before, now, 2.0) == pytest.approx(found, abs=0.002)


@pytest.mark.parametrize(
    ("ran", "found"),
    [
        pytest.param({7: 1.9, 8: 0.0}, 0.1, id="one loops until the other goes on"),
        pytest.param({7: 1.9, 8: 0.01}, 0.95, id="one waits for the other, which has little processor"),
        pytest.param({7: 0.0, 8: 0.0}, 0.1, id="both stand still"),
    ],
)  # fmt: skip
def test_ranks_that_wait_for_one_that_stands_still_make_no_effort(
    ran: dict[int, float], found: float
) -> None:
    # Its other threads wake up all the same.
    before = {pid: {str(pid): (10.0, 20.0), "99": (1.0, 1.0)} for pid in (7, 8, 9)}
    now = {pid: {str(pid): (10 + more, 20.0), "99": (1.0, 1.2)} for pid, more in ran.items()}
    now[9] = {"9": (10.0, 20.0), "99": (1.0, 1.2)}
    assert hang.effort(before, now, 2.0, [[7, 8]]) == pytest.approx(found)


def test_ranks_are_told_by_the_names_of_their_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {
        1: "VLLM::EngineCore", 2: "VLLM::Worker_PP0_TP0", 3: "VLLM::Worker_PP0_TP1",
        4: "VLLM::Worker_PP1_TP0_EP2", 5: "VLLM::Worker_PP1_TP1_EP3", 6: "VLLM::Worker",
    }  # fmt: skip
    monkeypatch.setattr(processes, "command_line", lambda pid: [names[pid]])
    assert processes.ranks(names, signs.VLLM["ranks"]) == [[2, 3], [4, 5]]
