"""What the recorder writes is what the host's ledger takes: nothing is refused, and the engine's counters are met."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from toolkit_recorder.book import Book
from toolkit_recorder.counting import Count
from toolkit_recorder.lines import fields

from tests.hostside.router_lab import REPO
from tests.hostside.use_lab import handed_out, ledger
from tests.recorder.recorder_lab import TOLD, Lab, ask, run

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import use_carry


def test_requests_of_all_kinds_are_handed_out_without_a_difference(
    engine_lab: Lab, tmp_path: Path
) -> None:
    body = {"model": "tiny", "messages": [], "stream": True}
    run(ask(engine_lab.recorder, body))
    run(ask(engine_lab.recorder, {"model": "tiny", "messages": [], "n": 3}))
    run(ask(engine_lab.recorder, body, leave=2))
    run(ask(engine_lab.recorder, body, headers=()))
    home = tmp_path / "host/caches/tiny-blue"
    home.mkdir(parents=True)
    shutil.move(engine_lab.directory, home / "use")
    use_carry.Carrier(str(tmp_path / "host")).all("tiny-blue")
    (part,) = handed_out(tmp_path / "host")
    written = [
        json.loads(line)
        for each in (home / "use").iterdir()
        for line in each.read_text().splitlines()
    ]
    records = [each for each in written if "key" in each]
    (seen,) = part["runs"]
    assert (part["refused"], seen["records"], seen["missing"]) == (0, 4, 0)
    assert (seen["asked"], seen["tokens_out"]) == tuple(engine_lab.processor.counters.values())
    assert sorted(each["key"] for each in records) == ["ann", "ann", "ann", "probe"]
    assert seen["version"] == TOLD["version"]


def test_the_parts_of_a_book_are_one_run(tmp_path: Path) -> None:
    head = {**TOLD, "started": 1_795_000_000.0}
    book = Book(str(tmp_path / "caches/tiny-blue/use"), head, part=2000)
    for number in range(200):
        times = (1_795_000_000.0 + number, 0.1, None)
        who = ("-", "tiny", "/v1/embeddings", "")
        book.record(fields(who, Count(3, None, 0, 3), "whole", times))
    use_carry.Carrier(str(tmp_path)).all("tiny-blue")
    assert len(list((tmp_path / "caches/tiny-blue/use").iterdir())) > 5
    assert [each["n"] for each in ledger(tmp_path) if "api" in each] == list(range(1, 201))
    assert handed_out(tmp_path)[0]["refused"] == 0
