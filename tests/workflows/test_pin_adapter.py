"""Pinning LoRA adapters over a Hub in memory: written in their place, locked like models, refused with their line."""

# One row of a table is one line, however long.
# ruff: noqa: E501

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from toolkit.adapters.fakes.hub import FakeHub
from toolkit.adapters.sightings import Sightings
from toolkit.config.registry.lock_file import lock_path, read_lock
from toolkit.config.registry.reading import load_registry
from toolkit.domain.files.snapshot import content_revision
from toolkit.errors import InputError, RefusedError, SourceError, ToolkitError
from toolkit.planning.upkeep.currency import State
from toolkit.workflows.registry.check import check_registry
from toolkit.workflows.registry.outdated import Sources, look_upstream, with_adapters
from toolkit.workflows.registry.pin import Pinned
from toolkit.workflows.registry.pin_adapter import lock_named, pin_named
from toolkit.workflows.registry.update import Local, Updated, accept_version, update_model
from toolkit.workflows.registry.update_adapter import is_adapter, update_adapter

REGISTRY = """\
policy:
  licences: {{allowed: [apache-2.0, mit], denied: [cc-by-nc-4.0]}}
models:
  tiny:
    licence: apache-2.0
    openness: open-weights
    source: {{repo: acme/tiny}}
    engine: {{name: vllm, version: 0.32.0}}
    resources: {{accelerators: [cpu], memory: 6GiB}}
    adapters:
      sql:   # for the reports
        source: {source}
        revision: main
    versions:
      v1: {{revision: {base}}}
"""
CONFIG = {"peft_type": "LORA", "r": 8, "lora_alpha": 16, "base_model_name_or_path": "acme/tiny"}


def files(**config: object) -> dict[str, bytes]:
    return {
        "adapter_config.json": json.dumps({**CONFIG, **config}).encode(),
        "adapter_model.safetensors": b"matrices" * 100,
        "README.md": b"# sql",
        "tokenizer.json": b"{}",
        "optimizer.pt": b"state",
        "handler.py": b"import os",
        "checkpoint-9/adapter_model.safetensors": b"older",
    }


