"""Kills, full disks and broken files neither lose a record of use nor count one twice."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.hostside.router_lab import REPO
from tests.hostside.use_lab import START, Replica, handed_out, ledger, numbers

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import use_carry
import use_hand_out
import use_ledger

HOSTSIDE = REPO / "toolkit/hostside"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        pytest.param("nonsense\n", "no JSON", id="nonsense"),
        pytest.param("[1]\n", "a list", id="list"),
        pytest.param("[" * 3000 + "\n", "too deep", id="deep"),
        pytest.param("x" * 200_000 + "\n", "too long", id="long"),
        pytest.param("\0" * 500 + "\n", "zeros", id="zeros"),
        pytest.param({"n": -1}, "a negative number", id="number"),
        pytest.param({"n": True}, "no number", id="bool"),
        pytest.param({"n": 10**30}, "a huge number", id="huge"),
        pytest.param({"out": 10**12}, "more tokens than there can be", id="tokens"),
        pytest.param({"in": -1}, "fewer than none", id="negative"),
        pytest.param({"in": 1.5}, "half a token", id="half"),
        pytest.param({"key": "ann|0|0"}, "no key", id="key"),
        pytest.param({"key": ""}, "an empty key", id="empty"),
        pytest.param({"key": ["ann"]}, "a list", id="key-list"),
        pytest.param({"model": "a\nb"}, "a line break", id="model"),
        pytest.param({"model": "m" * 201}, "a long name", id="long-name"),
        pytest.param({"end": "paid"}, "no end", id="end"),
        pytest.param({"at": float("nan")}, "no time", id="nan"),
        pytest.param({"seconds": float("inf")}, "endless", id="inf"),
        pytest.param({"id": 5}, "no text", id="id"),
    ],
)
def test_a_line_that_is_no_record_is_refused_and_counted(
    tmp_path: Path, carrier: use_carry.Carrier, line: Any, why: str
) -> None:
    replica = Replica(tmp_path)
    if isinstance(line, str):
        replica.write(line)
    else:
        number = replica.number
        replica.record(**line)
        replica.number = number
    replica.record()
    for _ in range(3):
        carrier.look()
    assert numbers(tmp_path) == [1], why
    assert sum(each.get("refused", 0) for each in ledger(tmp_path)) == 1


def test_a_file_that_shrank_or_came_back_counts_nothing_twice(
    tmp_path: Path, carrier: use_carry.Carrier
) -> None:
    replica = Replica(tmp_path)
    for _ in range(3):
        replica.record()
    carrier.look()
    text = replica.path.read_text()
    replica.path.write_text(text[:300])
    carrier.look()
    replica.path.unlink()
    carrier.look()
    replica.path.write_text(text)
    replica.record()
    carrier.look()
    assert numbers(tmp_path) == [1, 2, 3, 4]


def test_without_its_notes_the_ledger_itself_tells_what_was_carried(
    tmp_path: Path, carrier: use_carry.Carrier
) -> None:
    replica = Replica(tmp_path)
    for _ in range(5):
        replica.record()
    carrier.all("tiny-blue")
    (tmp_path / "use/carried.json").write_text("{")
    replica.record()
    use_carry.Carrier(str(tmp_path)).look()
    assert numbers(tmp_path) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("name", ["size", "records", "last", "spent", "sources", "log"])
@pytest.mark.parametrize("value", [None, "x", [1], {"tiny-blue/" + "a" * 16: "x"}])
def test_notes_of_a_wrong_kind_stop_no_records(
    tmp_path: Path, carrier: use_carry.Carrier, name: str, value: Any
) -> None:
    replica = Replica(tmp_path)
    for _ in range(5):
        replica.record()
    carrier.all("tiny-blue")
    notes = tmp_path / "use/carried.json"
    notes.write_text(json.dumps({**json.loads(notes.read_text()), name: value}))
    replica.record()
    use_carry.Carrier(str(tmp_path)).look()
    assert numbers(tmp_path) == [1, 2, 3, 4, 5, 6]


def test_half_a_line_of_a_writer_that_was_killed_is_cut_off(
    tmp_path: Path, carrier: use_carry.Carrier
) -> None:
    replica = Replica(tmp_path)
    replica.record()
    carrier.look()
    with (tmp_path / "use/000001.jsonl").open("a") as file:
        file.write('{"n":2,"at"')
    replica.record()
    use_carry.Carrier(str(tmp_path)).look()
    assert numbers(tmp_path) == [1, 2]


def test_a_full_disk_delays_and_loses_nothing(
    tmp_path: Path, carrier: use_carry.Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = Replica(tmp_path)
    replica.record()
    carrier.look()
    write = os.write

    def full(handle: int, data: bytes) -> int:
        if len(data) < 100:
            raise OSError(28, "No space left on device")
        return write(handle, bytes(data)[: len(data) // 2])

    replica.record()
    with monkeypatch.context() as patched:
        patched.setattr(use_ledger.os, "write", full)
        for _ in range(3):
            with pytest.raises(OSError, match="No space"):
                carrier.look()
    replica.record()
    carrier.look()
    assert numbers(tmp_path) == [1, 2, 3]


@pytest.mark.parametrize("left", ["nothing", "an empty file", "half of its first line"])
def test_a_disk_that_was_full_at_the_first_look_leaves_a_ledger_with_its_name(
    tmp_path: Path, carrier: use_carry.Carrier, monkeypatch: pytest.MonkeyPatch, left: str
) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    replica = Replica(tmp_path)
    replica.record()
    first = tmp_path / "use/000001.jsonl"
    with monkeypatch.context() as patched:
        patched.setattr(use_ledger.os, "write", full)
        patched.setattr(use_ledger.Directory, "write", full)
        for _ in range(2):
            with pytest.raises(OSError, match="No space"):
                carrier.look()
    assert not first.exists()
    if left != "nothing":
        first.write_text("" if left == "an empty file" else '{"ledger": "0123')
    carrier.look()
    replica.record()
    carrier.look()
    assert numbers(tmp_path) == [1, 2]
    name = json.loads(first.read_text().splitlines()[0])["ledger"]
    assert use_ledger.identity(str(tmp_path / "use")) == name == carrier.ledger.id != ""


@pytest.mark.parametrize("noted", [False, True])
def test_a_ledger_whose_first_line_is_gone_gets_a_name_that_stays(
    tmp_path: Path, carrier: use_carry.Carrier, noted: bool
) -> None:
    """Otherwise each restart of the watch would give it another one, and its use would count again for quotas."""
    replica = Replica(tmp_path)
    replica.record()
    carrier.look()
    if noted:
        carrier._save()
    first = tmp_path / "use/000001.jsonl"
    first.write_text("".join(first.read_text().splitlines(keepends=True)[1:]))
    with pytest.raises(ValueError, match="lost its first line"):
        use_hand_out.hand_out(str(tmp_path), START)
    names = set()
    for _ in range(3):
        replica.record()
        watch = use_carry.Carrier(str(tmp_path))
        watch.look()
        names.add(watch.ledger.id)
    assert names == {use_ledger.identity(str(tmp_path / "use"))}
    assert (carrier.ledger.id in names) is noted
    assert numbers(tmp_path) == [1, 2, 3, 4]
    (part,) = handed_out(tmp_path)
    assert sum(each["records"] for each in part["runs"]) == 4


CARRY_FOR_EVER = """
import sys; sys.path.insert(0, sys.argv[1])
import use_carry, use_ledger
use_carry.LOOK_BYTES, use_carry.SAVE_SECONDS = 3000, 0.01
use_ledger.FILE_BYTES, use_ledger.MOST_FILES = 20000, 10**6
carrier = use_carry.Carrier(sys.argv[2])
print("looks", flush=True)
while True:
    carrier.look()
