"""What a log has said since a place, also where it was begun anew."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.hostside.router_lab import REPO

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import vitals


def said(file: Path, place: str) -> tuple[str, list[str]]:
    found = vitals._since(str(file), place)
    return found["log"], found["lines"]


def test_only_what_was_said_since_counts(tmp_path: Path) -> None:
    log = tmp_path / "tiny-blue.log"
    assert said(log, "0:0") == ("", [])
    log.write_text("one\n")
    place, lines = said(log, "")
    assert lines == []
    with log.open("a") as file:
        file.write("two\n" + "x" * 1000 + "\n")
    after, lines = said(log, place)
    assert lines == ["two", "x" * 400]
    assert said(log, after) == (after, [])


def test_all_of_a_new_log_counts(tmp_path: Path) -> None:
    log = tmp_path / "tiny-blue.log"
    log.write_text("former, and longer\n")
    place, _ = said(log, "")
    log.rename(tmp_path / "tiny-blue.log.1")
    log.write_text("new\n")
    assert said(log, place)[1] == ["new"]


def test_all_of_a_log_that_was_emptied_counts(tmp_path: Path) -> None:
    log = tmp_path / "tiny-blue.log"
    log.write_text("former, and longer\n")
    place, _ = said(log, "")
    log.write_text("new\n")
    assert said(log, place)[1] == ["new"]


def test_a_long_log_is_read_at_its_end(tmp_path: Path) -> None:
    log = tmp_path / "tiny-blue.log"
    log.write_text("".join(f"line {number}\n" for number in range(100_000)))
    _, lines = said(log, "0:0")
    assert (len(lines), lines[-1]) == (500, "line 99999")


def test_no_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret\n")
    (tmp_path / "tiny-blue.log").symlink_to(tmp_path / "secret")
    assert said(tmp_path / "tiny-blue.log", "0:0") == ("", [])
