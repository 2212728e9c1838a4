"""The file of the audit log: two commands at once, a command that is killed, a disk that takes nothing."""

from __future__ import annotations

import errno
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from toolkit.adapters.audit.late import late_records
from toolkit.adapters.audit.log import AuditLog
from toolkit.adapters.audit.who import who
from toolkit.errors import ToolkitError
from toolkit.planning.upkeep.audit import entries, examine

ROOT = Path(__file__).parents[2]
WRITER = """
import sys
from pathlib import Path
from toolkit.adapters.audit.log import AuditLog
log = AuditLog(Path(sys.argv[1]))
for number in range(int(sys.argv[3])):
    log.append({"event": "begin", "id": f"{sys.argv[2]}-{number}", "text": "x" * 2000})
    print(number, flush=True)
"""


@pytest.fixture
def log(tmp_path: Path) -> AuditLog:
    return AuditLog(tmp_path / "home", lambda: 1000.0)


def judged(log: AuditLog) -> tuple[int, list[str]]:
    """Return the number of lines, and what is wrong with them."""
    found = examine(*log.read(), ())
    return len(found.lines), [each.words for each in found.faults]


def writer(log: AuditLog, name: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(log.home), name, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_lines_are_added_after_a_genesis_in_a_file_of_the_user_alone(log: AuditLog) -> None:
    first, head = log.append({"event": "begin", "id": "x"})
    assert (first.sequence, head.sequence, head.digest) == (1, 1, first.digest)
    assert log.append({"event": "end", "id": "x"})[1].log == head.log
    assert judged(log) == (3, [])
    assert stat.S_IMODE(log.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(log.path.parent.stat().st_mode) == 0o700


def test_commands_at_once_keep_the_chain(log: AuditLog) -> None:
    writers = [writer(log, name, 15) for name in ("a", "b", "c")]
    for each in writers:
        each.communicate(timeout=60)
    assert [each.returncode for each in writers] == [0, 0, 0]
    assert judged(log) == (46, [])


def test_a_writer_that_is_killed_leaves_a_log_that_goes_on(log: AuditLog) -> None:
    for name in ("a", "b"):
        with writer(log, name, 10_000) as process:
            assert process.stdout is not None
            written = [process.stdout.readline() for _ in range(5)]
            process.send_signal(signal.SIGKILL)
        assert written[-1] == "4\n"
    log.append({"event": "begin", "id": "after"})
    lines, faults = judged(log)
    assert faults == []
    assert lines >= 12


def test_a_command_that_is_killed_leaves_its_intent(tmp_path: Path) -> None:
    """A real command, killed while its hook runs; the hook ends where nobody reads what it says."""
    (tmp_path / ".toolkit").mkdir()
    (tmp_path / ".toolkit" / "notify.yaml").write_text(
        "hooks: {before: {run: [/bin/sh, -c, 'while sleep 0.1; do echo waiting; done'], seconds: 60}}\n"
    )
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "toolkit.cli.main", "promote", "tiny", "--reason", "why"]
    log = AuditLog(tmp_path / ".toolkit")
    quiet = subprocess.DEVNULL
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=quiet, stderr=quiet
    ) as process:
        until = time.monotonic() + 60
        while len(log.read()[0]) < 2 and process.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    found = examine(*log.read(), ())
    (entry,) = entries(found.lines)
    assert (entry.intent["reason"], entry.outcome, found.faults) == ("why", "no outcome", ())


@pytest.mark.parametrize("torn", [b'{"sequence":2,"pre', b"\x00" * 4096, b"{"])
def test_a_part_of_a_line_is_removed_and_that_is_recorded(log: AuditLog, torn: bytes) -> None:
    log.append({"event": "begin", "id": "x"})
    with log.path.open("ab") as file:
        file.write(torn)
    assert examine(*log.read(), ()).torn == len(torn)
    log.append({"event": "begin", "id": "y"})
    found = examine(*log.read(), ())
    assert found.faults == ()
    assert [each.event for each in found.lines] == ["genesis", "begin", "mended", "begin"]
    assert found.lines[2].record["bytes"] == len(torn)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace(b'"id":"x"', b'"id":"y"'), "the last line is not as it was written"),
        (lambda text: text + b"nonsense\n", "a line is damaged"),
        (lambda text: b"nonsense\n" + text, "a line is damaged"),
    ],
)  # fmt: skip
def test_nothing_is_added_to_a_log_whose_ends_are_damaged(
    log: AuditLog, change: object, words: str
) -> None:
    log.append({"event": "begin", "id": "x"})
    before = change(log.path.read_bytes())  # type: ignore[operator]
    log.path.write_bytes(before)
    with pytest.raises(ToolkitError, match=words) as raised:
        log.append({"event": "begin", "id": "z"})
    assert f"mv {log.path} {log.path}.damaged" in raised.value.hint
    assert log.path.read_bytes() == before


