"""A replica's log is told from its last lines on, each line once and whole."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.hostside.router_lab import REPO

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import logs
import replica


class HungUpError(Exception):
    """The ops machine listens no more."""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    file = tmp_path / "logs" / "tiny-blue.log"
    file.parent.mkdir()
    return file


def request(log: Path, lines: int, *, follow: bool) -> dict[str, Any]:
    root = str(log.parent.parent)
    return {"root": root, "program": "tiny-blue", "lines": lines, "follow": follow}


@pytest.mark.parametrize(
    ("lines", "told"), [(0, []), (1, ["c"]), (2, ["b", "c"]), (9, list("abc"))]
)
def test_as_many_lines_are_told_as_were_asked_for(log: Path, lines: int, told: list[str]) -> None:
    log.write_text("a\nb\nc\n")
    found: list[str] = []
    answer = logs.follow(
        request(log, lines, follow=False), lambda event: found.append(event["line"])
    )
    assert (answer, found) == ({"found": True}, told)


def meanwhile(monkeypatch: pytest.MonkeyPatch, *acts: Callable[[], None]) -> None:
    """Let one of the acts take place, in their order, each time that a log has nothing more to tell."""
    left = list(acts)
    # A clock could let the first one take place before the log is read, and the next one before the first.
    monkeypatch.setattr(logs, "time", SimpleNamespace(sleep=lambda _: left.pop(0)()))


@pytest.mark.parametrize("lines", [0, 1, 50])
def test_what_is_written_as_the_last_lines_are_told_is_told_too(
    log: Path, lines: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.write_text("first\nsec")
    found: list[str] = []

    def write(text: str) -> None:
        with log.open("a") as file:
            file.write(text)

    def heard(event: dict[str, Any]) -> None:
        found.append(event["line"])
        if event["line"] == "first":
            write("ond\nthi")
        if event["line"] == "last":
            raise HungUpError

    rest = "rd\n" if lines else "ond\nthird\n"
    meanwhile(monkeypatch, lambda: write(rest), lambda: write("last\n"))
    with pytest.raises(HungUpError):
        logs.follow(request(log, lines, follow=True), heard)
    assert found == [*(["first"] if lines else []), "second", "third", "last"]


def test_the_rest_of_a_line_of_a_log_that_began_anew_is_told(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.write_text("it cra")
    found: list[str] = []

    def begin_anew() -> None:
        log.rename(log.with_suffix(".log.1"))
        log.write_text("again\n")

    def heard(event: dict[str, Any]) -> None:
        found.append(event["line"])
        if event["line"] == "again":
            raise HungUpError

    meanwhile(monkeypatch, begin_anew)
    with pytest.raises(HungUpError):
        logs.follow(request(log, 5, follow=True), heard)
    assert found == ["it cra", "again"]


def test_a_log_that_its_rotation_emptied_is_told_on(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.write_text("first\nsecond\n")
    found: list[str] = []

    def heard(event: dict[str, Any]) -> None:
        found.append(event["line"])
        if event["line"] == "last":
            raise HungUpError

    meanwhile(monkeypatch, lambda: os.truncate(log, 0), lambda: _append(log, "last\n"))
    with pytest.raises(HungUpError):
        logs.follow(request(log, 5, follow=True), heard)
    assert found == ["first", "second", "last"]


def _append(log: Path, text: str) -> None:
    with log.open("a") as file:
        file.write(text)


def test_a_line_without_an_end_is_told_in_parts(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A replica writes what it likes, and root would keep all of it in memory until a line end comes."""
    monkeypatch.setattr(logs, "_TAIL_BYTES", 1000)
    log.write_text("a\n")
    found: list[str] = []

    def heard(event: dict[str, Any]) -> None:
        found.append(event["line"])
        if event["line"] == "last":
            raise HungUpError

    def write(text: str) -> None:
        with log.open("a") as file:
            file.write(text)

    def begin_anew() -> None:
        write("z" * 5000)
        log.rename(log.with_suffix(".log.1"))
        log.write_text("last\n")

    meanwhile(
        monkeypatch,
        *(lambda: write("x" * 700) for _ in range(9)),
        lambda: write("y\nb\n"),
        begin_anew,
    )
    with pytest.raises(HungUpError):
        logs.follow(request(log, 5, follow=True), heard)
    assert max(map(len, found)) < 2000
    assert (found[0], found[-1]) == ("a", "last")
    assert "".join(found[1:-1]) == "x" * 6300 + "yb" + "z" * 5000


@pytest.mark.parametrize(("ended", "told"), [(-5.0, ["starting"]), (5.0, ["ended", "starting"])])
def test_a_failure_is_told_by_the_log_of_its_own_release(
    log: Path, ended: float, told: list[str]
) -> None:
    """The former log is of the release before where it ended before this one came to its slot."""
    manifest = log.parent.parent / "slots/tiny-blue/manifest.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text("{}")
    former = log.with_suffix(".log.1")
    former.write_text("ended\n")
    log.write_text("starting\n")
    came = manifest.stat().st_mtime
    os.utime(former, (came + ended, came + ended))
    assert replica.tail(str(log.parent.parent), "tiny-blue") == told
