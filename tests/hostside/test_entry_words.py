"""An error of a host is one line for a person."""

from __future__ import annotations

import errno
import json
import sys
from types import SimpleNamespace

import pytest

from tests.hostside.router_lab import REPO

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import entry

LOCK = "/var/lib/toolkit/deployment.lock"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EROFS, "Read-only file system", LOCK), f"Read-only file system: {LOCK}"),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (OSError("it is a pipe"), "it is a pipe"),
        (ValueError("no room in snapshots"), "no room in snapshots"),
        (KeyError("slot"), "KeyError: 'slot'"),
        (ValueError(), "ValueError: "),
    ],
)
def test_an_error_is_said_in_words(
    error: Exception,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setitem(sys.modules, "failing", SimpleNamespace(fail=fail))  # type: ignore[arg-type]
    command = SimpleNamespace(module="failing", function="fail", takes=())
    monkeypatch.setitem(entry.COMMANDS, "fail", command)  # type: ignore[arg-type]
    assert entry.carry_out("fail", {}) == 1
    assert json.loads(capsys.readouterr().out)["error"] == words
