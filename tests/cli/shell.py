"""The command line as a person types it, at a registry, a home and a host of its own."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.json_documents import require_document
from toolkit.adapters.disk import scratch_places
from toolkit.adapters.history.history import History
from toolkit.cli.main import main
from toolkit.cli.opening.context import open_history
from toolkit.config.registry.lock_file import Lock, lock_path, write_lock
from toolkit.domain.files.snapshot import FileDigest, Snapshot

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


class Said(NamedTuple):
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def remarks(self) -> str:
        """Standard error before it was folded to the terminal's width: what goes on in a further line stands deeper."""
        return self.err.replace("\n    ", " ")

    def json(self) -> Any:
        return json.loads(self.out)


class Prompt:
    """Runs the command line in this process, in a place and with a home of its own, and without a fleet or registry."""

    def __init__(
        self, place: Path, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch
    ) -> None:
        self.place, self.capsys, self.patch = place, capsys, patch
        for name in [name for name in os.environ if name.startswith("TOOLKIT_")]:
            patch.delenv(name)
        self.environment: dict[str, str] = {}
        self.set("TOOLKIT_HOME", place / "home")
        patch.chdir(place)

    def set(self, name: str, value: object) -> None:
        """Set a variable, for processes of their own too, see `start`."""
        self.environment[name] = str(value)
        self.patch.setenv(name, str(value))

    def __call__(self, *words: str, stdin: str | None = None) -> Said:
        self.patch.setattr(sys, "argv", ["toolkit", *words])
        if stdin is not None:
            given = io.TextIOWrapper(io.BytesIO(stdin.encode()), "utf-8")
            self.patch.setattr(sys, "stdin", given)
        with pytest.raises(SystemExit) as ended:
            main()
        said = self.capsys.readouterr()
        assert "Traceback" not in said.err
        code = int(str(ended.value.code))
        require_document(words, code, said.out)
        return Said(code, said.out, said.err)


class Shell(Prompt):
    """A prompt with a registry and a host root of its own: nothing of this machine's."""

    def __init__(
        self, place: Path, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch
    ) -> None:
        super().__init__(place, capsys, patch)
        self.root = place / "root"
        self.registry = place / "model_registry.yaml"
        self.registry.write_text(REGISTRY)
        snapshot = Snapshot("acme/tiny", REVISION, (FileDigest("w.safetensors", 10, "a" * 64),))
        lock = Lock(lock_path(self.registry), {("acme/tiny", REVISION): snapshot})
        write_lock(lock)
        (place / "fleet.yaml").write_text(FLEET.format(root=self.root))
        self.set("TOOLKIT_FLEET", place / "fleet.yaml")
        self.set("TOOLKIT_REGISTRY", self.registry)

    @property
    def history(self) -> History:
        """The history that the commands use, opened anew; the test closes it."""
        return open_history(self.place / "home")

    def untouched(self) -> bool:
        """Whether the host still has nothing."""
        return not self.root.exists()


def remove_scratch(home: Path) -> None:
    """Remove the private directories that commands have made elsewhere while the disk of the home took nothing."""
    for place in scratch_places(home)[1:]:
        shutil.rmtree(place, ignore_errors=True)


def start(environment: Mapping[str, str], *words: str, **more: object) -> subprocess.Popen[str]:
    """Start a process of its own, with `environment` in place of this one's variables of ours and of a Hub."""
    command = [sys.executable, "-W", "error", "-m", "toolkit.cli.main", *words]
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "TOOLKIT_"))}
    variables = {**kept, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.Popen(command, env=variables, text=True, **more)  # type: ignore[call-overload,no-any-return]


def run(environment: Mapping[str, str], *words: str) -> Said:
    """Run a command in a process of its own, with nobody to answer it."""
    pipe = subprocess.PIPE
    with start(environment, *words, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe) as process:
        out, err = process.communicate(timeout=60)
    require_document(words, process.returncode, out)
    return Said(process.returncode, out, err)
