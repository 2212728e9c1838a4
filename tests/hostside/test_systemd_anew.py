"""A systemd that replaces itself, as after an update of its package, drops questions: they are asked again."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.hostside.router_lab import REPO

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import processes

SYSTEMCTL = """\
#!/bin/sh
echo . >>{place}/asked
if [ "$(wc -l <{place}/asked)" -le {failures} ]; then
  echo "Failed to get properties: Connection reset by peer" >&2
  exit 1
fi
echo LoadState=loaded
echo ActiveState=active
echo SubState=running
echo MainPID=1
"""


def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: int) -> str:
    program = tmp_path / "systemctl"
    program.write_text(SYSTEMCTL.format(place=tmp_path, failures=failures))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(processes, "init_system", lambda: "systemd")
    return str(processes.state("/var/lib/toolkit", "tiny-blue")["state"])


@pytest.mark.parametrize("failures", [0, 3])
def test_a_question_that_fails_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    assert asked(tmp_path, monkeypatch, failures) == "running"
    assert len((tmp_path / "asked").read_text().split()) == failures + 1


def test_one_that_goes_on_failing_is_an_error_with_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "ANSWER_SECONDS", 0.2)
    with pytest.raises(OSError, match="systemctl: Failed to get properties: Connection reset"):
        asked(tmp_path, monkeypatch, 1000)


SEVERAL = """\
#!/bin/sh
echo . >>{place}/asked
echo "LoadState=not-found
ActiveState=inactive
SubState=dead
MainPID=0

LoadState=loaded
ActiveState=activating
SubState=auto-restart
MainPID=0

LoadState=loaded
ActiveState=active
SubState=running
MainPID=1"
"""


def test_one_question_is_about_all_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "systemctl"
    program.write_text(SEVERAL.format(place=tmp_path))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(processes, "init_system", lambda: "systemd")
    found = processes.states("/var/lib/toolkit", ["tiny-blue", "tiny-green", "small-blue"])
    assert [each["state"] for each in found] == ["absent", "failed", "running"]
    assert [each["pid"] for each in found] == [0, 0, 1]
    assert found[2]["started_at"]
    assert len((tmp_path / "asked").read_text().split()) == 1
    with pytest.raises(OSError, match="systemctl tells of 3 units and not of 2"):
        processes.states("/var/lib/toolkit", ["tiny-blue", "tiny-green"])
    assert processes.states("/var/lib/toolkit", []) == []
