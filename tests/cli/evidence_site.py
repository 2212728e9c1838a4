"""A fleet whose answers are proved, and the script that checks the evidence without the toolkit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.shell import Prompt, Said
from tests.cli.test_json import Fleet
from toolkit.adapters.hosts.port import CheckedEngine
from toolkit.cli.commands.prove import CHECKER
from toolkit.domain.clients.evidence import Answered

ID = "5f0c2f7e-answer"
HEADERS = """\
HTTP/1.1 200 OK\r
X-Request-Id: {id}\r
X-Toolkit-Version: v2\r
x-toolkit-release: {release}\r
X-Toolkit-Slot: {slot}\r
"""


@pytest.fixture
def fleet(prompt: Prompt, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    """Return two hosts on which release 2 has replaced release 1."""
    made = Fleet(prompt, monkeypatch, 2)
    assert made("deploy tiny@v1 --yes").code == 0
    assert made("upgrade tiny --yes --reason ticket-4711").code == 0
    # A stand-in for a host has no engine's files.
    for host in made.world.hosts.values():
        whole = CheckedEngine(sealed=True, files=3, size=9, faults=())
        monkeypatch.setattr(host, "check_engine", lambda *_, found=whole: found)
    return made


def logged(fleet: Fleet, release: int = 2, slot: str = "", model: str = "tiny") -> str:
    """Put a line into gpu1's access log; return the slot in it."""
    slot = slot or slot_of(fleet)
    version = f"v{release}"
    fleet.world.hosts["gpu1"].requests.append(
        Answered(
            "gpu1", "27/Nov/2026:02:00:00 +0000", model, version, release, slot,
            "/v1/chat/completions", 200, ID,
        )
    )  # fmt: skip
    return slot


def slot_of(fleet: Fleet) -> str:
    [slot] = [each for each in fleet.world.hosts["gpu1"].observe().slots if each.weight]
    return f"{fleet.world.hosts['gpu1'].label}.{slot.slot}"


def place_of(fleet: Fleet) -> Path:
    return fleet.prompt.place / "evidence.json"


def proved(fleet: Fleet, line: str = "prove tiny") -> dict[str, Any]:
    said = fleet(f"{line} --output {place_of(fleet)}")
    assert said.code == 0, said.out
    return dict(said.json())


def checked(*words: object) -> Said:
    """Check with the script alone, as somebody without the toolkit does."""
    argv = [sys.executable, "-I", "-W", "error", str(CHECKER), *map(str, words)]
    done = subprocess.run(argv, capture_output=True, text=True, cwd="/", env={}, timeout=60)
    assert "Traceback" not in done.stderr
    return Said(done.returncode, done.stdout, done.stderr)


def head_of(told: dict[str, Any]) -> tuple[int, str]:
    number, _, digest = told["head"].partition(":")
    return int(number), digest