"""


def test_a_watch_that_is_killed_at_any_point_carries_each_record_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(use_ledger, "MOST_FILES", 10**6)
    monkeypatch.setattr(use_ledger, "FILE_BYTES", 20_000)
    replicas = [Replica(tmp_path), Replica(tmp_path, "wide-green", "b" * 16)]
    draw = random.Random(12)
    for _ in range(25):
        carrying = subprocess.Popen(
            [sys.executable, "-c", CARRY_FOR_EVER, str(HOSTSIDE), str(tmp_path)],
            stdout=subprocess.PIPE,
        )
        assert carrying.stdout is not None
        assert carrying.stdout.readline() == b"looks\n"
        until, enough = time.monotonic() + draw.random() * 0.1, replicas[0].number + 20
        # A busy machine writes few of them in a time.
        while time.monotonic() < until or replicas[0].number < enough:
            for each in replicas:
                each.record()
                if each.number % 50 == 0:
                    each.begin(each.number // 50)
                    each.count(10 * each.number, 3 * each.number)
        carrying.send_signal(signal.SIGKILL)
        carrying.wait()
        carrying.stdout.close()
    last = use_carry.Carrier(str(tmp_path))
    for each in replicas:
        last.all(each.head["program"])  # type: ignore[arg-type]
    for each in replicas:
        assert each.number > 200
        assert numbers(tmp_path, each.run) == list(range(1, each.number + 1))
    # Counters stand where they were written: after the record that they name.
    last_of: dict[str, int] = {}
    for line in ledger(tmp_path):
        if "counters" in line:
            assert line["n"] == last_of[line["run"]]
        elif "api" in line:
            last_of[line["run"]] = line["n"]
    assert len(list((tmp_path / "use").glob("*.jsonl"))) > 3
