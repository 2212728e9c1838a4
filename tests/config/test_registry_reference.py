"""What is generated from the schema is today's, and says what the schema says."""

from __future__ import annotations

import json
from pathlib import Path

from scripts.registry_reference import reference_text, schema_text
from toolkit.config.registry.entry_parts import (
    CheckSpec,
    PermissionSpec,
    ResourcesSpec,
    SourceSpec,
)
from toolkit.config.registry.reading import load_registry
from toolkit.config.registry.schema import Entry, LicencesSpec, ModelSpec, VersionSpec
from toolkit.config.shipped import SCHEMA, shipped_text

ROOT = Path(__file__).resolve().parents[2]


def test_the_shipped_schema_and_the_reference_are_todays() -> None:
    assert shipped_text(SCHEMA) == schema_text()
    assert (ROOT / "docs" / "registry.md").read_text() == reference_text()


def test_the_reference_explains_every_field() -> None:
    text = reference_text()
    for part in (CheckSpec, Entry, LicencesSpec, ModelSpec, PermissionSpec, ResourcesSpec,
                 SourceSpec, VersionSpec):  # fmt: skip
        for name, field in part.model_fields.items():
            assert f"| `{name}` |" in text
            assert field.description, name


def test_the_schema_knows_fields_names_and_no_null() -> None:
    document = json.loads(schema_text())
    version = document["$defs"]["VersionSpec"]
    assert version["required"] == ["revision"]
    assert version["additionalProperties"] is False
    assert version["properties"]["revision"]["pattern"] == "^[0-9a-f]{40}$"
    assert version["properties"]["openness"]["enum"] == ["fully-open", "open-weights"]
    assert "null" not in json.dumps(document)


def test_the_example_of_the_reference_is_a_registry(tmp_path: Path) -> None:
    example = reference_text().split("```yaml\n")[1].split("```")[0]
    path = tmp_path / "r.yaml"
    path.write_text(example)
    assert load_registry(path).version("qwen-7b").title == "qwen-7b@2.5"
