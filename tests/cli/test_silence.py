"""A command that waits says what for."""

from __future__ import annotations

import threading
import time

import pytest

from tests.cli.shell import Shell
from toolkit.cli.terminal import silence


@pytest.mark.parametrize(
    ("line", "slow_part", "words"),
    [
        (
            "engine lock 0.32.0 --accelerator cpu",
            "toolkit.cli.commands.engine.relock",
            "waiting for the package index",
        ),
        (
            "plan tiny@v1",
            "toolkit.workflows.change.fitting.fit_version",
            "waiting for the source of tiny@v1 and the hosts",
        ),
    ],
)
def test_a_command_that_waits_says_what_for(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, line: str, slow_part: str, words: str
) -> None:
    monkeypatch.setattr(silence, "_FIRST", 0.05)
    monkeypatch.setattr(silence, "_EACH", 0.05)

    def waiting(*_: object, **__: object) -> None:
        time.sleep(0.5)
        raise KeyboardInterrupt

    monkeypatch.setattr(slow_part, waiting)
    said = shell(*line.split())
    assert said.code == 130
    assert said.err.count(words) >= 2


def test_nothing_is_said_of_what_takes_no_time(capsys: pytest.CaptureFixture[str]) -> None:
    threads = threading.active_count()
    with silence.waiting_for("nothing"):
        pass
    assert capsys.readouterr().err == ""
    assert threading.active_count() == threads