def test_a_disk_that_takes_only_a_part_of_a_line_keeps_none_of_it(
    log: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.append({"event": "begin", "id": "x"})
    before, write = log.path.read_bytes(), os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:7]))
    with pytest.raises(ToolkitError, match="No space left on device"):
        log.append({"event": "end", "id": "x"})
    assert log.path.read_bytes() == before


@pytest.mark.parametrize(
    "odd",
    [
        {"figures": [{"new": float("nan"), "old": float("inf")}]},
        {"figures": [1.5] * 400_000},
        {"reason": "x" * 2**21},
        {"reasons": ["\u2603" * 500_000]},
        {1: {"deep": "y"}, "text": "\udcff", "odd": object()},
    ],
    ids=["no number", "many", "long", "long in bytes", "odd"],
)
def test_no_record_makes_a_line_that_the_next_command_cannot_read(
    log: AuditLog, odd: dict[str, object]
) -> None:
    log.append({"event": "end", "id": "x", "outcome": "done", **odd})
    log.append({"event": "begin", "id": "y"})
    found = examine(*log.read(), ())
    assert found.faults == ()
    assert [each.outcome for each in entries(found.lines)] == ["done", "no outcome"]


def test_a_link_in_place_of_the_log_is_not_followed(log: AuditLog, tmp_path: Path) -> None:
    log.path.parent.mkdir(parents=True)
    log.path.symlink_to(tmp_path / "theirs")
    with pytest.raises(ToolkitError, match=os.strerror(errno.ELOOP)):
        log.append({"event": "begin"})
    assert not (tmp_path / "theirs").exists()
    # Nor is it shown as the log, whether it leads to one or to nothing.
    for _ in range(2):
        with pytest.raises(ToolkitError, match="is a link") as raised:
            log.read()
        assert raised.value.hint.startswith("move it away")
        AuditLog(tmp_path / "other").append({"event": "begin"})
        (tmp_path / "theirs").write_bytes((tmp_path / "other/audit/log.jsonl").read_bytes())


def test_records_that_came_late_are_added_once(log: AuditLog) -> None:
    assert log.keep_late([{"event": "begin", "id": "x"}, {"event": "end", "id": "x"}])
    assert log.keep_late([{"event": "begin", "id": "y"}])
    assert len(list(late_records(log.home))) == 2
    log.catch_up()
    log.catch_up()
    assert judged(log) == (4, [])
    assert list(late_records(log.home)) == []


def test_records_that_came_late_are_added_once_by_commands_at_once(log: AuditLog) -> None:
    names = [f"late-{number}" for number in range(40)]
    for name in names:
        assert log.keep_late([{"event": "begin", "id": name}])
    commands = [threading.Thread(target=AuditLog(log.home).catch_up) for _ in range(4)]
    for each in commands:
        each.start()
    for each in commands:
        each.join()
    lines, _ = log.read()
    found = [json.loads(line)["record"] for line in lines]
    assert sorted(each["id"] for each in found if "id" in each) == sorted(names)
    assert list(late_records(log.home)) == []


def test_a_late_record_that_cannot_be_read_is_left_alone(log: AuditLog) -> None:
    assert log.keep_late([{"event": "begin", "id": "x"}])
    ((path, _),) = late_records(log.home)
    path.write_text("{")
    log.catch_up()
    assert path.exists()


def test_the_person_is_known_by_what_ssh_and_sudo_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "AAAAC3NzaC1lZDI1NTE5AAAAIA=="
    (tmp_path / "auth").write_text(f"publickey ssh-ed25519 {key}\n")
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "authorized_keys").write_text(f"ssh-ed25519 {key} ann@laptop\n")

    class Entry:
        pw_name, pw_dir = "ops", str(tmp_path)

    monkeypatch.setattr("pwd.getpwuid", lambda _: Entry)
    found = who(
        {
            "SUDO_USER": "ann",
            "SSH_CONNECTION": "10.0.0.9 50000 10.0.0.1 22",
            "SSH_USER_AUTH": str(tmp_path / "auth"),
        }
    )
    assert (found["user"], found["sudo"], found["client"]) == ("ops", "ann", "10.0.0.9")
    assert found["key"].startswith("SHA256:")
    assert found["key"].endswith(" (ann@laptop)")
    assert "key" not in who({"SSH_USER_AUTH": str(tmp_path / "absent")})
