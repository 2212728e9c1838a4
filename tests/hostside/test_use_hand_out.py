"""A host hands out what is new in its ledger: sums, in parts, from the place where the last part ended."""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.hostside.router_lab import REPO
from tests.hostside.use_lab import START, Replica, handed_out

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import use_carry
import use_hand_out
import use_ledger
from use_row import ROW


def carried(root: Path) -> use_carry.Carrier:
    carrier = use_carry.Carrier(str(root))
    for program in (root / "caches").iterdir():
        carrier.all(program.name)
    return carrier


def rows(part: dict[str, Any]) -> list[dict[str, Any]]:
    return [dict(zip(ROW, each, strict=True)) for each in part["rows"]]


def total(parts: list[dict[str, Any]], name: str) -> Any:
    return sum(each[name] for part in parts for each in rows(part))


def test_a_host_without_a_ledger_has_nothing(tmp_path: Path) -> None:
    (part,) = handed_out(tmp_path)
    assert part == {
        "ledger": "", "start": {"file": 0, "offset": 0}, "end": {"file": 0, "offset": 0},
        "rows": [], "runs": [], "refused": 0, "before": None, "more": False, "tallies": [], "watched": [],
    }  # fmt: skip


def test_records_of_a_kind_are_one_row(tmp_path: Path) -> None:
    replica = Replica(tmp_path)
    replica.record(audio=1.5)
    replica.record()
    replica.record(key="bob")
    replica.record(model="poet")
    replica.record(end="left", **{"in": None, "cached": None, "out": None, "asked": None})
    replica.record(at=1_795_000_000 + 86_400)
    replica.record(key="probe")
    carried(tmp_path)
    (part,) = handed_out(tmp_path)
    found = {(each["day"], each["key"], each["model"], each["ended"]): each for each in rows(part)}
    assert found.pop(("2026-11-18", "ann", "tiny", "whole")) == {
        "day": "2026-11-18", "key": "ann", "model": "tiny", "base": "tiny", "version": "1.0",
        "release": 3, "ended": "whole", "requests": 2, "tokens_in": 20, "cached": 8,
        "tokens_out": 6, "reasoning": 2, "unknown": 0, "audio_seconds": 1.5,
    }  # fmt: skip
    assert found[("2026-11-18", "ann", "poet", "whole")]["base"] == "tiny"
    left = found[("2026-11-18", "ann", "tiny", "left")]
    assert (left["requests"], left["tokens_out"], left["unknown"]) == (1, 0, 1)
    assert {key[:2] for key in found} == {
        ("2026-11-18", "bob"), ("2026-11-18", "ann"), ("2026-11-19", "ann"), ("2026-11-18", "probe"),
    }  # fmt: skip


def test_a_run_is_told_with_its_counters_and_its_sums_until_then(tmp_path: Path) -> None:
    replica = Replica(tmp_path)
    replica.record()
    replica.record(asked=30)
    replica.count(47, 8, open=1, running=(7, 2))
    replica.record()
    carried(tmp_path)
    (run,) = handed_out(tmp_path)[0]["runs"]
    assert run == {
        "program": "tiny-blue", "run": "a" * 16, "model": "tiny", "version": "1.0", "release": 3,
        "engine": "vllm 0.32.0", "started": 1_794_999_940.0, "first": 1, "last": 3, "records": 3,
        "missing": 0, "asked": 50, "tokens_out": 9, "unknown": 0,
        "counted": {"asked": 47, "tokens_out": 8, "records_asked": 47, "records_out": 8, "open": 1,
                    "at": 1_795_000_002.0},
    }  # fmt: skip


def test_a_record_that_never_came_is_missing(tmp_path: Path) -> None:
    replica = Replica(tmp_path)
    for _ in range(3):
        replica.record()
        replica.number += 2
    carried(tmp_path)
    (run,) = handed_out(tmp_path)[0]["runs"]
    assert (run["first"], run["last"], run["records"], run["missing"]) == (1, 7, 3, 4)


@pytest.mark.parametrize("most", [1, 500, 2000, 10**9])
def test_parts_follow_each_other_and_each_record_is_in_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(use_ledger, "FILE_BYTES", 3000)
    replica = Replica(tmp_path)
    carrier = use_carry.Carrier(str(tmp_path))
    for _ in range(40):
        replica.record()
        carrier.look()
    parts = handed_out(tmp_path, START, most)
    assert total(parts, "requests") == 40
    assert [each["more"] for each in parts] == [True] * (len(parts) - 1) + [False]
    for one, next_one in itertools.pairwise(parts):
        assert next_one["start"] == one["end"]
    assert [each["before"] for each in parts] == [0, *[None] * (len(parts) - 1)]
    last = parts[-1]
    (again,) = handed_out(tmp_path, {"ledger": last["ledger"], **last["end"]}, most)
    assert (again["rows"], again["end"]) == ([], last["end"])
    replica.record()
    carrier.look()
    (new,) = handed_out(tmp_path, {"ledger": last["ledger"], **last["end"]})
    assert total([new], "requests") == 1


