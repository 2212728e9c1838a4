"""What the ops machine remembers, whoever reads or opens it at the same time."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.planning.facts import release
from toolkit.adapters.history import History
from toolkit.adapters.history_schema import MIGRATIONS
from toolkit.domain.release import Outcome
from toolkit.errors import ToolkitError

ROOT = Path(__file__).parents[2]


class Clock:
    """Counts up by one second at each look."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "history.db"


@pytest.fixture
def history(path: Path) -> Iterator[History]:
    found = History(path, Clock())
    yield found
    found.close()


def begin(
    history: History,
    number: int,
    *,
    model: str = "tiny",
    previous: int | None = None,
    **place: str,
) -> int:
    return history.open_deployment(
        model=model,
        action="deploy",
        release=number,
        previous=previous,
        slot="blue",
        actor="ann@ops",
        **place,
    )


def test_an_empty_history_knows_nothing(history: History) -> None:
    assert history.release("tiny", 1) is None
    assert (history.releases("tiny"), history.deployments("tiny")) == ([], [])
    assert (history.models(), history.unfinished()) == ([], [])
    assert history.next_number("tiny") == 1


def test_releases_come_back_as_they_were_newest_first(history: History) -> None:
    history.add_release(release(1))
    history.add_release(release(2))
    assert history.release("tiny", 1) == release(1)
    assert [(each.number, created) for each, created in history.releases("tiny")] == [
        (2, 102.0),
        (1, 101.0),
    ]
    assert (history.next_number("tiny"), history.next_number("other")) == (3, 1)
    assert history.models() == ["tiny"]


def test_a_release_is_never_replaced(history: History) -> None:
    history.add_release(release(1))
    with pytest.raises(sqlite3.IntegrityError):
        history.add_release(release(1, memory=9))
    assert history.release("tiny", 1) == release(1)


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


def test_what_was_recorded_is_there_for_the_next_process(path: Path, history: History) -> None:
    """Committed before the step starts: this connection is never closed, as after SIGKILL."""
    begin(history, 1)
    history.start_step(1, "start", "blue")
    other = History(path, Clock())
    (found,) = other.unfinished()
    assert [step.kind for step in found.steps] == ["start"]
    other.close()


def test_a_reader_is_not_stopped_by_a_writer_nor_the_other_way_round(
    path: Path, history: History
) -> None:
    history.add_release(release(1))
    writer = sqlite3.connect(path, isolation_level=None, timeout=0)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("UPDATE releases SET created_at = 5")
    reader = History(path, Clock())
    assert reader.releases("tiny")[0][1] == 101.0

    looking = reader._db.execute("SELECT * FROM releases")
    looking.fetchone()
    writer.execute("COMMIT")
    writer.close()
    looking.close()
    assert reader.releases("tiny")[0][1] == 5.0
    reader.close()


def test_a_history_of_a_newer_toolkit_is_left_alone(path: Path, history: History) -> None:
    history._db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    with pytest.raises(ToolkitError) as caught:
        History(path, Clock())
    assert caught.value.message == (
        f"the history has schema {len(MIGRATIONS) + 1}; this toolkit knows up to {len(MIGRATIONS)}"
    )
    assert caught.value.hint == "upgrade the toolkit on this ops machine"


def test_opening_it_again_migrates_nothing(path: Path, history: History) -> None:
    history.add_release(release(1))
    again = History(path, Clock())
    assert again._db.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS)
    assert again.release("tiny", 1) == release(1)
    again.close()


def test_a_history_from_before_there_were_fleets_is_read_on(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    former = sqlite3.connect(path, isolation_level=None)
    for statement in MIGRATIONS[0]:
        former.execute(statement)
    former.execute("PRAGMA user_version = 1")
    former.execute(
        "INSERT INTO deployments VALUES (5, 'tiny', 'deploy', 1, NULL, 'blue', 'ann@ops', 'running', '', 1.0, NULL)"
    )
    former.close()
    history = History(path, Clock())
    (found,) = history.unfinished()
    assert (found.id, found.actor, found.host, found.rollout) == (5, "ann@ops", "", "")
    assert begin(history, 2, host="gpu-1") == 6
    history.close()


def test_a_migration_cut_short_leaves_nothing_half_made(tmp_path: Path) -> None:
    """Its transaction was never committed, so the next process does all of it."""
    path = tmp_path / "history.db"
    cut = sqlite3.connect(path, isolation_level=None)
    cut.execute("PRAGMA journal_mode=WAL")
    cut.execute("BEGIN IMMEDIATE")
    cut.execute(MIGRATIONS[0][0])
    cut.close()
    history = History(path, Clock())
    history.add_release(release(1))
    history.close()


OPEN_AT_ONCE = """
import sys, time
from pathlib import Path
from toolkit.adapters.history import History
print("ready", flush=True)
sys.stdin.readline()
history = History(Path(sys.argv[1]), time.time)
history.open_deployment(model="tiny", action="deploy", release=1, previous=None, slot="blue", actor="x")
"""


def test_processes_that_open_a_new_history_at_once_all_find_it_made(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    children = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN_AT_ONCE, str(path)],
            cwd=ROOT,
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
    history = History(path, Clock())
    assert len(history.deployments("tiny")) == 6
    history.close()


def test_a_file_that_is_no_history_is_named(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    path.write_bytes(b"not a database at all" * 200)
    with pytest.raises(ToolkitError) as caught:
        History(path, Clock())
    assert caught.value.message == f"the history {path} cannot be opened: file is not a database"
    assert path.read_bytes()[:5] == b"not a"


def test_a_home_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(ToolkitError, match=r"home/history.db cannot be opened: "):
        History(tmp_path / "home" / "history.db", Clock())
