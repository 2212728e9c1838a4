"""An in-memory deploy, upgrade and rollback, from the command line down: what `scripts/footprint.py` counts."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from unittest.mock import patch

from tests.cli.shell import REVISION
from tests.workflows.world import World
from toolkit.cli.changing import change
from toolkit.cli.main import cli
from toolkit.config.registry.lock_file import Lock, lock_path, write_lock
from toolkit.domain.files.snapshot import FileDigest, Snapshot

SECOND = "2" * 40
REGISTRY = f"""\
policy:
  licences: {{allowed: [mit]}}
models:
  tiny:
    licence: mit
    openness: fully-open
    source: {{repo: acme/tiny}}
    engine: {{name: vllm, version: 0.32.0}}
    resources: {{accelerators: [cpu], memory: 1GiB}}
    versions:
      v1: {{revision: {REVISION}}}
      v2: {{revision: {SECOND}}}
"""
HOST = """\
    gpu{number}:
      ansible_host: 10.0.0.{number}
"""


def deploy_upgrade_rollback(place: Path, hosts: int) -> None:
    """Run the three commands on a fleet of so many hosts; exits where one does not end well."""
    registry = place / "model_registry.yaml"
    registry.write_text(REGISTRY)
    digests = {
        ("acme/tiny", revision): Snapshot(
            "acme/tiny", revision, (FileDigest("w.safetensors", 10, digit * 64),)
        )
        for revision, digit in ((REVISION, "a"), (SECOND, "b"))
    }
    write_lock(Lock(lock_path(registry), digests))
    rows = "".join(HOST.format(number=number) for number in range(1, hosts + 1))
    (place / "fleet.yaml").write_text(f"all:\n  hosts:\n{rows}")
    os.environ.update(
        TOOLKIT_HOME=str(place / "home"),
        TOOLKIT_FLEET=str(place / "fleet.yaml"),
        TOOLKIT_REGISTRY=str(registry),
    )
    world = World(place, hosts)
    for command in (
        ("deploy", "tiny@v1", "--yes"),
        ("upgrade", "tiny", "--to", "v2", "--yes"),
        ("rollback", "tiny", "--yes"),
    ):
        with (
            patch.object(change, "open_members", lambda *_, **__: world.command()),
            patch.object(sys, "argv", ["toolkit", *command]),
        ):
            cli.main(args=list(command), prog_name="toolkit", standalone_mode=False)
    for each in world.hosts.values():
        serving = each.observe().serving_slot("tiny")
        assert serving and serving.release and serving.release.version == "v1", serving
