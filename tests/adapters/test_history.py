"""The history, on SQLite and on PostgreSQL, with concurrent readers and writers."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from tests.adapters.history_lab import Clock, begin
from tests.planning.facts import release
from toolkit.adapters.history.database import Address, read_address
from toolkit.adapters.history.history import History
from toolkit.domain.deployment.release import Outcome
from toolkit.domain.engines.fit import Actual, FitRecord, Prediction
from toolkit.domain.gates.verdict import Figure, GateRecord, GateResult, Verdict
from toolkit.domain.replicas.start import StartRecord
from toolkit.errors import BusyError

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["sqlite", "postgresql"])
def environment(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """The setting with which commands use an empty history of this kind."""
    home = {"TOOLKIT_HOME": str(tmp_path / "deep" / "home")}
    if request.param == "sqlite":
        return home
    return {**home, "TOOLKIT_HISTORY": request.getfixturevalue("postgres").new_database()}


@pytest.fixture
def place(environment: dict[str, str]) -> Path | Address:
    url = environment.get("TOOLKIT_HISTORY")
    return read_address(url) if url else Path(environment["TOOLKIT_HOME"], "history.db")


@pytest.fixture
def history(place: Path | Address) -> Iterator[History]:
    found = History(place, Clock())
    yield found
    found.close()


def test_an_empty_history_knows_nothing(history: History) -> None:
    assert history.release("tiny", 1) is None
    assert (history.releases("tiny"), history.deployments("tiny")) == ([], [])
    assert (history.models(), history.unfinished()) == ([], [])


def test_releases_come_back_as_they_were_newest_first(history: History) -> None:
    history.add_release(release(1))
    history.add_release(release(2))
    assert history.release("tiny", 1) == release(1)
    assert [(each.number, created) for each, created in history.releases("tiny")] == [
        (2, 102.0),
        (1, 101.0),
    ]
    assert history.models() == ["tiny"]


def test_models_are_in_order_wherever_they_are_kept(history: History) -> None:
    for name in ("b", "A", "a-b", "a_b", "ab"):
        history.add_release(replace(release(1), model=name))
    assert history.models() == ["A", "a-b", "a_b", "ab", "b"]


def test_a_release_is_recorded_once(history: History) -> None:
    history.add_release(release(1))
    history.add_release(release(1))
    assert [created for _, created in history.releases("tiny")] == [101.0]


def test_a_number_that_another_command_took_is_refused(history: History) -> None:
    history.add_release(release(1))
    with pytest.raises(BusyError) as caught:
        history.add_release(release(1, memory=9))
    assert caught.value.message == "another command has just recorded another release #1 of tiny"
    assert caught.value.hint == "type the command again: it takes the next number"
    assert history.release("tiny", 1) == release(1)


def test_of_two_that_take_one_number_at_once_one_gets_it(place: Path | Address) -> None:
    def take(memory: int) -> bool:
        mine = History(place, Clock())
        try:
            mine.add_release(release(1, memory=memory))
        except BusyError:
            return False
        finally:
            mine.close()
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(take, range(1, 7))) == [False] * 5 + [True]


def test_text_that_no_database_takes_is_kept_readable(history: History) -> None:
    """Reasons quote logs, which may contain any bytes."""
    opened = begin(history, 1)
    history.end_deployment(opened, Outcome.FAILED, "died: \0 \udcff ü 中 %s ?")
    (found,) = history.deployments("tiny")
    assert found.reason == "died: \ufffd ? ü 中 %s ?"


def test_a_deployment_is_open_until_it_has_an_outcome(history: History) -> None:
    first = begin(history, 1)
    second = begin(history, 2, previous=1)
    assert [each.id for each in history.unfinished()] == [first, second]

    seq = history.start_step(second, "start", "green")
    history.end_step(second, seq, Outcome.DONE)
    assert history.start_step(second, "gate", "green") == seq + 1
    history.end_deployment(first, Outcome.LIVE)
    history.end_deployment(second, Outcome.FAILED, "it did not start\nat all")

    assert history.unfinished() == []
    newest, oldest = history.deployments("tiny")
    assert (oldest.outcome, oldest.previous, oldest.steps) == (Outcome.LIVE, None, ())
    assert (newest.id, newest.action, newest.release, newest.previous) == (second, "deploy", 2, 1)
    assert (newest.slot, newest.actor) == ("blue", "ann@ops")
    assert (newest.outcome, newest.reason) == (Outcome.FAILED, "it did not start\nat all")
    assert (newest.started_at, newest.ended_at) == (102.0, 107.0)
    done, begun = newest.steps
    assert (done.kind, done.detail, done.outcome) == ("start", "green", Outcome.DONE)
    assert (done.started_at, done.ended_at) == (103.0, 104.0)
    assert (begun.seq, begun.outcome, begun.ended_at) == (2, Outcome.RUNNING, None)


def test_the_newest_deployments_of_one_model(history: History) -> None:
    for number in (1, 2, 3):
        begin(history, number)
    begin(history, 9, model="other")
    assert [each.release for each in history.deployments("tiny", limit=2)] == [3, 2]
    assert [each.release for each in history.deployments("other")] == [9]


def test_all_deployments_of_a_model_are_there_with_or_without_their_steps(
    history: History,
) -> None:
    for number in range(1, 61):
        history.start_step(begin(history, number, host=f"gpu-{number}", rollout="r7"), "gate", "")
    with_steps, without = history.deployments("tiny"), history.deployments("tiny", steps=False)
    assert [each.release for each in with_steps] == [*range(60, 0, -1)]
    assert {each.steps[0].kind for each in with_steps} == {"gate"}
    assert without == [replace(each, steps=()) for each in with_steps]
    assert history.is_recorded("tiny", "gpu-1", "r7")
    assert not history.is_recorded("tiny", "gpu-1", "r8")
    assert not history.is_recorded("tiny", "gpu-61", "r7")
    assert not history.is_recorded("other", "gpu-1", "r7")


def test_the_newest_start_that_succeeded_tells_how_long_one_takes(history: History) -> None:
    for kind, outcome in (
        ("start", Outcome.DONE),
        ("gate", Outcome.DONE),
        ("start", Outcome.FAILED),
    ):
        opened = begin(history, 1)
        assert history.start_step(opened, "fetch", "") == 1
        history.end_step(opened, history.start_step(opened, kind, "blue"), outcome)
    assert (history.last_start("tiny"), history.last_start("other")) == (1.0, None)


def test_a_start_whose_clock_was_set_back_tells_no_time(place: Path | Address) -> None:
    clock = Clock()
    history = History(place, clock)
    for back in (0, 3600):
        step = history.start_step(opened := begin(history, 1), "start", "blue")
        clock.now -= back
        history.end_step(opened, step, Outcome.DONE)
    assert history.last_start("tiny") == 1.0
    history.close()


def test_the_deployments_of_one_command_share_a_rollout(history: History) -> None:
    begin(history, 1)
    for name in ("gpu-1", "gpu-2"):
        begin(history, 2, host=name, rollout="r7")
    found = [(each.release, each.host, each.rollout) for each in history.deployments("tiny")]
    assert found == [(2, "gpu-2", "r7"), (2, "gpu-1", "r7"), (1, "", "")]


def test_threads_of_one_command_record_their_hosts_at_once(history: History) -> None:
    shared = begin(history, 9)

    def one_host(number: int) -> tuple[int, list[int]]:
        mine = begin(history, 1, host=f"gpu-{number}")
        for _ in range(10):
            history.start_step(shared, "note", str(number))
            history.end_step(mine, history.start_step(mine, "start", "blue"), Outcome.DONE)
        history.end_deployment(mine, Outcome.LIVE)
        (found,) = [each for each in history.deployments("tiny") if each.id == mine]
        return mine, [step.seq for step in found.steps if step.outcome is Outcome.DONE]

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(one_host, range(8)))
    assert sorted(made) == [(shared + 1 + index, list(range(1, 11))) for index in range(8)]
    (still_open,) = history.unfinished()
    assert [step.seq for step in still_open.steps] == list(range(1, 81))
    assert {step.detail for step in still_open.steps} == {str(number) for number in range(8)}


def test_what_was_recorded_is_there_for_the_next_process(
    place: Path | Address, history: History
) -> None:
    """A step is committed before it starts. The first connection stays open, as after SIGKILL."""
    begin(history, 1)
    history.start_step(1, "start", "blue")
    other = History(place, Clock())
    (found,) = other.unfinished()
    assert [step.kind for step in found.steps] == ["start"]
    other.close()


def test_opening_it_again_migrates_nothing(place: Path | Address, history: History) -> None:
    history.add_release(release(1))
    again = History(place, Clock())
    assert again.release("tiny", 1) == release(1)
    again.close()


OPEN_AT_ONCE = """
import sys
from toolkit.cli.opening.context import home_directory, open_history
from toolkit.domain.deployment.release import Attempt
print("ready", flush=True)
sys.stdin.readline()
history = open_history(home_directory(sys.argv[1]))
history.open_deployment(Attempt(model="tiny", action="deploy", release=1, previous=None, slot="blue", actor="x"))
history.close()
"""


def test_processes_that_open_a_new_history_at_once_all_find_it_made(
    environment: dict[str, str], place: Path | Address
) -> None:
    children = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN_AT_ONCE, environment["TOOLKIT_HOME"]],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(6)
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()
    ends = [child.communicate(timeout=60) for child in children]
    assert [(child.returncode, said) for child, (_, said) in zip(children, ends, strict=True)] == [
        (0, "")
    ] * 6
    history = History(place, Clock())
    assert len(history.deployments("tiny")) == 6
    history.close()


def test_a_new_history_that_another_process_is_making_is_waited_for(tmp_path: Path) -> None:
    """SQLite does not wait when it should switch a file to WAL while another process writes."""
    path = tmp_path / "history.db"
    maker = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    maker.execute("BEGIN IMMEDIATE")
    done = threading.Timer(0.3, maker.execute, ["COMMIT"])
    done.start()
    try:
        history = History(path, Clock())
        assert history.deployments("tiny") == []
        history.close()
    finally:
        done.join()
        maker.close()


def test_the_phases_of_starts_are_kept_newest_first(history: History) -> None:
    records = [
        StartRecord("tiny", 1, "a", "vllm-1", {"importing": 12.5, "loading weights": 3.0}, 101.0),
        StartRecord("tiny", 2, "b", "vllm-2", {}, 102.0),
        StartRecord("other", 1, "a", "vllm-1", {"importing": 1.0}, 103.0),
    ]
    for record in records:
        history.add_start(record)
    assert history.starts("tiny") == [records[1], records[0]]
    assert list(history.starts("tiny")[1].phases) == ["importing", "loading weights"]
    assert history.starts("tiny", limit=1) == [records[1]]
    assert history.starts("unknown") == []


def test_what_a_start_took_stands_beside_what_was_predicted(history: History) -> None:
    predicted = Prediction(24, 15, 2, 7, 1, 8192, 100, 1.5, 32768, 18, note="why")
    records = [
        FitRecord("tiny", 1, "a", predicted, Actual(tokens=90, weights=14), 101.0),
        FitRecord("tiny", 2, "b", predicted, Actual(), 102.0),
        FitRecord("other", 1, "a", predicted, Actual(tokens=1), 103.0),
    ]
    for record in records:
        history.add_fit(record)
    assert history.fits("tiny") == [records[1], records[0]]
    assert history.fits("unknown") == []


def test_the_results_of_gates_come_back_with_their_figures_and_say_which_release_failed(
    history: History,
) -> None:
    passed = GateResult("answers", Verdict.PASSED)
    # More than an index of PostgreSQL takes.
    figures = tuple(Figure(f"figure {each}", each / 3, None, "ms") for each in range(200))
    failed = GateResult("bake", Verdict.FAILED, "its errors \u2713 'quoted'", figures)
    unsure = GateResult("canary", Verdict.UNKNOWN, "no request came", (Figure("errors", None),))
    records = [
        GateRecord("tiny", 1, "a", "r1", 101.0, passed),
        GateRecord("tiny", 2, "a", "r2", 102.0, failed),
        GateRecord("tiny", 3, "a", "r3", 103.0, unsure),
    ]
    assert [history.add_gate(record) for record in records] == [True] * 3
    # A host that is asked again, from this ops machine or another, gives the same result.
    assert not history.add_gate(replace(records[1], at=109.0))
    history.add_gate(GateRecord("other", 1, "a", "r4", 104.0, failed))
    assert history.gates("tiny") == records[::-1]
    for each in records:
        own = [other for other in records[::-1] if other.release == each.release]
        assert history.gates("tiny", each.release) == own
        place = (each.host, each.rollout)
        there = [other for other in records[::-1] if (other.host, other.rollout) == place]
        assert history.gates_of("tiny", *place) == there
    assert history.gates("tiny", 99) == history.gates_of("tiny", "gpu-1", "") == []
    assert [history.failure("tiny", each) for each in (1, 2, 3)] == [None, records[1], None]
