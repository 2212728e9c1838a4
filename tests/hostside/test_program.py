"""Programs that ask a driver: one that hangs in the kernel is waited for no longer than its time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

HOSTSIDE = Path(__file__).parents[2] / "toolkit/hostside"
sys.path.insert(0, str(HOSTSIDE))

import accelerators  # noqa: E402
import energy  # noqa: E402
import program  # noqa: E402


@pytest.fixture
def stuck(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Let programs hang, and outlive each signal; yield those that were killed in vain."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\nexec sleep 600\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(accelerators, "_SECONDS", 0.5)
    monkeypatch.setattr(energy, "_SECONDS", 0.5)
    (tmp_path / "__main__.py").write_text("import time; time.sleep(600)")
    monkeypatch.setattr(energy, "_PLACE", str(tmp_path))
    killed: list[subprocess.Popen[bytes]] = []
    monkeypatch.setattr(subprocess.Popen, "kill", lambda each: killed.append(each))
    yield killed
    for each in killed:
        with suppress(ProcessLookupError):
            os.kill(each.pid, signal.SIGKILL)
        each.wait()


@pytest.mark.timeout(60)
def test_a_driver_that_hangs_holds_no_observation(stuck: list[subprocess.Popen[bytes]]) -> None:
    assert accelerators.users() == {}
    _, devices, fault = accelerators.devices(["nvidia"])
    assert devices == []
    assert fault == "nvidia-smi does not answer within 0.5 s"
    found = energy.energy("/")
    assert (found["devices"], found["fault"]) == (0, "the driver does not answer")
    assert len(stuck) >= 3


def test_output_and_errors_come_together_or_apart() -> None:
    words = ["sh", "-c", "echo out; echo err >&2; exit 3"]
    assert program.output(words, 60.0, subprocess.STDOUT) == (3, "out\nerr\n")
    assert program.output(words, 60.0, subprocess.DEVNULL) == (3, "out\n")
    with pytest.raises(FileNotFoundError):
        program.output(["/no/such/program"], 60.0, subprocess.DEVNULL)
