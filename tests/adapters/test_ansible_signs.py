"""The signs of life by which a run of a playbook knows that its command still has the lock of its host."""

from __future__ import annotations

import io
import os
import threading

import pytest

from toolkit.adapters.ansible import child, signs
from toolkit.adapters.ansible.standing import Run
from toolkit.adapters.hosts.heartbeat import SILENCE_SECONDS
from toolkit.errors import HostError


def seconds_of(given: str, monkeypatch: pytest.MonkeyPatch) -> float:
    """Return after how many seconds a run ends that bears 10 s of silence.

    Each look at the clock takes 4 s and meets the next of `given`: a sign (s), nothing (-) or the end (e).
    """
    source, end = os.pipe()
    now, left = 0.0, list(given)

    def look() -> float:
        nonlocal now
        match left.pop(0):
            case "s":
                os.write(end, b"\n")
            case "e":
                os.close(end)
        now += 4
        return now

    monkeypatch.setattr(child, "_now", look)
    child.await_silence(source, 10.0)
    os.close(source)
    return now


def test_a_run_goes_on_while_signs_come_and_ends_with_its_command_or_their_silence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # After each sign come the look that finds it, and the one at the time at which it came.
    assert seconds_of("-s--s--s--e-", monkeypatch) == 48
    assert capsys.readouterr().err == ""
    assert seconds_of("-s-------", monkeypatch) == 28
    assert capsys.readouterr().err == "its command was stopped for 12 s\n"


def test_signs_are_sent_until_the_lock_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signs, "SECONDS", 0.01)
    told, ended = list[str](), threading.Event()

    def require() -> None:
        if len(told) == 3:
            raise HostError("lost")

    def end() -> None:
        told.append("end")
        ended.set()

    with signs.signs_of_life(lambda: told.append("sign"), require, end):
        assert ended.wait(60)
    assert told == ["sign", "sign", "sign", "end"]


def test_a_run_ends_before_another_command_can_have_the_lock() -> None:
    # The last sign of life to the host may have been sent up to an eighth of its silence before the stop.
    assert signs.SILENCE_SECONDS + 1 < SILENCE_SECONDS * 7 / 8


def test_what_a_run_was_about_to_say_when_it_was_killed_is_no_fault() -> None:
    """A long event waits in the pipe while its command is stopped, and the run ends amid it."""
    run = Run(io.StringIO(), io.StringIO('{"event": "runner_on_ok"}\n{"event": "runner_on'))
    assert list(run.events()) == [{"event": "runner_on_ok"}]
