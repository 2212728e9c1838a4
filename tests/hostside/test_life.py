"""Signs of life of a command: which commands give them, and when one stands still."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from toolkit.hostside.commands import COMMANDS

HOSTSIDE = Path(__file__).parents[2] / "toolkit/hostside"
sys.path.insert(0, str(HOSTSIDE))

import life  # noqa: E402


class Over(Exception):
    """The test has seen enough."""


def test_only_the_lock_and_the_perimeter_give_none() -> None:
    """The lock answers the ops machine's signs, and processes of the perimeter begin without a thread."""
    assert {name for name, each in COMMANDS.items() if each.quiet} == {"lock", "perimeter"}


def task(tasks: Path, name: str, state: str, waits: int) -> None:
    (tasks / name).mkdir(parents=True, exist_ok=True)
    text = f"Name:\tpython3\nState:\t{state}\nPid:\t{name}\nvoluntary_ctxt_switches:\t{waits}\n"
    (tasks / name / "status").write_text(text)


@pytest.mark.parametrize(
    ("second", "signs"),
    [
        # it works, sleeps, or waits for a disk that answers
        (("R (running)", 7), 2),
        (("S (sleeping)", 7), 2),
        (("D (disk sleep)", 8), 2),
        # one and the same wait
        (("D (disk sleep)", 7), 1),
    ],
)
def test_a_command_that_stands_still_gives_no_sign(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, second: tuple[str, int], signs: int
) -> None:
    states = iter([("D (disk sleep)", 7), second])

    def sleep(_: float) -> None:
        try:
            task(tmp_path, "12", *next(states))
        except StopIteration:
            raise Over from None

    given: list[int] = []
    monkeypatch.setattr(life, "time", SimpleNamespace(sleep=sleep))
    task(tmp_path, "11", "R (running)", 3)
    with pytest.raises(Over):
        life.send(lambda: given.append(1), tasks=str(tmp_path))
    assert len(given) == signs


def test_signs_end_where_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise BrokenPipeError

    monkeypatch.setattr(life, "time", SimpleNamespace(sleep=lambda _: None))
    life.send(broken)


@pytest.mark.timeout(120)
def test_a_log_without_new_lines_gives_signs(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/tiny-blue.log").write_text("")
    request = {"root": str(tmp_path), "program": "tiny-blue", "lines": 9, "follow": True}
    pipe, argv = subprocess.PIPE, [sys.executable, "-I", str(HOSTSIDE), "logs"]
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(request).encode() + b"\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline()) == {"event": {}}
        process.stdin.close()
    assert process.returncode == 3