def test_a_place_of_another_ledger_is_none(tmp_path: Path) -> None:
    Replica(tmp_path).record()
    carried(tmp_path)
    (part,) = handed_out(tmp_path, {"ledger": "ff" * 8, "file": 7, "offset": 99})
    assert part["start"] == {"file": 0, "offset": 0}
    assert total([part], "requests") == 1


def test_who_comes_after_files_were_dropped_is_told_how_many_there_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(use_ledger, "FILE_BYTES", 3000)
    monkeypatch.setattr(use_ledger, "MOST_FILES", 2)
    replica = Replica(tmp_path)
    carrier = use_carry.Carrier(str(tmp_path))
    replica.record()
    carrier.look()
    (first,) = handed_out(tmp_path)
    for _ in range(60):
        replica.record()
        carrier.look()
    (rest,) = handed_out(tmp_path, {"ledger": first["ledger"], **first["end"]})
    assert rest["start"] == first["end"]
    assert rest["before"] > 1
    assert total([rest], "requests") + rest["before"] == 61


def test_a_line_that_the_disk_has_spoiled_is_refused(tmp_path: Path) -> None:
    replica = Replica(tmp_path)
    replica.record()
    carried(tmp_path)
    for line in ("\0\0\0\n", '{"program":"tiny-blue"}\n', "[]\n", '{"n":1}\n'):
        with (tmp_path / "use/000001.jsonl").open("a") as file:
            file.write(line)
    (part,) = handed_out(tmp_path)
    assert total([part], "requests") == 1
    assert part["refused"] == 2


@pytest.mark.parametrize("grown", [False, True])
@pytest.mark.parametrize("case", ["shorter", "fewer files", "in the midst of a line"])
def test_a_ledger_that_was_set_back_goes_on_at_its_end_and_says_so(
    tmp_path: Path, case: str, grown: bool
) -> None:
    """Nobody knows which of its lines were handed out before, and none may count twice."""
    replica = Replica(tmp_path)
    for _ in range(5):
        replica.record()
    carrier = carried(tmp_path)
    (part,) = handed_out(tmp_path)
    at = {"file": 1, "offset": part["end"]["offset"] + 10}
    if case == "fewer files":
        at = {"file": 5, "offset": 100}
    elif case == "in the midst of a line":
        at = {"file": 1, "offset": part["end"]["offset"] - 10}
    if grown:
        replica.record()
        carrier.look()
    found = use_hand_out.hand_out(str(tmp_path), {"ledger": part["ledger"], **at})
    size = (tmp_path / "use/000001.jsonl").stat().st_size
    assert (found["start"], found["end"]) == (at, {"file": 1, "offset": size})
    assert (found["set_back"], found["rows"], found["runs"], found["more"]) == (True, [], [], False)
    replica.record()
    carrier.look()
    (new,) = handed_out(tmp_path, {"ledger": part["ledger"], **found["end"]})
    assert "set_back" not in new
    assert total([new], "requests") == 1


def test_records_that_were_collected_are_left_out_by_their_numbers(tmp_path: Path) -> None:
    first, second = Replica(tmp_path), Replica(tmp_path, run="b" * 16)
    for replica in (first, second):
        for _ in range(5):
            replica.record()
            replica.count(10 * replica.number, 3 * replica.number)
    first.write("nonsense\n")
    carried(tmp_path)
    last = {f"tiny-blue/{first.run}": 3}
    (part,) = handed_out(tmp_path, {**START, "last": last})
    assert part["after_last"] is True
    assert total([part], "requests") == 7
    runs = {each["run"]: each for each in part["runs"]}
    seen = [
        (each["first"], each["last"], each["records"], each["missing"])
        for each in (runs[first.run], runs[second.run])
    ]
    assert seen == [(4, 5, 2, 0), (1, 5, 5, 0)]
    counted = runs[first.run]["counted"]
    assert (counted["asked"], counted["records_asked"]) == (50, 20)
    assert part["refused"] == 0
    assert "after_last" not in handed_out(tmp_path)[0]


def test_nothing_is_told_of_a_run_that_was_collected(tmp_path: Path) -> None:
    replica = Replica(tmp_path)
    replica.record()
    carried(tmp_path)
    (part,) = handed_out(tmp_path, {**START, "last": {f"tiny-blue/{replica.run}": 9}})
    assert (part["rows"], part["runs"], part["tallies"]) == ([], [], [])


def test_refused_lines_are_counted(tmp_path: Path) -> None:
    replica = Replica(tmp_path)
    replica.write("nonsense\n" * 5)
    carried(tmp_path)
    assert handed_out(tmp_path)[0]["refused"] == 5


def test_a_hand_out_is_json(tmp_path: Path) -> None:
    Replica(tmp_path).record()
    carried(tmp_path)
    assert json.loads(json.dumps(handed_out(tmp_path)[0]))["ledger"]
