"""One process answers one brief request after the other, and a new one takes over where it ended."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pace import Pace
from toolkit.adapters.hosts import conversation
from toolkit.adapters.hosts.conversation import Conversation
from toolkit.adapters.hosts.dialog import Dialog, DialogEnded
from toolkit.adapters.hosts.ssh import HOSTSIDE
from toolkit.domain.clients.keys import KeyRing
from toolkit.planning.routing.keys import with_key

# Answers with its own pid; `die` ends it, and `events` come before a result. `heard` lists all commands so far.
ECHO = """
import json, os, sys
heard = []
for line in sys.stdin:
    request = json.loads(line)
    heard.append(request["command"])
    if request["command"] == "die":
        sys.exit("no more")
    for number in range(request.get("events", 0)):
        print(json.dumps({"event": {"said": number}}), flush=True)
    said = heard if heard[-1] == "heard" else os.getpid()
    print(json.dumps({"result": {"said": said}}), flush=True)
"""


class Echo:
    """A conversation with ECHO; `begun` counts its processes."""

    def __init__(self, script: str = ECHO) -> None:
        self.begun, self._script = 0, script
        self.conversation = Conversation(self._begin)

    def _begin(self) -> Dialog:
        self.begun += 1
        return Dialog([sys.executable, "-c", self._script])

    def ask(self, command: str = "pid", **request: int) -> list[object]:
        with self.conversation.turn() as mine:
            assert mine
            answers = self.conversation.ask(command, request)
            return [part["said"] for answer in answers for part in answer.values()]


@pytest.fixture
def echo() -> Iterator[Echo]:
    echo = Echo()
    yield echo
    echo.conversation.end()


def test_one_process_answers_all_requests(echo: Echo) -> None:
    pids = {echo.ask()[-1] for _ in range(3)}
    assert len(pids) == 1 and echo.begun == 1


def test_events_come_before_the_result(echo: Echo) -> None:
    assert echo.ask(events=2)[:2] == [0, 1]


def test_a_process_that_has_ended_is_replaced_once(
    echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It takes its time to end on a busy machine.
    monkeypatch.setattr(conversation, "_LOST_SINCE_SECONDS", 60)
    first = echo.ask()
    with pytest.raises(DialogEnded):
        echo.ask("die")
    assert echo.begun == 2
    assert echo.ask() != first and echo.begun == 3


def test_one_that_was_lost_while_it_was_asked_is_not_waited_for_again(
    echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    echo.ask()
    monkeypatch.setattr(conversation, "_LOST_SINCE_SECONDS", 0)
    with pytest.raises(DialogEnded):
        echo.ask("die")
    assert echo.begun == 1


def test_a_process_that_never_answered_tells_why() -> None:
    echo = Echo("import sys; print('no such host', file=sys.stderr); sys.exit(86)")
    with pytest.raises(DialogEnded) as ended:
        echo.ask()
    assert (ended.value.code, ended.value.words, echo.begun) == (86, "no such host\n", 1)


def test_a_process_that_was_started_ahead_answers_the_first_request(echo: Echo) -> None:
    echo.conversation.begin("heard", {})
    echo.conversation.begin("pid", {})
    assert (echo.ask("heard"), echo.begun) == ([["heard"]], 1)
    assert echo.ask("heard") == [["heard", "heard"]]


@pytest.mark.parametrize(
    ("command", "events", "fresh"), [("other", 0, 60), ("heard", 2, 60), ("heard", 0, 0)]
)
def test_another_request_than_what_was_sent_ahead_or_a_late_one_gets_an_answer_of_its_own(
    echo: Echo, monkeypatch: pytest.MonkeyPatch, command: str, events: int, fresh: int
) -> None:
    monkeypatch.setattr(conversation, "_FRESH_SECONDS", fresh)
    echo.conversation.begin(command, {"events": events})
    assert (echo.ask("heard"), echo.begun) == ([[command, "heard"]], 1)


def test_a_process_that_was_started_ahead_and_failed_is_not_tried_again() -> None:
    for asked in ("pid", "other"):
        echo = Echo("import sys; sys.exit('no such host')")
        echo.conversation.begin("pid", {})
        with pytest.raises(DialogEnded, match="no such host"):
            echo.ask(asked)
        assert echo.begun == 1


def test_what_was_sent_ahead_ends_with_its_process(echo: Echo) -> None:
    echo.conversation.begin("heard", {})
    echo.conversation.end()
    assert echo.ask("heard") == [["heard"]] and echo.begun == 2


def test_a_process_that_was_asked_nothing_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, pace: Pace
) -> None:
    monkeypatch.setattr(conversation, "_END_SECONDS", 60)
    echo = Echo("import time; time.sleep(60)")
    echo.conversation.begin("pid", {})
    began = pace()
    echo.conversation.end()
    assert pace() - began < 30


def test_the_rest_of_an_answer_nobody_took_is_not_taken_for_the_next(echo: Echo) -> None:
    with echo.conversation.turn():
        assert next(echo.conversation.ask("pid", {"events": 2})) == {"event": {"said": 0}}
    assert len(echo.ask()) == 1 and echo.begun == 2


def test_another_thread_has_to_find_another_way_meanwhile(echo: Echo) -> None:
    told: list[bool] = []

    def take_turn() -> None:
        with echo.conversation.turn() as mine:
            told.append(mine)

    with echo.conversation.turn():
        thread = threading.Thread(target=take_turn)
        thread.start()
        thread.join(10)
    take_turn()
    assert told == [False, True]


def test_the_hosts_side_converses(tmp_path: Path) -> None:
    argv = [sys.executable, "-I", str(HOSTSIDE), "converse"]
    conversation = Conversation(lambda: Dialog(argv))
    try:
        for _ in range(2):
            (seen,) = conversation.ask("observe", {"root": str(tmp_path), "label": ""})
            assert seen["result"]["slots"] == []
        (refused,) = conversation.ask("dance", {})
        assert "unknown command" in refused["error"]
    finally:
        conversation.end()


def _conversing() -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    argv = [sys.executable, "-I", str(HOSTSIDE), "converse"]
    return subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True)


def _say(process: subprocess.Popen[str], **request: object) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps(request) + "\n")
    process.stdin.flush()


def test_a_request_ends_with_the_ops_machine() -> None:
    with socket.create_server(("127.0.0.1", 0)) as replica, _conversing() as process:
        assert process.stdin is not None and process.stdout is not None
        port = replica.getsockname()[1]
        _say(process, command="complete", port=port, payload={}, timeout=20)
        replica.settimeout(20)
        with replica.accept()[0] as connection:
            connection.settimeout(20)
            connection.recv(1)
            process.stdin.close()
            assert process.wait(20) == 0
        assert process.stdout.readlines() == []


def test_a_change_of_keys_that_has_begun_outlives_the_ops_machine(tmp_path: Path) -> None:
    (tmp_path / "router").mkdir()
    ring = with_key(KeyRing(), "ann", "tk-" + "a" * 32, now=1.0).as_json()
    with (tmp_path / "router" / ".lock").open("w") as another_change, _conversing() as process:
        fcntl.flock(another_change, fcntl.LOCK_EX)
        assert process.stdin is not None and process.stdout is not None
        _say(process, command="apply-keys", root=str(tmp_path), ring=ring)
        until = time.monotonic() + 60
        opened = Path(f"/proc/{process.pid}/fd")
        while not any(os.path.realpath(each).endswith("/.lock") for each in opened.iterdir()):
            assert time.monotonic() < until
            time.sleep(0.01)
        process.stdin.close()
        fcntl.flock(another_change, fcntl.LOCK_UN)
        assert process.wait(20) == 0
        assert json.loads(process.stdout.readline())["result"] == ring
    assert json.loads((tmp_path / "router" / "keys.json").read_text()) == ring
