"""A candidate: pinned by an update, passed over by `deploy MODEL`, and accepted once it is live."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workflows.pin_desk import FILES, Desk
from tests.workflows.test_pin_directory import House
from toolkit.config.registry.reading import load_registry
from toolkit.domain.registry.model import HubSource, Permission
from toolkit.domain.registry.release_parts import EngineSpec
from toolkit.errors import InputError, RefusedError, SourceError
from toolkit.workflows.registry.update import Local, Updated, accept_version, update_model
from toolkit.workflows.tools import unrecorded

NEXT = {**FILES, "config.json": b'{"model_type": "qwen3", "hidden_size": 8}'}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def update(desk: Desk, name: str = "", *, dry_run: bool = False) -> Updated:
    return update_model(
        desk.path,
        "tiny",
        name=name,
        open_hub=lambda: desk.hub,
        report=desk.said.append,
        local=Local(find=lambda _: None, need=lambda *_: None),
        begin=None if dry_run else unrecorded,
    )


def test_an_update_pins_a_candidate_and_says_what_differs(desk: Desk) -> None:
    desk.publish()
    desk.pin(name="v1")
    before = desk.texts()[0]
    revision = desk.publish(NEXT)
    done = update(desk, "v2")
    assert not done.current
    assert done.pinned.version.candidate
    assert done.difference is not None
    assert [each.path for each in done.difference.files] == ["config.json"]
    assert [each.name for each in done.difference.fields] == ["hidden_size"]
    assert desk.texts()[0] == before + (
        f"      v2:\n        revision: {revision}\n        candidate: true\n"
    )


def test_the_former_texts_of_a_directory_are_not_those_that_it_has_now(tmp_path: Path) -> None:
    desk = House(tmp_path)
    desk.pin(name="v1")
    (desk.house / "config.json").write_bytes(NEXT["config.json"])
    (desk.house / "chat_template.jinja").write_bytes(b"{{ messages }}")
    done = update_model(
        desk.path,
        "tiny",
        name="v2",
        open_hub=lambda: desk.hub,
        report=desk.said.append,
        local=Local(find=lambda _: desk.house, need=lambda *_: None),
    )
    assert done.difference is not None
    assert (done.difference.fields, done.difference.unread) == ((), ("config.json",))
    assert done.difference.behaviour == ("chat_template.jinja", "config.json")
    assert done.difference.template
    assert "one of both texts is gone" in "\n".join(done.difference.lines)


def test_a_candidate_is_deployed_by_its_name_alone(desk: Desk) -> None:
    desk.publish()
    desk.pin(name="v1")
    desk.publish(NEXT)
    update(desk, "v2")
    registry = load_registry(desk.path)
    assert registry.version("tiny").name == "v1"
    assert registry.version("tiny@v2").candidate
    assert [each.name for each in registry.model("tiny").candidates] == ["v2"]


def test_an_accepted_candidate_is_the_newest_version(desk: Desk) -> None:
    desk.publish()
    desk.pin(name="v1")
    desk.publish(NEXT)
    update(desk, "v2")
    # A person's edit between update and acceptance stays.
    desk.path.write_text(desk.path.read_text() + "# mine, later\n")
    assert accept_version(desk.path, "tiny@v2")
    assert load_registry(desk.path).version("tiny").name == "v2"
    assert desk.path.read_text().endswith("# mine, later\n")
    assert "candidate" not in desk.path.read_text()
    assert not accept_version(desk.path, "tiny@v2")


def test_a_candidate_takes_over_what_the_newest_version_has_of_its_own(desk: Desk) -> None:
    desk.publish()
    desk.pin(name="v1")
    desk.path.write_text(
        desk.path.read_text() + "        engine: {name: vllm, version: 0.33.0}\n"
        "        serving: {max-model-len: 8192}\n"
        "        checks: [{prompt: hi, contains: there}]\n"
        "        permission: {formats: [bin], reason: reviewed}\n"
    )
    desk.publish(NEXT)
    version = update(desk).pinned.version
    former = load_registry(desk.path).version("tiny@v1")
    assert (version.engine, version.serving, version.checks) == (
        EngineSpec("vllm", "0.33.0"), {"max-model-len": 8192}, former.checks,
    )  # fmt: skip
    assert version == load_registry(desk.path).version(version.title)
    # A permission is for the files that a person has looked at.
    assert version.permission == Permission()
    assert former.permission.formats == ("bin",)


def test_a_candidate_that_would_need_a_permission_is_for_a_person_to_write(desk: Desk) -> None:
    desk.publish()
    desk.pin(name="v1")
    desk.path.write_text(
        desk.path.read_text() + "        serving: {kv-transfer-config: '{}'}\n"
        "        permission: {options: [kv-transfer-config], reason: reviewed}\n"
    )
    desk.publish(NEXT)
    before = desk.path.read_text()
    with pytest.raises(
        InputError, match="v1 has a permission, which is for its revision"
    ) as caught:
        update(desk, "v2")
    assert "write it yourself, as the last version" in caught.value.hint
    assert desk.path.read_text() == before


def test_a_candidate_from_before_a_newer_engine_does_not_bring_the_former_one_back(
    desk: Desk,
) -> None:
    first = desk.publish()
    desk.pin(name="v1")
    desk.publish(NEXT)
    update(desk, "stale")
    engine = "engine: {name: vllm, version: 0.33.0}"
    desk.path.write_text(
        desk.path.read_text() + f"      v2:\n        revision: {first}\n        {engine}\n"
    )
    version = update(desk, "fresh").pinned.version
    assert (version.name, version.engine.version) == ("fresh", "0.33.0")


def test_a_second_update_finds_the_candidate_and_changes_nothing(desk: Desk) -> None:
    desk.publish()
    desk.pin(name="v1")
    desk.publish(NEXT)
    update(desk, "v2")
    before = desk.texts()
    again = update(desk)
    assert (again.pinned.version.name, again.pinned.changed) == ("v2", False)
    assert again.difference is not None
    assert desk.texts() == before


def test_a_current_model_is_left_alone(desk: Desk) -> None:
    desk.publish()
    desk.pin(name="v1")
    before = desk.texts()
    assert update(desk).current
    assert desk.texts() == before


def test_a_dry_run_writes_nothing(desk: Desk) -> None:
    desk.publish()
    desk.pin(name="v1")
    desk.publish(NEXT)
    before = desk.texts()
    assert update(desk, dry_run=True).difference is not None
    assert desk.texts() == before


def test_the_tracked_branch_is_followed_and_survives_a_new_name(desk: Desk) -> None:
    desk.path.write_text(
        desk.path.read_text().replace("{repo: acme/tiny}", "{repo: acme/tiny, track: stable}")
    )
    desk.publish(branch="stable")
    desk.pin(name="v1")
    desk.publish({**FILES, "config.json": b"{}"})
    assert update(desk).current
    desk.publish(NEXT, branch="stable")
    desk.hub.rename("acme/tiny", "acme/tiny-2")
    version = update(desk, "v2").pinned.version
    assert version.source == HubSource("acme/tiny-2", "stable")


def test_a_branch_that_vanished_and_another_licence_change_nothing(desk: Desk) -> None:
    desk.publish()
    desk.pin(name="v1")
    desk.publish(NEXT, licence="mit")
    before = desk.texts()
    with pytest.raises(InputError, match="says its licence is 'mit'"):
        update(desk)
    desk.path.write_text(before[0].replace("{repo: acme/tiny}", "{repo: acme/tiny, track: gone}"))
    with pytest.raises(SourceError, match="has no revision gone"):
        update(desk)
    assert desk.texts()[1] == before[1]


def test_a_repository_that_moved_to_another_owner_is_no_update(desk: Desk) -> None:
    desk.publish()
    desk.pin(name="v1")
    desk.publish(NEXT)
    desk.hub.rename("acme/tiny", "mallory/tiny")
    with pytest.raises(RefusedError):
        update(desk)


def test_a_model_without_a_pinned_version_has_nothing_to_update(desk: Desk) -> None:
    desk.publish()
    with pytest.raises(InputError, match="no version that could be outdated"):
        update(desk)
    desk.path.write_text(desk.path.read_text() + "    versions:\n      new: {revision: main}\n")
    with pytest.raises(InputError, match="waits to be pinned"):
        update(desk)


BRACES = [
    "{{revision: {0}, candidate: true}}",
    "{{candidate: true, revision: {0}}}",
    "{{revision: {0}, candidate: true, env: {{TZ: UTC}}}}",
]


@pytest.mark.parametrize("written", BRACES)
def test_a_candidate_in_braces_is_accepted_too(desk: Desk, written: str) -> None:
    entry = written.format("1" * 40)
    desk.path.write_text(desk.path.read_text() + f"    versions:\n      v1: {entry}  # mine\n")
    assert accept_version(desk.path, "tiny@v1")
    assert "candidate" not in desk.path.read_text()
    assert "# mine" in desk.path.read_text()
    assert not load_registry(desk.path).version("tiny@v1").candidate


def test_a_model_with_candidates_alone_has_no_newest_version(desk: Desk) -> None:
    entry = f"    versions:\n      v1: {{revision: {'1' * 40}, candidate: true}}\n"
    desk.path.write_text(desk.path.read_text() + entry)
    registry = load_registry(desk.path)
    assert registry.version("tiny@v1").candidate
    with pytest.raises(InputError, match="candidates alone"):
        registry.version("tiny")
