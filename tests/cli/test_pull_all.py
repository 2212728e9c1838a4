"""`toolkit pull --all`: what cannot come keeps nothing else from coming."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.pull_desk import REPO, Desk, open_desk
from toolkit.config.registry.lock_file import read_lock, write_lock
from toolkit.domain.files.snapshot import FileDigest, Snapshot


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with open_desk(tmp_path) as opened:
        yield opened


def test_a_version_that_is_gone_upstream_keeps_no_other_from_coming(desk: Desk) -> None:
    path = desk.place / "model_registry.yaml"
    lock = read_lock(path)
    write_lock(lock.plus(Snapshot(REPO, "0" * 40, (FileDigest("config.json", 3, "0" * 64),))))
    kept, _, _ = path.read_text().partition("  odd:")
    path.write_text(kept.replace("versions:\n", f"versions:\n      v0: {{revision: {'0' * 40}}}\n"))
    said = desk.run("pull", "--all", "--json")
    assert said.code == 5
    data = json.loads(said.out)
    assert [each["version"] for each in data["versions"]] == ["v1", "v2"]
    assert data["error"]["message"].startswith("tiny@v0 is gone upstream: ")
    assert data["error"]["message"].endswith("0 of its 1 files are in the store")


OTHERS = """\
  {name}:
    description: Another model
    licence: mit
    openness: fully-open
    source: {{repo: acme/{name}}}
    engine: {{name: vllm, version: 0.32.0}}
    resources: {{accelerators: [cpu], memory: 1GiB}}
    versions:
      v1: {{revision: {revision}}}
"""


def test_a_version_whose_files_are_not_pinned_keeps_no_other_from_coming(desk: Desk) -> None:
    path = desk.place / "model_registry.yaml"
    kept, _, _ = path.read_text().partition("  odd:")
    models, before, tiny = kept.partition("  tiny:")
    path.write_text(models + OTHERS.format(name="loose", revision="0" * 40) + before + tiny)
    said = desk.run("pull", "--all", "--dry-run")
    assert said.code == 0
    words = (
        f"left out: the files of loose@v1 are not pinned in {desk.place}/model_registry.lock.json: "
    )
    assert f"{words}toolkit registry pin loose@v1 --lock-only\n" in said.err
    said = desk.run("pull", "--all", "--json")
    assert said.code == 0
    assert [each["version"] for each in json.loads(said.out)["versions"]] == ["v1", "v2"]
    # Named, or alone, it is what was asked for.
    assert desk.run("pull", "loose").code == 2
    path.write_text(models + OTHERS.format(name="loose", revision="0" * 40))
    assert desk.run("pull", "--all").code == 2


def test_a_repository_that_is_gone_or_gated_keeps_no_other_from_coming(desk: Desk) -> None:
    path = desk.place / "model_registry.yaml"
    kept, _, _ = path.read_text().partition("  odd:")
    models, before, tiny = kept.partition("  tiny:")
    more = "".join(OTHERS.format(name=name, revision="0" * 40) for name in ("away", "closed"))
    path.write_text(models + more + before + tiny)
    lock = read_lock(path)
    for name in ("away", "closed"):
        files = (FileDigest("config.json", 3, "0" * 64),)
        lock = lock.plus(Snapshot(f"acme/{name}", "0" * 40, files))
    write_lock(lock)
    desk.server.gated.add("acme/closed")
    said = desk.run("pull", "--all", "--json")
    assert said.code == 5
    data = json.loads(said.out)
    assert [each["version"] for each in data["versions"]] == ["v1", "v2"]
    words = data["error"]["message"].splitlines()
    assert "has no repository acme/away" in words[0]
    assert "acme/closed is gated" in words[1]
    assert "hf auth login" in data["error"]["hint"]
