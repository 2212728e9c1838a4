"""What a replica may not write: lines that are no records, other runs' names, and files that lead elsewhere."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.hostside.router_lab import REPO
from tests.hostside.use_lab import Replica, ledger, numbers

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import use_carry


def test_a_line_without_end_is_read_in_bounds(
    tmp_path: Path, carrier: use_carry.Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(use_carry, "LOOK_BYTES", 5000)
    replica = Replica(tmp_path)
    for _ in range(20):
        replica.write("x" * 5000)
        carrier.look()
    replica.write("\n")
    replica.record()
    for _ in range(30):
        carrier.look()
    assert numbers(tmp_path) == [1]
    assert sum(each.get("refused", 0) for each in ledger(tmp_path)) == 1


@pytest.mark.parametrize(
    "lie",
    [
        pytest.param({"program": "wide-green"}, id="another program"),
        pytest.param({"run": "c" * 16}, id="another run"),
        pytest.param({"release": "3"}, id="no release"),
        pytest.param({"version": "1\n2"}, id="no version"),
        pytest.param({"started": None}, id="no start"),
    ],
)
def test_a_file_that_speaks_for_another_run_is_refused(
    tmp_path: Path, carrier: use_carry.Carrier, lie: dict[str, Any]
) -> None:
    replica = Replica(tmp_path)
    replica.path.write_text("")
    replica.head.update(lie)
    replica.begin(0)
    replica.record()
    replica.record()
    carrier.look()
    assert ledger(tmp_path) == [{"refused": 3, "run": "a" * 16, "program": "tiny-blue"}]


def test_what_a_replica_invents_beyond_a_bound_is_refused(
    tmp_path: Path, carrier: use_carry.Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(use_carry, "MOST_PAIRS", 3)
    replica = Replica(tmp_path)
    for key in ("a", "b", "c", "d", "a", "e"):
        replica.record(key=key)
    carrier.look()
    assert numbers(tmp_path) == [1, 2, 3, 5]
    assert ledger(tmp_path)[-1]["refused"] == 2


def _planted(folder: Path, outside: Path) -> list[Path]:
    names = [folder / f"{digit * 16}.jsonl" for digit in "bcdef"]
    names[0].symlink_to(outside)
    names[1].hardlink_to(outside)
    os.mkfifo(names[2])
    names[3].mkdir()
    names[4].symlink_to("/dev/zero")
    return names


def test_links_pipes_and_directories_are_not_read(
    tmp_path: Path, carrier: use_carry.Carrier
) -> None:
    replica = Replica(tmp_path / "host")
    carrier = use_carry.Carrier(str(tmp_path / "host"))
    outside = tmp_path / "secret"
    outside.write_text(replica.path.read_text() + json.dumps(replica.line(key="root")) + "\n")
    replica.number = 0
    _planted(replica.folder, outside)
    replica.record()
    carrier.look()
    assert numbers(tmp_path / "host") == [1]
    assert "root" not in json.dumps(ledger(tmp_path / "host"))


@pytest.mark.parametrize("depth", ["use", "home"])
def test_a_directory_that_is_a_link_is_not_followed(tmp_path: Path, depth: str) -> None:
    replica = Replica(tmp_path / "elsewhere")
    replica.record()
    root = tmp_path / "host"
    if depth == "use":
        (root / "caches/tiny-blue").mkdir(parents=True)
        (root / "caches/tiny-blue/use").symlink_to(replica.folder)
    else:
        (root / "caches").mkdir(parents=True)
        (root / "caches/tiny-blue").symlink_to(replica.folder.parent)
    use_carry.Carrier(str(root)).look()
    assert not (root / "use").exists()
