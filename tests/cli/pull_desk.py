"""A registry, a home and a mirror on loopback, at which tests pull."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.adapters.hub_server import Misbehaving, PublishedFiles
from tests.cli.shell import Said, run, start
from tests.on_thread import serve_on_thread
from toolkit.adapters.mirror.app import mirror_app
from toolkit.config.registry.lock_file import Lock, lock_path, write_lock

REPO = "acme/tiny"
WEIGHTS = bytes(range(256)) * 40_000
OLD = {"config.json": b"{}", "model.safetensors": WEIGHTS}
NEW = {"config.json": b'{"a": 1}', "model.safetensors": WEIGHTS}
SECRET = "hf_canaryCANARYcanary"
REGISTRY = """\
policy:
  licences:
    allowed: [mit]
models:
  tiny:
    description: A tiny model
    licence: mit
    openness: fully-open
    source: {{repo: acme/tiny}}
    engine: {{name: vllm, version: 0.32.0}}
    resources: {{accelerators: [cpu], memory: 1GiB}}
    versions:
      v1: {{revision: {old}}}
      v2: {{revision: {new}}}
  odd:
    description: Its licence stands nowhere in the policy
    licence: odd-licence
    openness: open-weights
    source: {{repo: acme/tiny}}
    engine: {{name: vllm, version: 0.32.0}}
    resources: {{accelerators: [cpu], memory: 1GiB}}
    versions:
      v1: {{revision: {old}}}
"""


@dataclass
class Desk:
    """A registry, a home and a token, and a mirror of the repository on loopback."""

    place: Path
    endpoint: str
    server: Misbehaving
    revisions: dict[str, str]

    @property
    def home(self) -> Path:
        return self.place / "home"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "HF_ENDPOINT": self.endpoint,
            "HF_HOME": str(self.place / "hf"),
            "HF_TOKEN": SECRET,
            "TOOLKIT_HOME": str(self.home),
            "TOOLKIT_REGISTRY": str(self.place / "model_registry.yaml"),
        }

    def start(self, *words: str) -> subprocess.Popen[str]:
        return start(self.environment, *words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run(self, *words: str) -> Said:
        return run(self.environment, *words)


@contextmanager
def open_desk(tmp_path: Path) -> Iterator[Desk]:
    published = PublishedFiles(tmp_path / "origin")
    revisions = {"v1": published.publish(REPO, OLD), "v2": published.publish(REPO, NEW)}
    registry = tmp_path / "model_registry.yaml"
    registry.write_text(REGISTRY.format(old=revisions["v1"], new=revisions["v2"]))
    snapshots = [published.snapshot(REPO, revision) for revision in revisions.values()]
    write_lock(Lock(lock_path(registry), {(s.source, s.revision): s for s in snapshots}))
    server = Misbehaving(mirror_app(published))
    with serve_on_thread(server) as endpoint:
        yield Desk(tmp_path, endpoint, server, revisions)
