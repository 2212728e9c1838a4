"""The router's log under supervisord is read once, whatever becomes of its files."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.hostside.router_lab import REPO

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import log_places


class Log:
    """The log of a host, and one who reads it on and keeps the place as JSON."""

    def __init__(self, root: Path) -> None:
        self.root, self.file = root, root / "supervisor" / "router.log"
        self.file.parent.mkdir()
        self.number = 0
        self.gap = False
        self.place: Any = None

    def former(self, number: int) -> Path:
        return self.file.with_name(f"router.log.{number}")

    def write(self, count: int = 1) -> list[int]:
        """Add lines; return their numbers."""
        first, self.number = self.number, self.number + count
        numbers = list(range(first, self.number))
        with self.file.open("a") as file:
            file.writelines(json.dumps({"at": "now", "n": each}) + "\n" for each in numbers)
        return numbers

    def rotate(self) -> None:
        for number in (3, 2, 1):
            former = self.former(number - 1) if number > 1 else self.file
            if former.exists():
                former.rename(self.former(number))

    def begin(self) -> None:
        self.place = log_places.Files(str(self.root)).end()

    def read(self) -> list[int]:
        """Return the numbers of the lines that are new."""
        files = log_places.Files(str(self.root))
        lines = files.after(json.loads(json.dumps(self.place)))
        self.place, self.gap = files.place, files.gap
        return [json.loads(each)["n"] for each in lines]


@pytest.fixture
def log(tmp_path: Path) -> Log:
    """A log with former files, all of it read."""
    found = Log(tmp_path)
    for _ in range(2):
        found.write(3)
        found.rotate()
    found.write(3)
    found.begin()
    new = found.write()
    assert (found.read(), found.gap) == (new, False)
    return found


def test_a_log_that_is_emptied_is_read_from_its_new_beginning_alone(log: Log) -> None:
    os.truncate(log.file, 0)
    assert (log.read(), log.gap) == ([], True)
    assert log.read() == []
    new = log.write(2)
    assert log.read() == new
    os.truncate(log.file, 0)
    new = log.write(9)
    assert (log.read(), log.gap) == (new, True)
    assert (log.read(), log.gap) == ([], False)


def test_a_log_that_is_cut_short_is_read_on_from_the_cut(log: Log) -> None:
    os.truncate(log.file, log.file.read_text().index("\n") + 1)
    assert (log.read(), log.gap) == ([], True)
    new = log.write()
    assert (log.read(), log.gap) == (new, False)


@pytest.mark.parametrize("lost", ["router.log", "router.log.1", "router.log.2"])
def test_a_lost_file_makes_nobody_read_the_others_again(log: Log, lost: str) -> None:
    log.file.with_name(lost).unlink()
    assert (log.read(), log.gap) == ([], lost == "router.log")
    new = log.write(2)
    assert log.read() == new


def test_a_lost_file_after_a_rotation_loses_its_unread_lines_alone(log: Log) -> None:
    log.write(2)
    log.rotate()
    new = log.write(2)
    log.former(1).unlink()
    assert (log.read(), log.gap) == (new, True)
    assert (log.read(), log.gap) == ([], False)


def test_a_copy_of_the_log_is_read_on_where_the_log_was_left(log: Log) -> None:
    """Programs that rotate logs for others copy the file and empty it."""
    new = log.write(2)
    shutil.copy(log.former(1), log.former(2))
    shutil.copy(log.file, log.former(1))
    os.truncate(log.file, 0)
    new += log.write(2)
    assert (log.read(), log.gap) == (new, False)
    assert (log.read(), log.gap) == ([], False)


@pytest.mark.parametrize("opened", range(4))
def test_a_rotation_amid_a_look_counts_no_line_twice_and_loses_none(
    log: Log, monkeypatch: pytest.MonkeyPatch, opened: int
) -> None:
    plain: Callable[[str], int] = log_places.open_plain
    left = [opened]
    new = log.write(2)

    def slowly(path: str) -> int:
        if left[0] == 0:
            log.rotate()
            new.extend(log.write(2))
        left[0] -= 1
        return plain(path)

    monkeypatch.setattr(log_places, "open_plain", slowly)
    found = log.read()
    assert not log.gap
    assert found + log.read() == new
    assert (log.read(), log.gap) == ([], False)


def test_reading_that_began_amid_a_line_goes_on_there(log: Log) -> None:
    log.file.write_text('{"at": "no')
    log.begin()
    with log.file.open("a") as file:
        file.write('w", "n": -1}\n')
    files = log_places.Files(str(log.root))
    assert (files.after(log.place), files.gap) == (['w", "n": -1}'], False)
    log.place = files.place
    new = log.write()
    assert (log.read(), log.gap) == (new, False)


def test_a_place_of_an_older_toolkit_holds(log: Log) -> None:
    del log.place["files"]
    new = log.write()
    log.rotate()
    new += log.write()
    assert (log.read(), log.gap) == (new, False)
    os.truncate(log.file, 0)
    assert (log.read(), log.gap) == ([], True)


def test_a_look_that_ends_early_keeps_what_was_read_of_later_files(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An old file that nobody read comes back, and the file that was read last is lost.
    old = [json.dumps({"n": each}) + "\n" for each in range(100, 120)]
    log.former(3).write_text("".join(old))
    log.file.unlink()
    monkeypatch.setattr(log_places, "LOOK_BYTES", 100)
    found: list[int] = []
    for _ in range(9):
        found += log.read()
    assert found == list(range(100, 120))
