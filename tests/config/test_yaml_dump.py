"""YAML for others: LiteLLM and Ansible read version 1.1, in which a model's name may be a truth or a number."""

from __future__ import annotations

import pytest
import yaml
from ruamel.yaml import YAML

from toolkit.config.yaml_dump import dump_yaml

TEXTS = (
    *("on", "off", "yes", "no", "y", "n", "Yes", "ON", "true", "null", "~", "1:30", "12:30:00", "1:2.5", "+1:30"),
    *("010", "08", "1e3", "1_000", "0x1f", "0o17", "1.5", ".5", ".inf", "2026-01-01", "<<", "=", ""),
    *("- a", "a: b", "a #b", "!!python/object/apply:os.system [id]", "{{ 7*7 }}", "\u2028", "\x1b[31m", "a\nb: c\n"),
)  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_the_same_text_in_both_versions_of_yaml(text: str) -> None:
    written = dump_yaml({"names": [text], text: 1})
    expected = {"names": [text], text: 1}
    assert yaml.safe_load(written) == expected
    assert YAML(typ="safe", pure=True).load(written) == expected


def test_other_values_stay_what_they_are() -> None:
    assert dump_yaml({"a": True, "b": None, "c": 90, "d": "tiny"}) == (
        "a: true\nb: null\nc: 90\nd: tiny\n"
    )
