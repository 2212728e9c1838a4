"""Which revision of a repository a mirror gives to whoever names none."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.adapters.store_lab import stored
from toolkit.adapters.mirror.source import commits, find_revision, refs, tags
from toolkit.adapters.store.manifest import StoredSnapshot
from toolkit.adapters.store.store import Store
from toolkit.config.registry.lock_file import Lock, lock_path, write_lock
from toolkit.workflows.files.mirror import PinnedSnapshots

A, B, C = "a" * 40, "b" * 40, "c" * 40
REGISTRY = """\
policy:
  licences: {{allowed: [mit]}}
models:
  m:
    licence: mit
    openness: open-weights
    source: {{repo: o/r}}
    engine: {{name: vllm, version: 0.32.0}}
    resources: {{accelerators: [cpu], memory: 6GiB}}
    versions:
{versions}"""


def served(place: Path, versions: dict[str, str]) -> tuple[StoredSnapshot, ...]:
    """Return the snapshots of o/r, whose `versions` have these fields."""
    store = Store(place / "store")
    path = place / "model_registry.yaml"
    lines = "".join(f'      "{name}": {{revision: {said}}}\n' for name, said in versions.items())
    path.write_text(REGISTRY.format(versions=lines))
    pinned = {
        ("o/r", each): stored(store, "o/r", each, name="config.json", at=1.0) for each in (A, B, C)
    }
    write_lock(Lock(lock_path(path), pinned))
    return tuple(PinnedSnapshots(path, store, pytest.fail).revisions("o/r"))


CANDIDATE = ", candidate: true"


@pytest.mark.parametrize(
    ("versions", "order", "main"),
    [
        ({"1": A, "2": B}, [A, B], B),
        ({"1": A, "2": B, "3": A}, [B, A], A),
        ({"1": A, "2": B + CANDIDATE}, [A, B], A),
        ({"1": B + CANDIDATE, "2": A}, [A, B], A),
        ({"1": A, "2": B, "3": A + CANDIDATE}, [A, B], B),
        ({"1": A + CANDIDATE, "2": B, "3": A}, [B, A], A),
        ({"1": A + CANDIDATE, "2": B + CANDIDATE}, [A, B], None),
        ({"1": A, "2": C + CANDIDATE, "3": B}, [A, B, C], B),
    ],
)
def test_main_is_the_last_version_that_is_no_candidate(
    tmp_path: Path, versions: dict[str, str], order: list[str], main: str | None
) -> None:
    found = served(tmp_path, versions)
    assert [each.revision for each in found] == order
    newest = find_revision(found, "main")
    assert (newest and newest.revision) == main
    assert [each["targetCommit"] for each in refs(found)["branches"]] == ([main] if main else [])
    assert {name: each.revision for name, each in tags(found).items()} == {
        name: said[:40] for name, said in versions.items()
    }


def test_candidates_are_no_commits_before_main(tmp_path: Path) -> None:
    found = served(tmp_path, {"1": A, "2": C + CANDIDATE, "3": B})
    assert [each["id"] for each in commits(found, "main")] == [B, A]
    assert [each["id"] for each in commits(found, "2")] == [C, B, A]
