"""A candidate that `deploy` or `upgrade` makes live becomes a version like any other."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.shell import REVISION, Prompt
from tests.footprint import HOST, REGISTRY, SECOND
from tests.workflows.world import World
from toolkit.config.registry.lock_file import Lock, lock_path, write_lock
from toolkit.domain.files.snapshot import FileDigest, Snapshot


@pytest.fixture
def registry(prompt: Prompt, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry whose `v2` is a candidate, in front of a host in memory."""
    path = prompt.place / "model_registry.yaml"
    path.write_text(REGISTRY.replace(f"{SECOND}}}", f"{SECOND}, candidate: true}}"))
    digests = {
        ("acme/tiny", revision): Snapshot(
            "acme/tiny", revision, (FileDigest("w.safetensors", 10, digit * 64),)
        )
        for revision, digit in ((REVISION, "a"), (SECOND, "b"))
    }
    write_lock(Lock(lock_path(path), digests))
    (prompt.place / "fleet.yaml").write_text(f"all:\n  hosts:\n{HOST.format(number=1)}")
    prompt.set("TOOLKIT_FLEET", prompt.place / "fleet.yaml")
    prompt.set("TOOLKIT_REGISTRY", path)
    world = World(prompt.place)
    monkeypatch.setattr(
        "toolkit.cli.changing.change.open_members", lambda *_, **__: world.command()
    )
    return path


def test_a_candidate_that_went_live_is_accepted(prompt: Prompt, registry: Path) -> None:
    assert "candidate: true" in registry.read_text()
    said = prompt("deploy", "tiny@v2", "--yes")
    assert said.code == 0, said.err
    assert "tiny@v2 is no candidate any more\n" in said.err
    assert "candidate" not in registry.read_text()


def test_a_dry_run_accepts_nothing(prompt: Prompt, registry: Path) -> None:
    said = prompt("deploy", "tiny@v2", "--dry-run")
    assert said.code == 0, said.err
    assert "candidate: true" in registry.read_text()


def test_a_line_that_cannot_be_edited_stays_with_the_next_command(
    prompt: Prompt, registry: Path
) -> None:
    block = f"v2:\n        revision: {SECOND}\n        candidate:\n          true"
    text = registry.read_text().replace(f"v2: {{revision: {SECOND}, candidate: true}}", block)
    registry.write_text(text)
    said = prompt("deploy", "tiny@v2", "--yes")
    assert said.code == 0, said.err
    assert "tiny@v2 stays a candidate: " in said.err
    assert said.err.endswith("hint: toolkit registry accept tiny@v2\n")
    assert registry.read_text() == text
