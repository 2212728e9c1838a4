"""The command line as a person types it, at a registry, a home and a host of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from toolkit.adapters.history import History
from toolkit.cli.context import open_history
from toolkit.cli.main import main
from toolkit.config.lock_file import Lock, lock_path, write_lock
from toolkit.domain.snapshot import FileDigest, Snapshot

ROOT = Path(__file__).parents[2]
REVISION = "1" * 40
REGISTRY = f"""\
policy:
  licences: {{allowed: [mit]}}
models:
  tiny:
    description: a small one
    licence: mit
    openness: fully-open
    source: {{repo: acme/tiny}}
    engine: {{name: vllm, version: 0.32.0}}
    resources: {{accelerators: [cpu], memory: 1GiB}}
    versions:
      v1: {{revision: {REVISION}}}
      bare: {{revision: {"2" * 40}}}
      huge:
        revision: {"3" * 40}
        resources: {{accelerators: [cuda], memory: 9000GiB}}
"""
FLEET = """\
all:
  hosts:
    localhost:
      ansible_connection: local
      toolkit_root: {root}
"""


@dataclass
class Said:
    code: int
    out: str
    err: str


class Shell:
    """Runs the command line with a registry, a home and a host root of its own: nothing of this machine's."""

    def __init__(
        self, place: Path, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch
    ) -> None:
        self.place, self.capsys, self.patch = place, capsys, patch
        self.root = place / "root"
        self.registry = place / "model_registry.yaml"
        self.registry.write_text(REGISTRY)
        snapshot = Snapshot("acme/tiny", REVISION, (FileDigest("w.safetensors", 10, "a" * 64),))
        lock = Lock(lock_path(self.registry), {("acme/tiny", REVISION): snapshot})
        write_lock(lock)
        (place / "fleet.yaml").write_text(FLEET.format(root=self.root))
        self.environment = {
            "TOOLKIT_HOME": str(place / "home"),
            "TOOLKIT_FLEET": str(place / "fleet.yaml"),
            "TOOLKIT_REGISTRY": str(self.registry),
        }
        for name, value in self.environment.items():
            patch.setenv(name, value)
        patch.chdir(place)

    @property
    def history(self) -> History:
        """The history that the commands use, opened anew; the test closes it."""
        return open_history(self.place / "home")

    def __call__(self, *words: str) -> Said:
        self.patch.setattr(sys, "argv", ["toolkit", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        said = self.capsys.readouterr()
        assert "Traceback" not in said.err
        return Said(int(str(ended.value.code)), said.out, said.err)

    def untouched(self) -> bool:
        """Whether the host still has nothing."""
        return not self.root.exists()


def start(shell: Shell, *words: str, **more: object) -> subprocess.Popen[str]:
    """Start a process of its own; it sees what `shell` sees."""
    command = [sys.executable, "-m", "toolkit.cli.main", *words]
    environment = {**os.environ, **shell.environment, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=environment, text=True, **more)  # type: ignore[call-overload,no-any-return]
