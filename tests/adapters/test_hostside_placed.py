"""The host's side of the toolkit is placed whole, and on disk before it has its name."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from toolkit.adapters.hosts import ssh
from toolkit.adapters.hosts.ways import OverSsh
from toolkit.domain.hosts.fleet import Host

STUB = '#!/bin/sh\necho "{name} $*" >>"{log}"\nexec /usr/bin/{name} "$@"\n'


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """A host whose commands run here."""

    def run(argv: list[str], given: bytes, *_: Any) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(argv, input=given, capture_output=True)

    monkeypatch.setattr(ssh, "_run", run)
    monkeypatch.setattr(ssh, "root_command", lambda _host, _scratch, argv: list(argv))
    return Host("gpu1", "ssh", "10.0.0.1", root=str(tmp_path / "root"))


def test_a_damaged_copy_is_placed_anew_and_those_of_others_go(host: Host, tmp_path: Path) -> None:
    placed = Path(ssh.place_hostside(host, tmp_path))
    whole = (placed / "observe.py").read_bytes()
    other, kept = placed.with_name("hostside-" + "0" * 16), placed.with_name("hostside-" + "1" * 16)
    for each in (other, kept):
        each.mkdir()
    (placed / "observe.py").write_text("")
    (placed / "planted.py").write_text("")
    ssh.renew_hostside(host, tmp_path, (placed.name, other.name))
    assert (placed / "observe.py").read_bytes() == whole
    assert not (placed / "planted.py").exists()
    assert sorted(each.name for each in placed.parent.iterdir()) == sorted([placed.name, kept.name])
    # Also where none is there.
    shutil.rmtree(placed)
    ssh.renew_hostside(host, tmp_path, ())
    assert (placed / "observe.py").read_bytes() == whole


def test_a_program_that_python_cannot_run_is_named_with_the_command_that_places_it_anew(
    host: Host, tmp_path: Path
) -> None:
    way = OverSsh(host, tmp_path)
    placed = Path(ssh.place_hostside(host, tmp_path))
    (placed / "wire.py").write_text("(")
    done = subprocess.run(
        [sys.executable, "-I", str(placed), "converse"], input=b"", capture_output=True
    )
    error = way.failure(done.returncode, done.stderr.decode())
    assert error.message.startswith("gpu1: the toolkit's program there is damaged: SyntaxError")
    assert error.hint == "toolkit repair"


@pytest.mark.parametrize("text", ["", "(", "import nothing_of_that_name"])
def test_a_part_of_the_program_that_cannot_be_loaded_is_named_so(
    host: Host, tmp_path: Path, text: str
) -> None:
    placed = Path(ssh.place_hostside(host, tmp_path))
    (placed / "observe.py").write_text(text)
    argv = [sys.executable, "-I", str(placed), "converse"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin and child.stdout
        child.stdin.write(json.dumps({"command": "observe", "root": host.root}) + "\n")
        child.stdin.flush()
        answer = json.loads(child.stdout.readline())
        child.stdin.close()
    assert answer["error"].startswith("the toolkit's program there is damaged: ")
    assert answer["hint"] == "toolkit repair"


def test_the_files_are_on_disk_before_the_directory_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, tools = tmp_path / "log", tmp_path / "tools"
    tools.mkdir()
    for name in ("sync", "mv"):
        (tools / name).write_text(STUB.format(name=name, log=log))
        (tools / name).chmod(0o755)

    def run(argv: list[str], given: bytes, *_: Any) -> subprocess.CompletedProcess[bytes]:
        environment = {**os.environ, "PATH": f"{tools}:/usr/bin:/bin"}
        return subprocess.run(argv, input=given, capture_output=True, env=environment)

    monkeypatch.setattr(ssh, "_run", run)
    monkeypatch.setattr(ssh, "root_command", lambda _host, _scratch, argv: list(argv))
    host = Host("gpu1", "ssh", "10.0.0.1", root=str(tmp_path / "root"))
    placed = Path(ssh.place_hostside(host, tmp_path))
    assert (placed / "__main__.py").read_bytes() == (ssh.HOSTSIDE / "__main__.py").read_bytes()
    synced, *_, moved = log.read_text().splitlines()
    assert synced.startswith("sync ")
    assert "__main__.py" in synced
    assert moved.startswith("mv -T ")
    log.unlink()
    assert Path(ssh.place_hostside(host, tmp_path)) == placed
    assert not log.exists()
    assert [each.name for each in placed.parent.iterdir()] == [placed.name]
