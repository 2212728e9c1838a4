"""A registry and a Hub in memory, for the tests of pins."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from toolkit.adapters.fakes.hub import FakeHub
from toolkit.config.registry.lock_file import lock_path
from toolkit.domain.files.snapshot import FileDigest
from toolkit.workflows.registry.pin import Pinned, lock_versions, pin_version
from toolkit.workflows.tools import unrecorded

FILES = {
    "config.json": b'{"model_type": "qwen3"}',
    "model.safetensors": b"weights" * 1000,
    "README.md": b"# hello",
    "modeling.py": b"import os",
}

HEAD = """\
# mine
policy:
  licences: {allowed: [apache-2.0, mit], denied: [cc-by-nc-4.0]}
models:
  tiny:
    licence: apache-2.0   # checked by hand
    openness: open-weights
    source: {repo: acme/tiny}
    engine: {name: vllm, version: 0.32.0}
    resources: {accelerators: [cpu], memory: 6GiB}
"""


class Desk:
    """A registry in a directory, a Hub, and the pins of a person."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "model_registry.yaml"
        self.hub = FakeHub()
        self.said: list[str] = []
        self.report: Callable[[str], None] = self.said.append
        self.path.write_text(HEAD)

    def publish(self, files: Mapping[str, bytes] = FILES, **settings: object) -> str:
        return self.hub.publish("acme/tiny", files, **settings)  # type: ignore[arg-type]

    def pin(self, ref: str = "", *, name: str = "", dry_run: bool = False) -> Pinned:
        return pin_version(
            self.path,
            "tiny",
            ref,
            name=name,
            open_hub=lambda: self.hub,
            report=lambda words: self.report(words),
            begin=None if dry_run else unrecorded,
        )

    def lock(self, spec: str = "tiny") -> tuple[Pinned, ...]:
        return lock_versions(
            self.path, spec, open_hub=lambda: self.hub, report=lambda words: self.report(words)
        )

    def meanwhile(self, act: Callable[[], object]) -> None:
        """Call `act` once, as another command, while the next pin has read the files and asks the Hub."""
        said = self.said.append

        def report(words: str) -> None:
            said(words)
            self.report = said
            act()

        self.report = report

    def texts(self) -> tuple[str, str]:
        lock = lock_path(self.path)
        return self.path.read_text(), lock.read_text() if lock.exists() else ""


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def digest(path: str, content: bytes) -> FileDigest:
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    small = "" if path.endswith(".safetensors") else blob
    return FileDigest(path, len(content), hashlib.sha256(content).hexdigest(), small)
