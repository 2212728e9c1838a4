"""What a host finds of a request in its router's access log."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.hostside.router_lab import until
from tests.hostside.router_site import PATH, Site
from tests.hostside.test_router_log import line, put_manifest
from toolkit.hostside import access_log

LINE = (
    '{"at":"27/Nov/2026:02:00:00 +0000","client":"10.0.0.9","key":"ann","model":"tiny","version":"v1","release":3,'
    '"slot":"blue","path":"/v1/chat/completions","status":200,"request_id":"%s"}'
)


@pytest.fixture(autouse=True)
def supervised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_log.processes, "init_system", lambda: "supervisord")


def write(root: Path, name: str, *lines: str) -> Path:
    """Append lines to a file of the log; return its path."""
    (root / "supervisor").mkdir(exist_ok=True)
    path = root / "supervisor" / name
    with path.open("a") as file:
        file.write("".join(f"{each}\n" for each in lines))
    return path


def ids(root: Path, id: str) -> list[str]:
    return [each["request_id"] for each in access_log.find(str(root), id)["lines"]]


def test_a_line_of_the_real_router_is_found_without_who_asked(site: Site) -> None:
    put_manifest(site, "blue", "v1", 3)
    site.shift(blue=99)
    said = line(site.lab, {"model": "tiny"}, **{"X-Request-Id": "one.two"})
    assert said["request_id"] == "one.two"
    text = until(lambda: site.lab.log.read_text())
    write(site.lab.root, "router.log", *text.splitlines())
    [found] = access_log.find(str(site.lab.root), "one.two")["lines"]
    assert (found["model"], found["version"], found["release"]) == ("tiny", "v1", 3)
    assert (found["slot"], found["path"], found["status"]) == ("blue", PATH, 200)
    assert set(found) == {*access_log._FIELDS}


def test_former_files_are_searched_too_and_the_newest_line_comes_first(tmp_path: Path) -> None:
    later = (LINE % "r1").replace('"release":3', '"release":4')
    write(tmp_path, "router.log", LINE % "r2", LINE % "r1", later)
    write(tmp_path, "router.log.2", LINE % "old")
    found = access_log.find(str(tmp_path), "r1")["lines"]
    assert [each["release"] for each in found] == [4, 3]
    assert ids(tmp_path, "old") == ["old"]


@pytest.mark.parametrize(
    "text",
    [
        "handed-on " + LINE % "r1",
        '{"request_id":"r1"}',
        'nonsense "request_id":"r1"',
        '["request_id":"r1"]',
        LINE % "r12",
        (LINE % "r9").replace("tiny", '\\"request_id\\":\\"r1\\"'),
        "",
    ],
)
def test_other_lines_are_none_of_the_request(tmp_path: Path, text: str) -> None:
    write(tmp_path, "router.log", text)
    assert ids(tmp_path, "r1") == []


def test_no_log_is_no_line_and_an_id_is_no_pattern(tmp_path: Path) -> None:
    assert ids(tmp_path, "r1") == []
    with pytest.raises(ValueError, match="not the id of a request"):
        access_log.find(str(tmp_path), 'r1".*')


def test_the_answer_is_bounded(tmp_path: Path) -> None:
    write(tmp_path, "router.log", *[LINE % "r1"] * 50)
    assert ids(tmp_path, "r1") == ["r1"] * access_log.MOST_LINES


def journal(place: Path, body: str) -> None:
    """Put a stand-in for `journalctl` first on the path."""
    program = place / "journalctl"
    program.write_text(f'#!/bin/sh\necho "$@" >{place}/words\n{body}\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def systemd(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(access_log.processes, "init_system", lambda: "systemd")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


def test_under_systemd_the_journal_of_the_router_is_searched(systemd: Path) -> None:
    journal(systemd, f"cat <<'END'\n{LINE % 'a.b'}\n{LINE % 'axb'}\nEND")
    found: list[dict[str, Any]] = access_log.find("/var/lib/models/", "a.b")["lines"]
    assert [each["request_id"] for each in found] == ["a.b"]
    words = (systemd / "words").read_text()
    assert "--unit models-router.service" in words
    assert '--grep "request_id":"a[.]b"' in words


def test_a_journal_without_the_request_is_no_error_and_a_broken_one_is(systemd: Path) -> None:
    journal(systemd, "exit 1")
    assert access_log.find("/var/lib/toolkit", "r1") == {"lines": []}
    journal(systemd, "echo 'no support for patterns' >&2; exit 1")
    with pytest.raises(OSError, match="no support for patterns"):
        access_log.find("/var/lib/toolkit", "r1")


@pytest.mark.parametrize(
    ("status", "reason", "end", "found"),
    [
        (200, "-", "--", (200, "-")),
        # the replica broke its answer off, or fell silent
        (200, "-", "SD", (200, "replica_broke_off")),
        (200, "-", "sD", (200, "replica_broke_off")),
        # the client left amid the answer; it fell silent
        (200, "-", "CD", (499, "client_left_answer")),
        (200, "-", "cD", (499, "client_left_answer")),
        # the line of an older router says it of streams itself
        (499, "client_left_answer", "CD", (499, "client_left_answer")),
        # an answer that never began
        (499, "client_left", "CH", (499, "client_left")),
        (502, "replica_broke_off", "SH", (502, "replica_broke_off")),
        (401, "missing_api_key", "LR", (401, "missing_api_key")),
        (200, "-", "", (200, "-")),
    ],
)
def test_how_a_request_ended(status: int, reason: str, end: str, found: tuple[int, str]) -> None:
    assert access_log.ended({"status": status, "reason": reason, "end": end}) == found
