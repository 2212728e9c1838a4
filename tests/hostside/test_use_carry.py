"""Records of use go from a replica's files into the ledger of its host, each once, whatever happens on the way."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.hostside.router_lab import REPO
from tests.hostside.use_lab import AT, Replica, ledger, numbers

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import use_carry
import use_ledger
import use_lines

HOSTSIDE = REPO / "toolkit/hostside"


def test_a_record_gets_into_the_ledger_with_its_run_and_release(
    tmp_path: Path, carrier: use_carry.Carrier
) -> None:
    replica = Replica(tmp_path)
    replica.record(audio=2.5, prompt="a secret")
    replica.count(10, 3)
    assert carrier.look() == []
    of_run = {"run": "a" * 16, "program": "tiny-blue", "version": "1.0", "release": 3}
    begin, record, counters = ledger(tmp_path)
    assert begin == {**of_run, "begin": True, "engine": "vllm 0.32.0", "started": AT - 60}
    assert record == {
        **of_run, "n": 1, "at": AT + 1, "key": "ann", "model": "tiny", "api": "/v1/chat/completions",
        "id": "request-1", "in": 10, "cached": 4, "out": 3, "reasoning": 1, "asked": 10,
        "end": "whole", "seconds": 0.5, "first": 0.1, "audio": 2.5,
    }  # fmt: skip
    assert counters == {
        **of_run, "counters": {"in": 10, "out": 3}, "running": {"in": 0, "out": 0}, "n": 1,
        "open": 0, "at": AT + 1,
    }  # fmt: skip


def test_the_ledger_is_for_root_alone(tmp_path: Path, carrier: use_carry.Carrier) -> None:
    Replica(tmp_path).record()
    carrier.all("tiny-blue")
    assert stat.S_IMODE((tmp_path / "use").stat().st_mode) == 0o700
    modes = {stat.S_IMODE(each.stat().st_mode) for each in (tmp_path / "use").glob("*.json*")}
    assert modes == {0o600}


def test_nothing_is_made_where_no_replica_writes(
    tmp_path: Path, carrier: use_carry.Carrier
) -> None:
    (tmp_path / "caches/tiny-blue").mkdir(parents=True)
    carrier.look()
    assert not (tmp_path / "use").exists()


def test_what_comes_later_is_added_and_nothing_twice(
    tmp_path: Path, carrier: use_carry.Carrier
) -> None:
    replica = Replica(tmp_path)
    for _ in range(3):
        replica.record()
        carrier.look()
        carrier.look()
    assert numbers(tmp_path) == [1, 2, 3]


def test_half_a_line_waits_for_its_rest(tmp_path: Path, carrier: use_carry.Carrier) -> None:
    replica = Replica(tmp_path)
    text = json.dumps(replica.line()) + "\n"
    replica.write(text[:40])
    carrier.look()
    assert numbers(tmp_path) == []
    replica.write(text[40:])
    carrier.look()
    assert numbers(tmp_path) == [1]
    assert not [each for each in ledger(tmp_path) if "refused" in each]


def test_a_run_goes_on_in_its_next_file(
    tmp_path: Path, carrier: use_carry.Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next file waits for the end of the former one, also where a look ends in the middle."""
    monkeypatch.setattr(use_carry, "LOOK_BYTES", 1000)
    replica = Replica(tmp_path)
    for part in range(12):
        for _ in range(40):
            replica.record()
        replica.begin(part + 1)
    while carrier.look() or len(numbers(tmp_path)) < 480:
        pass
    assert numbers(tmp_path) == list(range(1, 481))


