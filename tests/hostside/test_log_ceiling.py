"""The watch keeps the logs of replicas below a ceiling, and their writers go on behind what stays."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostside.router_lab import REPO

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import log_ceiling

MIB = 2**20
WORDS = "toolkit: this log had more than 1 MiB; all but its end is dropped"


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "logs").mkdir(0o750)
    yield tmp_path / "logs" / "tiny-blue.log"
    assert log_ceiling.LogCeiling(str(tmp_path), MIB).look() == []


def look(log: Path) -> None:
    assert log_ceiling.LogCeiling(str(log.parents[1]), MIB).look() == []


@pytest.mark.parametrize("name", ["tiny-blue.log", "tiny-blue.log.1"])
def test_of_a_log_that_is_too_long_the_end_stays(log: Path, name: str) -> None:
    path = log.with_name(name)
    with path.open("a") as writer:
        writer.writelines(f"line {each:06}\n" for each in range(100_000))
        writer.flush()
        look(log)
        writer.write("and on it goes\n")
    first, *lines = path.read_text().splitlines()
    assert first == WORDS
    assert lines[-2:] == ["line 099999", "and on it goes"]
    assert lines[0] == f"line {100_000 - len(lines) + 1:06}"
    assert path.stat().st_size < 2**18 + 200


def test_a_log_of_holes_is_cut_as_well(log: Path) -> None:
    log.write_text("begun\n")
    os.truncate(log, 2**40)
    look(log)
    assert log.stat().st_size < 2**18 + 200


def test_other_logs_are_as_they_were(log: Path) -> None:
    kept = {"tiny-green.log": b"a" * MIB, "tiny-blue.log-20261130-1.gz": b"b" * (MIB + 1)}
    for name, text in kept.items():
        log.with_name(name).write_bytes(text)
    look(log)
    assert {each.name: each.read_bytes() for each in log.parent.iterdir()} == kept


def test_where_others_can_write_nothing_is_cut(log: Path) -> None:
    log.write_bytes(b"a" * 2 * MIB)
    log.parent.chmod(0o777)
    look(log)
    assert log.stat().st_size == 2 * MIB


def test_what_is_no_log_of_its_own_is_left(log: Path) -> None:
    victim = log.parents[1] / "victim"
    victim.write_bytes(b"a" * 2 * MIB)
    log.symlink_to(victim)
    log.with_name("tiny-green.log").hardlink_to(victim)
    os.mkfifo(log.with_name("pipe.log"))
    look(log)
    assert victim.stat().st_size == 2 * MIB


def test_a_host_without_logs_has_nothing_to_cut(tmp_path: Path) -> None:
    assert log_ceiling.LogCeiling(str(tmp_path)).look() == []
