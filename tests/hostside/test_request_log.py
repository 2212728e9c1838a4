"""What a host tells of single requests: lines of its router's log in words, and records of its ledger by their ids."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.hostside.router_lab import REPO, until
from tests.hostside.router_site import PATH, Site
from tests.hostside.test_access_log import journal, write
from tests.hostside.test_router_log import put_manifest
from tests.hostside.use_lab import AT, Replica

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import last_lines
import log_places
import request_log
import use_carry
import use_find
import use_ledger

FULL = (
    '{"at":"27/Nov/2026:02:00:%02d +0000","client":"10.0.0.9","method":"POST","path":"/v1/chat/completions",'
    '"key":"ann","model":"%s","version":"v1","release":3,"slot":"blue","tokens":{"in":null,"out":null},"status":200,'
    '"ms":{"request":0,"connect":0,"first_byte":41,"total":263},"bytes":1251,"retries":"0","end":"%s",'
    '"request_id":"%s","reason":"-"}'
)


@pytest.fixture(autouse=True)
def supervised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_places.processes, "init_system", lambda: "supervisord")


def told(root: Path, model: str = "", lines: int = 10, place: Any = None) -> dict[str, Any]:
    found: dict[str, Any] = request_log.read(str(root), model, lines, place)
    return found


def ids(found: dict[str, Any]) -> list[str]:
    return [each["request_id"] for each in found["requests"]]


def test_a_stream_that_its_client_drops_is_told_as_such(site: Site) -> None:
    put_manifest(site, "blue", "v1", 3)
    site.shift(blue=99)
    connection = http.client.HTTPConnection("127.0.0.1", site.lab.port, timeout=20)
    with contextlib.closing(connection):
        body = {"model": "tiny", "stream": True, "tokens": 200, "pause": 0.05}
        connection.request("POST", PATH, json.dumps(body), {"X-Request-Id": "dropped"})
        with connection.getresponse() as answer:
            answer.read(10)
    text = until(
        lambda: [each for each in site.lab.log.read_text().splitlines() if "dropped" in each]
    )
    assert '"status":200' in text[0] and '"reason":"-"' in text[0]
    write(site.lab.root, "router.log", *text)
    [found] = told(site.lab.root)["requests"]
    assert (found["status"], found["reason"], found["end"]) == (499, "client_left_answer", "CD")
    assert (found["model"], found["release"], found["slot"]) == ("tiny", 3, "blue")
    assert (found["in"], found["out"], found["request_id"]) == (None, None, "dropped")
    assert abs(found["at"] - time.time()) < 60 and found["total"] > 0


def test_the_last_requests_are_told_in_the_order_of_their_ends(tmp_path: Path) -> None:
    write(tmp_path, "router.log.1", FULL % (0, "tiny", "--", "r1"), FULL % (1, "big", "--", "r2"))
    write(
        tmp_path, "router.log", FULL % (2, "tiny", "CD", "r3"), "handed-on " + FULL % (2, "tiny", "--", "r4"),
        "nonsense", "{}", '{"status":1}', FULL % (3, "tiny", "SD", "r5"),
    )  # fmt: skip
    found = told(tmp_path)
    assert ids(found) == ["r1", "r2", "r3", "r5"]
    assert [(each["status"], each["reason"]) for each in found["requests"]] == [
        (200, "-"), (200, "-"), (499, "client_left_answer"), (200, "replica_broke_off"),
    ]  # fmt: skip
    assert ids(told(tmp_path, lines=2)) == ["r3", "r5"]
    assert ids(told(tmp_path, lines=0)) == []
    assert ids(told(tmp_path, "tiny", lines=3)) == ["r1", "r3", "r5"]
    assert ids(told(tmp_path, "nosuch")) == []


def test_a_request_says_how_many_before_it_have_no_line(tmp_path: Path) -> None:
    refused = FULL % (1, "-", "LR", "r2")
    # The first line is of an older toolkit.
    write(
        tmp_path,
        "router.log",
        FULL % (0, "-", "LR", "r1"),
        refused.removesuffix("}") + ',"left_out":43}',
    )
    assert [each["left_out"] for each in told(tmp_path)["requests"]] == [0, 43]


def test_what_is_logged_later_is_told_from_the_place_on(tmp_path: Path) -> None:
    place = told(tmp_path)["place"]
    path = write(tmp_path, "router.log", FULL % (0, "tiny", "--", "r1"))
    found = told(tmp_path, place=place)
    assert ids(found) == ["r1"]
    # supervisord begins a new file
    write(tmp_path, "router.log", FULL % (1, "big", "--", "r2"))
    path.rename(path.with_name("router.log.1"))
    write(tmp_path, "router.log", FULL % (2, "tiny", "--", "r3"))
    assert ids(told(tmp_path, "tiny", place=found["place"])) == ["r3"]
    found = told(tmp_path, place=found["place"])
    assert ids(found) == ["r2", "r3"]
    assert ids(told(tmp_path, place=found["place"])) == []
    # a place of another kind of log is none
    assert ids(told(tmp_path, place={"kind": "journal"})) == ["r1", "r2", "r3"]


def test_no_log_is_no_request_and_a_name_is_no_pattern(tmp_path: Path) -> None:
    assert told(tmp_path)["requests"] == []
    with pytest.raises(ValueError, match="not the name of a model"):
        told(tmp_path, "a b")


def test_the_journal_is_asked_for_the_model_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = FULL % (0, "a.b", "CD", "r1")
    journal(tmp_path, f"case \"$*\" in *output=json*) ;; *) printf '%s\\n' '{line}';; esac")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(log_places.processes, "init_system", lambda: "systemd")
    seen: list[list[str]] = []
    run = request_log.access_log.subprocess.run

    def noted(argv: list[str], **options: Any) -> Any:
        seen.append(argv)
        return run(argv, **options)

    monkeypatch.setattr(request_log.access_log.subprocess, "run", noted)
    found = request_log.read("/var/lib/models/", "a.b", 7, None)
    assert ids(found) == ["r1"] and found["place"]["kind"] == "journal"
    words = seen[-1]
    assert words[words.index("--grep") + 1] == '^\\{"at":.*"model":"a\\.b"'
    assert words[words.index("--unit") + 1] == "models-router.service"
    assert words[words.index("--lines") + 1] == "7"


@pytest.mark.parametrize("size", [1, 7, 64, 2**20])
@pytest.mark.parametrize(
    "text", ["", "one", "one\n", "one\n\ntwo\nthree\nhalf", "x" * 200 + "\ny\n"]
)
def test_lines_come_from_the_end_whatever_the_size_of_a_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, text: str
) -> None:
    monkeypatch.setattr(last_lines, "_BLOCK", size)
    (tmp_path / "file").write_text(text)
    opened = os.open(tmp_path / "file", os.O_RDONLY)
    found = [line for block in last_lines.blocks(opened, 2**20) for line in block]
    assert found == [line.encode() for line in text.split("\n")[:-1]][::-1]


def test_no_more_than_the_bound_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("".join(f"{each:09d}\n" for each in range(1000)))
    opened = os.open(tmp_path / "file", os.O_RDONLY)
    found = [line for block in last_lines.blocks(opened, 95) for line in block]
    assert found == [f"{each:09d}".encode() for each in range(999, 990, -1)]


@pytest.fixture
def ledger(tmp_path: Path) -> Callable[[], None]:
    """Carry what replicas have written."""
    return lambda: use_carry.Carrier(str(tmp_path)).all("tiny-blue")


def test_records_are_found_by_their_ids(tmp_path: Path, ledger: Callable[[], None]) -> None:
    replica = Replica(tmp_path)
    for number in range(1, 6):
        replica.record(id=f"request-{number % 3}", end="left", out=number)
    replica.count(10, 3)
    ledger()
    found = use_find.find(str(tmp_path), ["request-1", "nosuch"], AT)["records"]
    assert [(each["id"], each["out"]) for each in found] == [("request-1", 4), ("request-1", 1)]
    assert {*found[0]} == {*use_find._FIELDS}
    assert use_find.find(str(tmp_path), [], AT) == {"records": []}
    assert use_find.find(str(tmp_path / "none"), ["request-1"], AT) == {"records": []}


def test_the_search_ends_with_what_is_too_old(
    tmp_path: Path, ledger: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(last_lines, "_BLOCK", 2000)
    monkeypatch.setattr(use_ledger, "FILE_BYTES", 20_000)
    replica = Replica(tmp_path)
    for number in range(200):
        replica.record(id="mine" if number in (0, 150) else "other", at=AT - 100_000 + 500 * number)
    ledger()
    found = use_find.find(str(tmp_path), ["mine"], AT - 40_000)["records"]
    assert [each["at"] for each in found] == [AT - 25_000]
    assert len(use_find.find(str(tmp_path), ["mine"], 0)["records"]) == 2
