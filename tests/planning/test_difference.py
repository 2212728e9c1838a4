"""What differs between two pinned versions, as an operator must know it before a deployment."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import pytest

from toolkit.domain.files.snapshot import FileDigest, Snapshot
from toolkit.planning.upkeep.difference import (
    Difference,
    compare,
    compared_files,
    file_changes,
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
    "another pooling of vectors": (
        {"1_Pooling/config.json": b'{"pooling_mode_cls_token": true}'}, ("1_Pooling/config.json",), False,
        ["1_Pooling/config.json: pooling_mode_cls_token: absent -> true"],
    ),
    "another part of an embedding model": (
        {"modules.json": b'[{"type": "Transformer"}, {"type": "Normalize"}]'}, ("modules.json",), False,
        ['modules.json: 1.type: absent -> "Normalize"'],
    ),
    "other prompts of an embedding model": (
        {"config_sentence_transformers.json": b'{"prompts": {"query": "Q: "}}'},
        ("config_sentence_transformers.json",), False,
        ['config_sentence_transformers.json: prompts.query: absent -> "Q: "'],
    ),
    "shorter texts of an embedding model": (
        {"sentence_bert_config.json": b'{"max_seq_length": 256}'}, ("sentence_bert_config.json",), False,
        ["sentence_bert_config.json: max_seq_length: absent -> 256"],
    ),
    "other images": (
        {"preprocessor_config.json": b'{"size": {"height": 224}}'}, ("preprocessor_config.json",), False,
        ["preprocessor_config.json: size.height: absent -> 224"],
    ),
    "a template for tools": (
        {"additional_chat_templates/tool_use.jinja": b"hi"}, ("additional_chat_templates/tool_use.jinja",), True,
        ["additional_chat_templates/tool_use.jinja: new, 2 B"],
    ),
    "a shorter answer": (
        {"generation_config.json": b'{"temperature": 0.7, "max_new_tokens": 16}'},
        ("generation_config.json",), False, ["generation_config.json: max_new_tokens: absent -> 16"],
    ),
    "settings that are none": (
        {"config.json": b"\xff"}, ("config.json",), False,
        ["config.json: its fields are not compared: one of both texts is gone, or no JSON mapping"],
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


def test_a_plan_lists_fields_small_files_and_the_rest_in_a_line() -> None:
    found = difference(
        {
            "generation_config.json": b'{"temperature": 0.7, "max_new_tokens": 64}',
            "tokenizer.json": b"[]",
            "model.safetensors": b"v" * 2000,
        }
    )
    assert [(each.subject, each.before, each.after) for each in file_changes(found)] == [
        ("generation_config.json: max_new_tokens", "", "64"),
        ("tokenizer.json", "2 B", "2 B, other bytes"),
        ("weights and other files", "1 kB", "2 kB (model.safetensors)"),
    ]
    assert file_changes(difference({})) == ()


def test_contents_are_needed_of_the_small_files_that_differ() -> None:
    after = snapshot({**BASE, "generation_config.json": b"{}", "tokenizer.json": b"[]"})
    assert compared_files(after, snapshot(BASE)) == ("generation_config.json",)
    assert compared_files(after, after) == ()


def test_the_name_of_a_field_is_shown_in_short() -> None:
    text = json.dumps({"temperature": 0.7, "x" * 10**6: 1}).encode()
    (field,) = difference({"generation_config.json": text}).fields
    assert len(field.name) <= 200


def test_a_field_of_any_name_and_value_is_one_line() -> None:
    """A line break in a name made a line of its own, such as one that begins with `error:`."""
    text = json.dumps({"a\nerror: no": "\x9b2J\u202e"}).encode()
    lines = difference({"config.json": text}).lines
    assert any(r"a\nerror: no" in line for line in lines)
    assert all(line.isprintable() for line in lines)
