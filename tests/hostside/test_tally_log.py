"""A host counts how requests ended by its router's log, each line once, and how soon answers began by its records."""

from __future__ import annotations

import json
import stat
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.hostside.router_lab import REPO
from tests.hostside.use_lab import START, Replica, handed_out

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import log_places
import tally_log
import use_carry
import use_hand_out
from use_ledger import Ledger

NOW = time.time()
HOUR = int(NOW // 3600)
AT = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(NOW))


def line(status: int = 200, reason: str = "-", end: str = "--", **fields: Any) -> str:
    found = {
        "at": AT, "client": "10.0.0.9", "path": "/v1/chat/completions", "key": "ann", "model": "tiny",
        "version": "1.0", "release": 3, "slot": "blue", "status": status, "end": end, "reason": reason,
    }  # fmt: skip
    return json.dumps({**found, **fields}) + "\n"


class Log:
    """The router's log of a host under supervisord, and what counts it."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        self.root, self.file = root, root / "supervisor" / "router.log"
        self.file.parent.mkdir()
        patch.setattr(log_places.processes, "init_system", lambda: "supervisord")
        patch.setattr(tally_log, "SECONDS", 0.0)
        patch.setattr(tally_log, "SECONDS_OF_SILENCE", 0.0)
        self.restart()

    def restart(self) -> None:
        self.counting = tally_log.TallyLog(str(self.root), Ledger(str(self.root)))

    def write(self, *lines: str) -> None:
        with self.file.open("a") as file:
            file.writelines(lines)

    def rotate(self) -> None:
        for number in (3, 2, 1):
            former = self.file.with_name(f"router.log.{number - 1}") if number > 1 else self.file
            if former.exists():
                former.rename(self.file.with_name(f"router.log.{number}"))

    def counts(self) -> dict[tuple[str, int, str], int]:
        self.counting.look()
        sums: dict[tuple[str, int, str], int] = {}
        for part in handed_out(self.root):
            for _, model, _, release, counts in part["tallies"]:
                for how, requests in counts.items():
                    name = (model, release, how)
                    sums[name] = sums.get(name, 0) + requests
        return sums


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Log:
    found = Log(tmp_path, monkeypatch)
    found.counting.look()
    return found


def test_requests_are_counted_by_model_release_status_and_reason(log: Log) -> None:
    log.write(
        line(),
        line(),
        line(release=4, version="1.1"),
        line(503, "no_replica", release=None, version="-"),
        line(end="SD"),
        line(end="CD"),
        line(499, "client_left"),
        line(429, "too many; a reason that no router writes"),
    )
    assert log.counts() == {
        ("tiny", 3, "200"): 2,
        ("tiny", 4, "200"): 1,
        ("tiny", 0, "503:no_replica"): 1,
        ("tiny", 3, "200:replica_broke_off"): 1,
        ("tiny", 3, "499:client_left_answer"): 1,
        ("tiny", 3, "499:client_left"): 1,
        ("tiny", 3, "429"): 1,
    }


# A clock that was set back after the log was read writes what is counted, too.
@pytest.mark.parametrize("since_the_log_was_read", [100.0, -9000.0])
def test_seconds_in_which_a_model_sleeps_are_counted(
    log: Log, monkeypatch: pytest.MonkeyPatch, since_the_log_was_read: float
) -> None:
    asleep = log.root / "watch" / "asleep"
    asleep.mkdir(parents=True)
    at = [time.time() + since_the_log_was_read]
    monkeypatch.setattr(tally_log.time, "time", lambda: at[0])

    def looks(*seconds: float) -> dict[tuple[str, int, str], int]:
        for each in seconds:
            at[0] += each
            log.counting.look()
        return log.counts()

    (asleep / "tiny-blue").touch()
    # The first look only sees it; both slots of a model are one model, and halves of a second are no loss.
    (asleep / "tiny-green").touch()
    assert looks(15, 15.5, 15.5) == {("tiny", 0, "asleep"): 31}
    # A clock that jumps, and a watch that did not run, tell nothing.
    assert looks(-9000, 9100, 5000) == {("tiny", 0, "asleep"): 31}
    assert looks(20) == {("tiny", 0, "asleep"): 51}
    for each in asleep.iterdir():
        each.unlink()
    assert looks(15, 15) == {("tiny", 0, "asleep"): 51}


def test_lines_that_are_no_request_of_a_model_are_not_counted(log: Log) -> None:
    log.write(
        line(404, "model_not_found", model="-"),
        line(path="/v1/models/MODEL"),
        f"handed-on {line()}",
        "[NOTICE] haproxy starts\n",
        "{\n", "[]\n", "\n", '{"model": 3}\n', line(status="x"),  # type: ignore[arg-type]
        line(at="yesterday"),
    )  # fmt: skip
    assert log.counts() == {}


def test_each_line_counts_once_across_half_lines_rotations_and_restarts(log: Log) -> None:
    whole = line()
    log.write(line(), whole[:50])
    assert log.counts() == {("tiny", 3, "200"): 1}
    log.restart()
    log.write(whole[50:], line())
    log.rotate()
    log.write(line(500, "-"))
    log.rotate()
    log.write(line())
    assert log.counts() == {("tiny", 3, "200"): 4, ("tiny", 3, "500"): 1}
    log.restart()
    assert log.counts() == {("tiny", 3, "200"): 4, ("tiny", 3, "500"): 1}


def test_a_watch_that_is_killed_after_its_line_of_the_ledger_counts_nothing_twice(log: Log) -> None:
    log.write(line())
    log.counts()
    # What was carried is not yet written down: the ledger alone knows the place.
    assert not (log.root / "use" / "carried.json").exists()
    log.restart()
    log.write(line())
    assert log.counts() == {("tiny", 3, "200"): 2}


def test_a_log_that_was_rotated_away_unread_is_a_gap_and_no_time_that_was_watched(log: Log) -> None:
    log.write(line())
    log.counts()
    for _ in range(4):
        log.rotate()
        log.write(line(500))
    (log.root / "supervisor" / "router.log.3").unlink()
    log.restart()
    log.counts()
    lines = [
        json.loads(each) for each in (log.root / "use" / "000001.jsonl").read_text().splitlines()
    ]
    assert [each["gap"] for each in lines if "tally" in each][-1] is True
    (part,) = handed_out(log.root)
    assert part["watched"] == [] or sum(each[1] for each in part["watched"]) < 60


def test_a_look_reads_within_bounds_and_the_next_one_goes_on(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_places, "LOOK_BYTES", 1000)
    log.write(*[line()] * 20, "x" * 5000 + "\n", *[line(500)] * 5)
    log.rotate()
    log.write(line())
    for _ in range(30):
        log.counting.look()
    assert log.counts() == {("tiny", 3, "200"): 21, ("tiny", 3, "500"): 5}


def test_more_kinds_than_a_line_may_have_are_counted_without_release_and_reason(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tally_log, "MOST_ROWS", 2)
    log.write(line(), line(500), line(release=9), line(503, "no_replica"))
    assert log.counts() == {
        ("tiny", 3, "200"): 1, ("tiny", 3, "500"): 1, ("tiny", 0, "200"): 1, ("tiny", 0, "503"): 1,
    }  # fmt: skip


@pytest.mark.parametrize("at", ["01/Jan/1970:00:00:09 +0000", "01/Jan/2099:00:00:09 +0000"])
def test_a_time_that_cannot_be_counts_as_now(log: Log, at: str) -> None:
    before = int(time.time() // 3600)
    log.write(line(at=at))
    log.counting.look()
    (part,) = handed_out(log.root)
    assert before <= part["tallies"][0][0] <= before + 1


def test_the_time_watched_is_told_by_the_hour_and_a_clock_put_back_adds_none(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = (HOUR + 1) * 3600.0
    for seconds in (-600, -300, 300, 100):
        monkeypatch.setattr(tally_log.time, "time", lambda s=seconds: base + s)
        log.write(line())
        log.counting.look()
    (part,) = handed_out(log.root)
    watched = dict(map(tuple, part["watched"]))
    assert watched[HOUR + 1] == 300.0
    assert 600 <= watched[HOUR] <= 3600


def test_the_ledger_with_counts_is_roots_alone(log: Log) -> None:
    log.write(line())
    log.counts()
    for path in (log.root / "use").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
    assert (log.root / "use" / "000001.jsonl").exists()


def test_a_quiet_router_adds_a_line_every_few_minutes_alone(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tally_log, "SECONDS_OF_SILENCE", 300.0)
    ledger = log.root / "use" / "000001.jsonl"
    size = ledger.stat().st_size
    for _ in range(5):
        log.counting.look()
    assert ledger.stat().st_size == size


def test_times_of_streams_are_those_of_the_records(tmp_path: Path) -> None:
    replica = Replica(tmp_path)
    replica.record(first=0.1, seconds=1.1, out=11)
    replica.record(first=2.3, seconds=2.4, out=3)
    # Two answers of six tokens each were computed side by side.
    replica.record(first=0.1, seconds=0.6, out=12, asked=20)
    replica.record(first=None, out=9)
    replica.record(first=None, seconds=3.0, out=0, end="left")
    replica.record(first=0.2, out=1)
    replica.record(first=0.2, seconds=900.0, out=2, key="probe")
    replica.record(first=400.0, seconds=1000.0, out=2, model="poet")
    use_carry.Carrier(str(tmp_path)).all("tiny-blue")
    (part,) = handed_out(tmp_path)
    found = {each[1]: each[4] for each in part["tallies"]}
    assert found == {
        "tiny": {"first<=0.1": 2, "first<=2.5": 1, "first<=0.2": 1, "gap<=0.1": 2, "gap<=0.05": 1, "gone<=3": 1},
        "poet": {"first<=inf": 1, "gap<=inf": 1},
    }  # fmt: skip
    assert part["watched"] == []


def test_a_clock_that_was_set_back_hides_no_line_of_a_journal_without_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def entries(_: log_places.Journal, start: str) -> tuple[list[Any], bool]:
        asked.append(start)
        return [], False

    monkeypatch.setattr(log_places.Journal, "_entries", entries)
    journal = log_places.Journal(str(tmp_path))
    place = journal.end()
    journal.after({**place, "since": place["since"] + 3_600_000_000})
    journal.after(place)
    assert asked[1:] == ["--since=@0.000000", f"--since=@{place['since'] / 1e6:.6f}"]


def test_the_journal_is_read_from_the_entry_that_was_counted_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program stands in for journalctl, and answers from a list of entries as that does."""
    journal = tmp_path / "journal.json"
    stand_in = tmp_path / "journalctl"
    stand_in.write_text(
        f"""#!{sys.executable}
import json, sys
entries = json.load(open({str(journal)!r}))
start = next(each for each in sys.argv if each.startswith(("--cursor=", "--since=", "--lines=")))
assert sys.argv[sys.argv.index("--unit") + 1] == "toolkit-router.service"
name, _, value = start.partition("=")
cursors = [each["__CURSOR"] for each in entries]
if name == "--lines":
    entries = entries[-1:]
elif name == "--cursor" and value in cursors:
    entries = entries[cursors.index(value):]
print("".join(json.dumps(each) + "\\n" for each in entries), end="")
"""
    )
    stand_in.chmod(0o755)
    root = tmp_path / "toolkit"
    root.mkdir()
    monkeypatch.setattr(log_places, "_JOURNAL", (str(stand_in),))
    monkeypatch.setattr(log_places.processes, "init_system", lambda: "systemd")
    monkeypatch.setattr(tally_log, "SECONDS", 0.0)

    def look(*messages: Any) -> dict[str, int]:
        entries = [
            {"__CURSOR": f"s=1;i={number}", "MESSAGE": each} for number, each in enumerate(messages)
        ]
        journal.write_text(json.dumps([each for each in entries if each["MESSAGE"] != "gone"]))
        tally_log.TallyLog(str(root), Ledger(str(root))).look()
        return {
            how: n
            for part in handed_out(root)
            for each in part["tallies"]
            for how, n in each[4].items()
        }

    first = line()
    assert look(first) == {}
    assert look(first, line(500), [1, 2], line()) == {"500": 1, "200": 1}
    assert look(first, line(500), [1, 2], line()) == {"500": 1, "200": 1}
    # The journal has dropped the entry that was counted last: what follows counts, and the gap is noted.
    look("gone", "gone", "gone", "gone", "gone", line(502))
    (part,) = handed_out(root)
    assert part["tallies"][0][4] == {"500": 1, "200": 1, "502": 1}
    text = (root / "use" / "000001.jsonl").read_text().splitlines()
    assert [json.loads(each)["gap"] for each in text if "tally" in each] == [False, False, True]


def test_an_older_reader_of_the_ledger_takes_lines_of_the_log_for_none_of_its_own(log: Log) -> None:
    log.write(line())
    log.counting.look()
    part = use_hand_out.hand_out(str(log.root), START)
    assert (part["rows"], part["runs"], part["refused"]) == ([], [], 0)
