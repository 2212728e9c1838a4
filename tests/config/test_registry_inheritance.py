"""One list of what a version takes from its model, read off the schema: no field of it is named here."""

from __future__ import annotations

import json
import typing
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from toolkit.config.registry.entry_parts import SourceSpec
from toolkit.config.registry.faults import _strip
from toolkit.config.registry.inheritance import INHERITED, MERGED, REQUIRED
from toolkit.config.registry.merge import merge_registry
from toolkit.config.registry.reading import RegistryFile, parse_registry
from toolkit.config.registry.schema import Entry, VersionSpec
from toolkit.domain.registry.model import Version

OWN = {"revision": "1" * 40}


def sample(field: FieldInfo) -> Any:
    """Return a value that may stand in the field, made of the schema's examples."""
    if field.examples:
        return field.examples[0]
    part = _strip(field.annotation)
    if typing.get_origin(part) is list:
        return [block(typing.get_args(part)[0])]
    return block(part)


def block(part: type[BaseModel]) -> dict[str, Any]:
    names = ["repo"] if part is SourceSpec else list(part.model_fields)
    return {name: sample(part.model_fields[name]) for name in names}


SAMPLES = {name: sample(field) for name, field in Entry.model_fields.items()}


def registry(model: dict[str, Any], version: dict[str, Any]) -> RegistryFile:
    """Return the registry with one model, `tiny`, and its version `v1`."""
    data = {"models": {"tiny": {**model, "versions": {"v1": {**OWN, **version}}}}}
    return parse_registry(Path("r.yaml"), json.dumps(data))


def only(file: RegistryFile) -> Version:
    return file.registry.version("tiny@v1")


def test_every_field_of_a_versions_block_is_one_of_the_domains() -> None:
    assert set(VersionSpec.model_fields) <= {field.name for field in fields(Version)}
    assert set(Entry.model_fields) <= set(INHERITED)
    assert set(REQUIRED) | set(MERGED) <= set(INHERITED)


@pytest.mark.parametrize("name", Entry.model_fields)
def test_a_field_means_the_same_in_the_model_and_in_the_version(name: str) -> None:
    rest = {other: SAMPLES[other] for other in REQUIRED if other != name}
    of_model = only(registry({**rest, name: SAMPLES[name]}, {}))
    of_version = only(registry(rest, {name: SAMPLES[name]}))
    assert of_model == of_version
    if name not in REQUIRED:
        assert getattr(of_model, name) != getattr(only(registry(rest, {})), name)


@pytest.mark.parametrize("name", MERGED)
def test_a_versions_entries_are_added_to_its_models(name: str) -> None:
    needed = {other: SAMPLES[other] for other in REQUIRED}
    entries = {"serving": {"max-num-seqs": 4}, "env": {"TZ": "UTC"}}[name]
    found = only(registry({**needed, name: entries}, {name: SAMPLES[name]}))
    assert getattr(found, name) == {**entries, **SAMPLES[name]}


@pytest.mark.parametrize("name", Entry.model_fields)
def test_a_version_from_a_bundle_brings_what_its_model_there_gave_it(name: str) -> None:
    needed = {other: SAMPLES[other] for other in REQUIRED}
    bundled = registry({**needed, name: SAMPLES[name]}, {})
    other = json.dumps({**OWN, **needed})
    here = f"models:\n  tiny:\n    versions:\n      other: {other}\n"
    merged = merge_registry(parse_registry(Path("here.yaml"), here), bundled)
    assert only(merged.file) == only(bundled)
