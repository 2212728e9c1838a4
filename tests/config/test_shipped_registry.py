"""The shipped registry as other programs read it: YAML 1.1 parsers, linters, and editors by its JSON Schema."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML
from yamllint import linter
from yamllint.config import YamlLintConfig

from toolkit.config.registry.reading import load_registry

ROOT = Path(__file__).parents[2]
PATH = ROOT / "model_registry.yaml"
SCHEMA = json.loads((ROOT / "model_registry.schema.json").read_text())


def test_a_parser_of_yaml_1_1_reads_the_same_as_ours() -> None:
    text = PATH.read_text()
    assert yaml.safe_load(text) == YAML(typ="safe").load(text)
    assert load_registry(PATH).models.keys() == yaml.safe_load(text)["models"].keys()


def test_the_linter_of_yaml_has_nothing_to_say_with_its_default_rules() -> None:
    found = linter.run(PATH.read_text(), YamlLintConfig("extends: default"))
    assert [str(each) for each in found] == []


def faults(data: Any) -> list[str]:
    return [each.message for each in Draft202012Validator(SCHEMA).iter_errors(data)]


def test_the_schema_takes_it() -> None:
    assert faults(yaml.safe_load(PATH.read_text())) == []


WRONG: dict[str, Callable[[Any], None]] = {
    "a top field": lambda data: data.update(model={}),
    "a licence rule": lambda data: data["policy"]["licences"].update(forbidden=[]),
    "a field of a model": lambda data: _model(data).update(license="mit"),
    "a field of a version": lambda data: _model(data)["versions"]["2.5"].update(rev="0" * 40),
    "a field of a source": lambda data: _model(data)["source"].update(branch="main"),
    "a field of an engine": lambda data: _model(data)["engine"].update(release="1"),
    "a field of resources": lambda data: _model(data)["resources"].update(gpus=1),
    "a field of a check": lambda data: _model(data)["checks"][0].update(expect="x"),
    "a field of a guard": lambda data: _model(data).update(guard={"canarie": {}}),
    "a field of a permission": lambda data: _version(data).update(permission={"because": "x"}),
    "a field of an adapter": lambda data: _model(data).update(adapters={"sql": {"repo": "a/b"}}),
    "a model's name": lambda data: data["models"].update({"Qwen 7B": _model(data)}),
    "a version's name": lambda data: _model(data)["versions"].update({"v 1": _version(data)}),
    "an adapter's name": lambda data: _model(data).update(
        adapters={"../sql": {"source": {"repo": "a/b"}, "revision": "0" * 40}}
    ),
}


def _model(data: Any) -> Any:
    return data["models"]["qwen-7b"]


def _version(data: Any) -> Any:
    return _model(data)["versions"]["2.5"]


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG.keys())
def test_the_schema_refuses_a_wrongly_named_entry(change: Callable[[Any], None]) -> None:
    data = copy.deepcopy(yaml.safe_load(PATH.read_text()))
    change(data)
    assert faults(data) != []
