"""A standby is asked before it takes traffic: one that hangs is refused and ended."""

from __future__ import annotations

import http.client
import json
import os
import signal
import sys
import threading
import time

import pytest

from tests.hostside.router_lab import REPO, until
from tests.hostside.test_hang import Running, computes, running
from tests.pace import Pace

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import hang
import replica

__all__ = ["running"]


def test_a_frozen_standby_is_refused_and_ended(running: Running, pace: Pace) -> None:
    assert replica.probe({**running.request, "hang": 60.0}) == {"ok": True, "reason": ""}
    os.kill(running.core, signal.SIGSTOP)
    started = pace()
    found = replica.probe(running.request)
    assert pace() - started < 4
    assert found["reason"] == "it hangs: it did not answer a request of one token within 1 s"
    assert running.process.wait(60) == -signal.SIGKILL
    why = "it did not answer a request of one token within 1 s"
    assert hang.recorded(running.request["root"], "tiny-blue")["why"] == why


def test_a_standby_that_dies_while_it_is_asked_does_not_hang(running: Running) -> None:
    os.kill(running.core, signal.SIGSTOP)
    dying = threading.Timer(0.5, running.process.kill)
    dying.start()
    found = replica.probe({**running.request, "hang": 60.0})
    assert found == {"ok": False, "reason": "its process ended"}
    # One that does not run is not waited for.
    assert replica.probe({**running.request, "hang": 60.0}) == found
    assert hang.recorded(running.request["root"], "tiny-blue") == {}


def test_a_standby_that_works_on_without_an_answer_is_refused_and_ended(running: Running) -> None:
    beside = http.client.HTTPConnection("127.0.0.1", running.port)
    beside.request("POST", "/v1/completions", json.dumps({"model": "tiny", "work": 600}))
    until(lambda: computes(running.core))
    why = "it did not answer a request of one token within 4 s"
    assert replica.probe(running.request) == {"ok": False, "reason": why}
    assert running.process.wait(60) == -signal.SIGKILL
    assert hang.recorded(running.request["root"], "tiny-blue")["why"] == why
    beside.close()


def test_the_question_waits_for_the_long_prefill_of_a_client(running: Running) -> None:
    started = time.monotonic()
    answers = running.ask(work=8)
    found = replica.watch({**running.request, "seconds": 0.5}, lambda _: None)
    assert (found["ok"], found["reason"]) == (True, "")
    assert time.monotonic() - started > 5
    until(lambda: answers == [200])


def test_a_standby_that_answers_is_looked_at_no_further(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(*_: object) -> str:
        raise AssertionError("its figures were read")

    monkeypatch.setattr(hang.Watched, "look", look)
    assert replica.probe({**running.request, "hang": 60.0}) == {"ok": True, "reason": ""}
