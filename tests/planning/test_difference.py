"""What differs between two pinned versions, as an operator must know it before a deployment."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace

import pytest

from tests.planning.facts import release
from toolkit.domain.snapshot import FileDigest, Snapshot
from toolkit.planning.upkeep.difference import (
    Difference,
    behaviour_files,
    compare,
    what_alters,
)

BASE = {
    "config.json": b'{"hidden_size": 64, "rope_scaling": {"type": "yarn", "factor": 2}}',
    "generation_config.json": b'{"temperature": 0.7}',
    "tokenizer_config.json": b'{"chat_template": "{{ messages }}"}',
    "tokenizer.json": b"{}",
    "model.safetensors": b"w" * 1000,
}


def snapshot(files: Mapping[str, bytes]) -> Snapshot:
    digests = (
        FileDigest(path, len(data), hashlib.sha256(data).hexdigest())
        for path, data in files.items()
    )
    return Snapshot("acme/tiny", "1" * 40, tuple(digests))


def difference(changes: Mapping[str, bytes | None]) -> Difference:
    after = {path: data for path, data in {**BASE, **changes}.items() if data is not None}
    return compare(snapshot(BASE), snapshot(after), (BASE, after))


def test_equal_files_do_not_differ() -> None:
    found = difference({})
    assert found.lines == ("the files are the same",)
    assert (found.files, found.fields, found.behaviour, found.template) == ((), (), (), False)


CASES = {
    "another context": (
        {"config.json": b'{"hidden_size": 64, "rope_scaling": {"type": "yarn", "factor": 4}, "x": null}'},
        ("config.json",), False,
        ["config.json: rope_scaling.factor: 2 -> 4", "config.json: x: absent -> null"],
    ),
    "another sampling default": (
        {"generation_config.json": b"{}"}, ("generation_config.json",), False,
        ["generation_config.json: temperature: 0.7 -> absent"],
    ),
    "another template inside": (
        {"tokenizer_config.json": b'{"chat_template": "other"}'}, ("tokenizer_config.json",), True,
        ['tokenizer_config.json: chat_template: "{{ messages }}" -> "other"'],
    ),
    "a template of its own": (
        {"chat_template.jinja": b"hi"}, ("chat_template.jinja",), True, ["chat_template.jinja: new, 2 B"],
    ),
    "another tokenizer": (
        {"tokenizer.json": b"[]"}, ("tokenizer.json",), False, ["tokenizer.json: other bytes, 2 B"],
    ),
    "weights alone": (
        {"model.safetensors": b"v" * 2000}, (), False, ["model.safetensors: 1 kB -> 2 kB"],
    ),
    "a file that is gone": (
        {"generation_config.json": None}, ("generation_config.json",), False,
        ["generation_config.json: gone, 20 B"],
    ),
    "settings that are none": (
        {"config.json": b"\xff"}, ("config.json",), False,
        ["config.json: not comparable, it is no JSON mapping"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "behaviour", "template", "lines"), CASES.values(), ids=CASES.keys()
)
def test_a_change_is_told_by_file_field_and_effect(
    changes: Mapping[str, bytes | None], behaviour: tuple[str, ...], template: bool, lines: list[str]
) -> None:  # fmt: skip
    found = difference(changes)
    assert (found.behaviour, found.template) == (behaviour, template)
    said = [line.strip() for line in found.lines]
    assert [line for line in lines if line not in said] == []
    assert any("alters answers" in line for line in said) == bool(behaviour)


def test_sizes_and_memory_are_compared() -> None:
    after = {**BASE, "model.safetensors": b"w" * 3000}
    found = compare(snapshot(BASE), snapshot(after), memory=(10**9, 2 * 10**9))
    assert found.size[1] - found.size[0] == 2000
    assert found.lines[-1] == "least memory 1 GB -> 2 GB"
    unknown = compare(snapshot(BASE), snapshot(after), memory=(10**9, None))
    assert not any("memory" in line for line in unknown.lines)


def test_a_long_value_is_cut_and_many_fields_end() -> None:
    long = json.dumps({"a": "x" * 500, **{f"f{number}": number for number in range(500)}}).encode()
    found = difference({"config.json": long})
    assert len(found.fields) == 200
    assert max(len(each.after) for each in found.fields) == 60


def test_what_alters_answers_is_told_from_release_to_release() -> None:
    before = replace(release(1), args=("--dtype", "auto", "--a", "1"), env={"X": "1"})
    after = replace(
        before, number=2, version="v2", engine="vllm-0.33.0-cpu-py311-bbbbbbbb",
        args=("--dtype", "auto", "--a=2", "--eager"), env={},
    )  # fmt: skip
    files = (snapshot(BASE), snapshot({**BASE, "generation_config.json": b"{}"}))
    assert what_alters(before, after, files) == (
        "alters answers: generation_config.json, not as in v1",
        f"another engine: {before.engine} -> {after.engine}",
        "another option: --a 1 -> 2",
        "another option: --eager absent -> set",
        "another option: X 1 -> absent",
    )
    assert what_alters(before, before, (None, files[1])) == ()


def test_the_plan_learns_which_small_files_alter_answers() -> None:
    after = snapshot({**BASE, "tokenizer.json": b"[]", "README.md": b"new"})
    assert behaviour_files(snapshot(BASE), after) == ("tokenizer.json",)