class Desk:
    def __init__(self, directory: Path, source: str = "{repo: acme/sql}") -> None:
        self.path = directory / "model_registry.yaml"
        self.hub = FakeHub()
        self.base = self.hub.publish(
            "acme/tiny", {"config.json": b"{}", "model.safetensors": b"w" * 100}
        )
        self.path.write_text(REGISTRY.format(source=source, base=self.base))

    @property
    def how(self) -> dict[str, Any]:
        return {"open_hub": lambda: self.hub, "report": lambda _: None}

    def publish(self, content: Mapping[str, bytes], **settings: object) -> str:
        return self.hub.publish("acme/sql", content, **settings)  # type: ignore[arg-type]

    def pin(self, ref: str = "") -> Pinned:
        return pin_named(self.path, "sql", ref, **self.how)

    def edit(self, old: str, new: str) -> None:
        text = self.path.read_text()
        assert old in text
        self.path.write_text(text.replace(old, new, 1))

    def texts(self) -> tuple[str, str]:
        lock = lock_path(self.path)
        return self.path.read_text(), lock.read_text() if lock.exists() else ""


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_branch_becomes_a_commit_in_its_place_and_only_what_serves_is_locked(desk: Desk) -> None:
    before = desk.path.read_text()
    commit = desk.publish(files())
    pinned = desk.pin()
    assert desk.path.read_text() == before.replace("revision: main", f"revision: {commit}")
    assert [each.path for each in pinned.snapshot.files] == [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    assert pinned.left_out["handler.py"] == "not needed to serve an adapter"
    sql = load_registry(desk.path).version("tiny").parts[1]
    assert read_lock(desk.path).snapshot_of(sql) == pinned.snapshot


def test_pinning_again_changes_nothing_until_the_branch_moves(desk: Desk) -> None:
    desk.publish(files())
    desk.pin()
    before = desk.texts()
    assert not desk.pin().changed
    assert desk.texts() == before
    newer = desk.publish(files(r=16))
    assert desk.pin().version.revision == newer
    assert load_registry(desk.path).version("tiny").adapters[0].revision == newer


def test_a_dry_run_writes_nothing(desk: Desk) -> None:
    desk.publish(files())
    before = desk.texts()
    pinned = pin_named(desk.path, "sql", begin=None, **desk.how)
    assert pinned.changed
    assert desk.texts() == before


def test_the_digests_of_a_model_are_locked_with_those_of_its_adapters(desk: Desk) -> None:
    desk.publish(files())
    desk.pin()
    lock_path(desk.path).unlink()
    done = lock_named(desk.path, "tiny", **desk.how)
    assert [each.version.model for each in done] == ["tiny", "sql"]
    version = load_registry(desk.path).version("tiny")
    assert all(read_lock(desk.path).has(part) for part in version.parts)


def test_a_directory_is_pinned_by_its_content(tmp_path: Path) -> None:
    house = tmp_path / "house"
    house.mkdir()
    for path, content in files().items():
        (house / path).parent.mkdir(exist_ok=True)
        (house / path).write_bytes(content)
    desk = Desk(tmp_path, "{path: ./house}")
    pinned = desk.pin()
    assert pinned.version.revision == content_revision(pinned.snapshot.files)
    assert pinned.version.source.key == "local/sql"
    (house / "adapter_model.safetensors").write_bytes(b"others" * 100)
    assert desk.pin().version.revision != pinned.version.revision


REFUSED: list[tuple[str, dict[str, bytes], type[ToolkitError], str, str]] = [
    ("another base", files(base_model_name_or_path="acme/other"), InputError, "12:17: sql: it was made for 'acme/other', and tiny@v1 is acme/tiny", "where it fits all the same: `base: acme/other`"),
    ("no base", files(base_model_name_or_path=None), InputError, "12:17: sql: it does not say for which base model it was made, and tiny@v1 is acme/tiny", "choose another adapter"),
    ("a large rank", files(r=64), InputError, "12:17: sql: its rank is 64, and replicas take 16 at most", "write a larger `lora: {max_rank: ...}`, which starts the replica anew"),
    ("a large rank of one module", files(rank_pattern={"q_proj": 32}), InputError, "12:17: sql: its rank is 32, and replicas take 16 at most", "write a larger `lora: {max_rank: ...}`, which starts the replica anew"),
    ("a rank that is none", files(r="eight"), InputError, "12:17: sql: it names no rank `r`", "choose another adapter"),
    ("no LoRA", files(peft_type="IA3"), InputError, "12:17: sql: it is no LoRA adapter but 'IA3'", "choose another adapter"),
    ("DoRA", files(use_dora=True), InputError, "12:17: sql: the engine does not know DoRA", "choose another adapter"),
    ("whole modules", files(modules_to_save=["lm_head"]), InputError, "12:17: sql: it replaces whole modules (modules_to_save)", "choose another adapter"),
    ("a configuration that is none", {**files(), "adapter_config.json": b"[1]"}, SourceError, "acme/sql has no weights to rely on: adapter_config.json: ", ""),
    ("pickled weights", {"adapter_config.json": b"{}", "adapter_model.bin": b"x"}, RefusedError, "acme/sql is refused: its weights are pickled (adapter_model.bin), and loading those can run code", "choose a revision with safetensors, or convert it and use its directory as the source"),
    ("a whole model", {"config.json": b"{}", "model.safetensors": b"x"}, RefusedError, "acme/sql is refused: it is no adapter: it has no adapter_config.json", "check the repository and the revision"),
]  # fmt: skip


@pytest.mark.parametrize(("case", "content", "kind", "message", "hint"), REFUSED)
def test_what_no_replica_could_load_is_refused_before_anything_is_written(
    desk: Desk,
    case: str,
    content: dict[str, bytes],
    kind: type[ToolkitError],
    message: str,
    hint: str,
) -> None:
    desk.publish(content)
    before = desk.texts()
    with pytest.raises(kind) as caught:
        desk.pin()
    assert message in caught.value.message, case
    assert hint in caught.value.hint
    assert desk.texts() == before


def test_another_base_is_accepted_where_the_registry_names_it(desk: Desk) -> None:
    desk.publish(files(base_model_name_or_path="unsloth/Tiny"))
    desk.edit("revision: main", "revision: main\n        base: unsloth/Tiny")
    assert desk.pin().changed


def test_its_licence_is_its_own_and_the_policy_judges_it(desk: Desk) -> None:
    desk.publish(files(), licence="cc-by-nc-4.0")
    with pytest.raises(InputError, match="says its licence is"):
        desk.pin()
    desk.edit("revision: main", "revision: main\n        licence: cc-by-nc-4.0")
    with pytest.raises(
        RefusedError, match=r"the licence cc-by-nc-4.0 of sql@[0-9a-f]{12} is denied"
    ):
        desk.pin()


def test_a_check_of_the_registry_looks_at_adapters_too(desk: Desk) -> None:
    commit = desk.publish(files())
    desk.pin()
    lock_named(desk.path, "tiny", **desk.how)
    assert check_registry(desk.path).findings == ()
    lock_path(desk.path).unlink()
    desk.edit("[apache-2.0, mit]", "[mit]")
    desk.edit("denied: [cc-by-nc-4.0]", "denied: [], approved: {apache-2.0: [tiny]}")
    found = [
        (each.version, each.fault, each.message) for each in check_registry(desk.path).findings
    ]
    sql = f"sql@{commit[:12]}"
    assert (sql, True, f"the licence apache-2.0 of {sql} is not approved for sql") in found
    assert (sql, False, "its files are not pinned yet") in found
    desk.edit("apache-2.0: [tiny]", "apache-2.0: [tiny, sql]")
    assert not check_registry(desk.path).faults


def test_an_adapter_whose_branch_moved_is_outdated_like_a_model(desk: Desk, tmp_path: Path) -> None:
    desk.publish(files())
    desk.pin()

    def states() -> dict[str, State]:
        registry = load_registry(desk.path)
        sources = Sources(
            lambda: desk.hub, Sightings(tmp_path / "home"), read_lock(desk.path), lambda: 1000.0
        )
        models = with_adapters([registry.model("tiny")])
        found = look_upstream(registry, models, sources, seconds=60)
        return {name: each.state for name, each in found.items()}

    assert states() == {"tiny": State.CURRENT, "sql": State.CURRENT}
    desk.publish(files(r=16))
    assert states() == {"tiny": State.CURRENT, "sql": State.OUTDATED}
    desk.pin()
    assert states() == {"tiny": State.CURRENT, "sql": State.CURRENT}


def test_wrong_names_are_refused(desk: Desk) -> None:
    desk.publish(files())
    with pytest.raises(InputError, match="no model 'sqll'"):
        pin_named(desk.path, "sqll", **desk.how)
    with pytest.raises(InputError, match="sql is an adapter, which has no versions to name"):
        pin_named(desk.path, "sql", version="v9", **desk.how)
    with pytest.raises(InputError, match="the adapter sql is not pinned: its revision is 'main'"):
        lock_named(desk.path, "sql", **desk.how)


class TestUpdate:
    """`toolkit update ADAPTER`: a candidate of the model, with the newer adapter."""

    @pytest.fixture
    def desk(self, tmp_path: Path) -> Desk:
        desk = Desk(tmp_path)
        desk.publish(files())
        desk.pin()
        return desk

    def update(self, desk: Desk, **more: Any) -> tuple[Updated, str]:
        local = Local(lambda _: None, lambda *_: None)
        return update_adapter(desk.path, "sql", local=local, **desk.how, **more)

    def test_what_is_current_changes_nothing(self, desk: Desk) -> None:
        before = desk.path.read_text()
        done, candidate = self.update(desk)
        assert (done.current, candidate, desk.path.read_text()) == (True, "", before)

    def test_a_newer_revision_becomes_a_candidate_of_the_model(self, desk: Desk) -> None:
        before, text = load_registry(desk.path).version("tiny@v1"), desk.path.read_text()
        newer = desk.publish({**files(), "adapter_model.safetensors": b"better" * 100})
        done, candidate = self.update(desk)
        assert candidate == f"tiny@v1-sql-{newer[:8]}"
        tiny = load_registry(desk.path).model("tiny")
        # The newest version stays what `deploy tiny` means, byte for byte.
        assert (tiny.newest, desk.path.read_text().startswith(text.rstrip("\n"))) == (before, True)
        (made,) = tiny.candidates
        assert made.revision == before.revision
        assert [each.revision for each in made.adapters] == [newer]
        assert read_lock(desk.path).has(made.parts[1])
        assert done.difference is not None
        assert [each.path for each in done.difference.files] == ["adapter_model.safetensors"]

    def test_the_same_again_writes_nothing(self, desk: Desk) -> None:
        desk.publish({**files(), "adapter_model.safetensors": b"better" * 100})
        _, first = self.update(desk)
        text = desk.path.read_text()
        done, again = self.update(desk)
        assert (again, desk.path.read_text()) == (first, text)
        assert not done.pinned.registry_changed

    def test_an_accepted_candidate_gives_the_next_one_no_longer_name(self, desk: Desk) -> None:
        desk.publish(files(r=4))
        _, first = self.update(desk)
        assert accept_version(desk.path, first)
        newer = desk.publish(files(r=2))
        assert self.update(desk)[1] == f"tiny@v1-sql-{newer[:8]}"

    def test_an_update_of_the_model_keeps_the_newer_adapter(self, desk: Desk) -> None:
        """Also where the model had a candidate from before, and where the model is current."""

        def update() -> Updated:
            local = Local(lambda _: None, lambda *_: None)
            return update_model(desk.path, "tiny", local=local, **desk.how)

        weights = {"config.json": b'{"a": 1}', "model.safetensors": b"w" * 100}
        newer = desk.publish(files(r=4))
        desk.hub.publish("acme/tiny", weights)
        early = update().pinned.version
        _, candidate = self.update(desk)
        assert accept_version(desk.path, candidate)
        assert [each.revision for each in early.adapters] != [newer]
        late = update().pinned.version
        assert [each.revision for each in late.adapters] == [newer]
        assert (late.candidate, late.revision) == (True, early.revision)
        assert update().pinned.version.name == late.name
        assert accept_version(desk.path, late.title)
        assert update().current

    def test_a_candidate_from_before_a_newer_engine_does_not_bring_the_former_one_back(
        self, desk: Desk
    ) -> None:
        desk.publish(files(r=16))
        _, stale = self.update(desk)
        base = load_registry(desk.path).version("tiny").revision
        desk.path.write_text(
            desk.path.read_text() + f"      v2:\n        revision: {base}\n"
            "        engine: {name: vllm, version: 0.33.0}\n"
        )
        _, fresh = self.update(desk)
        assert stale.startswith("tiny@v1-sql-")
        assert fresh.startswith("tiny@v2-sql-")
        assert load_registry(desk.path).version(fresh).engine.version == "0.33.0"
        assert self.update(desk)[1] == fresh

    def test_a_name_and_a_dry_run(self, desk: Desk) -> None:
        desk.publish({**files(), "adapter_model.safetensors": b"better" * 100})
        text = desk.path.read_text()
        _, candidate = self.update(desk, name="reports-2", begin=None)
        assert (candidate, desk.path.read_text()) == ("tiny@reports-2", text)
        with pytest.raises(InputError, match="tiny@v1 exists"):
            self.update(desk, name="v1")

    def test_an_adapter_that_the_model_cannot_take_is_refused_before_anything_is_written(
        self, desk: Desk
    ) -> None:
        desk.publish(files(r=64))
        text = desk.path.read_text()
        with pytest.raises(ToolkitError, match="its rank is 64"):
            self.update(desk)
        assert desk.path.read_text() == text

    def test_an_adapter_is_known_by_its_name_alone(self, desk: Desk) -> None:
        assert is_adapter(desk.path, "sql")
        assert not is_adapter(desk.path, "tiny")
        assert not is_adapter(desk.path, "nobody")
