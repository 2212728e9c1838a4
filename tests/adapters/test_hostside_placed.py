"""The host's side of the toolkit is placed whole, and on disk before it has its name."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from toolkit.adapters.hosts import ssh
from toolkit.domain.hosts.fleet import Host

STUB = '#!/bin/sh\necho "{name} $*" >>"{log}"\nexec /usr/bin/{name} "$@"\n'


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