def test_each_replica_gets_its_part_of_a_look(
    tmp_path: Path, carrier: use_carry.Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(use_carry, "LOOK_BYTES", 2000)
    busy, other = Replica(tmp_path), Replica(tmp_path, "wide-green", "b" * 16)
    for _ in range(1000):
        busy.record()
    other.record()
    carrier.look()
    assert 0 < len(numbers(tmp_path)) < 40
    assert numbers(tmp_path, "b" * 16) == [1]


def test_a_slot_that_is_used_again_has_a_run_of_its_own(
    tmp_path: Path, carrier: use_carry.Carrier
) -> None:
    Replica(tmp_path).record()
    second = Replica(tmp_path, run="b" * 16)
    second.path.write_text("")
    second.head["release"] = 4
    second.begin(0)
    second.record()
    carrier.look()
    found = [
        (each["run"][0], each["release"], each["n"]) for each in ledger(tmp_path) if "n" in each
    ]
    assert found == [("a", 3, 1), ("b", 4, 1)]


def test_a_time_that_cannot_be_is_the_time_of_carrying(
    tmp_path: Path, carrier: use_carry.Carrier
) -> None:
    """The clock of the host was not set when it booted, or was a year ahead and has been put back."""
    replica = Replica(tmp_path)
    now = time.time()
    for at in (3.0, now + 31_536_000, now - 604_800):
        replica.record(at=at)
    carrier.look()
    times = [each["at"] for each in ledger(tmp_path) if "api" in each]
    assert times[2] == now - 604_800
    assert all(now - 1 < each < time.time() + 1 for each in times[:2])


def test_counters_of_an_earlier_time_do_not_follow_later_records(
    tmp_path: Path, carrier: use_carry.Carrier
) -> None:
    """After a crash the file is read again from an earlier place: only what the ledger lacks is added."""
    replica = Replica(tmp_path)
    replica.record()
    replica.count(10, 3)
    replica.record()
    carrier.look()
    again = use_carry.Carrier(str(tmp_path))
    replica.record()
    again.look()
    assert numbers(tmp_path) == [1, 2, 3]
    assert len([each for each in ledger(tmp_path) if "counters" in each]) == 1


def test_files_have_a_bound_and_the_oldest_goes(
    tmp_path: Path, carrier: use_carry.Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(use_ledger, "FILE_BYTES", 2000)
    monkeypatch.setattr(use_ledger, "MOST_FILES", 3)
    replica = Replica(tmp_path)
    for _ in range(60):
        replica.record()
        carrier.look()
    names = sorted(each.name for each in (tmp_path / "use").glob("*.jsonl"))
    assert len(names) == 3
    assert names[0] > "000001.jsonl"
    left = numbers(tmp_path)
    assert left == list(range(left[0], 61))
    first = json.loads((tmp_path / "use" / names[0]).read_text().splitlines()[0])
    assert first["before"] == left[0] - 1
    # and a process that starts anew goes on in the same ledger
    again = use_carry.Carrier(str(tmp_path))
    replica.record()
    again.look()
    assert numbers(tmp_path)[-1] == 61
    assert again.ledger.id == first["ledger"]
    assert again.ledger.records == 61


def test_before_a_home_is_removed_its_rest_is_carried(tmp_path: Path) -> None:
    replica = Replica(tmp_path)
    for _ in range(5000):
        replica.record()
    other = Replica(tmp_path, "wide-green", "b" * 16)
    other.record()
    command = [sys.executable, "-I", str(HOSTSIDE), "carry-use", str(tmp_path), "tiny-blue"]
    watching = use_carry.Carrier(str(tmp_path))
    watching.look()
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    for path in replica.folder.iterdir():
        path.unlink()
    replica.folder.rmdir()
    watching.look()
    assert numbers(tmp_path) == list(range(1, 5001))
    assert numbers(tmp_path, "b" * 16) == [1]
    assert set(watching.ledger.sources) == {f"wide-green/{other.path.name}"}


@pytest.mark.parametrize("value", [None, 0, 7])
def test_unknown_tokens_stay_unknown(value: int | None) -> None:
    line = {"n": 1, "at": AT, "key": "-", "model": "m", "api": "/v1/completions", "id": None,
            "in": value, "cached": value, "out": value, "reasoning": None, "asked": value,
            "end": "left", "seconds": 1, "first": None}  # fmt: skip
    assert use_lines.record(line) == line
