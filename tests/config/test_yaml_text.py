"""What every file in YAML is held to, whatever it is about."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml.scanner import Scanner

from toolkit.config.costs.reading import load_costs
from toolkit.config.golden.reading import read_golden
from toolkit.config.inventory.fleet import load_fleet
from toolkit.config.notify import load_notify
from toolkit.config.registry.reading import load_registry, registry_faults
from toolkit.config.schedule import load_schedule
from toolkit.config.yaml_text import read_yaml
from toolkit.errors import InputError

# Reader -> a file of it, with `%s` where a person writes a name or a text.
FILES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "registry": (load_registry, "policy: {licences: {allowed: [%s]}}\nmodels: {}\n"),
    "a name in a registry": (load_registry, "models:\n  %s:\n    licence: mit\n"),
    "schedule": (load_schedule, "time_zone: UTC\nwindows:\n  %s: {}\n"),
    "notifications": (load_notify, "hooks:\n  before:\n    run: [/bin/ask, %s]\n"),
    "a place of a secret": (load_notify, "channels:\n- name: a\n  apprise: {file: %s}\n"),
    "costs": (lambda path: load_costs(path, date(2026, 1, 1)), "currency: EUR\nhosts:\n  %s: {}\n"),
    "inventory": (load_fleet, "all:\n  hosts:\n    a: {ansible_become_password: %s}\n"),
    "a group of an inventory": (load_fleet, "all:\n  children:\n    %s: {hosts: {a: }}\n"),
    "another program's variable": (load_fleet, "all:\n  hosts:\n    a: {colour: %s}\n"),
    "golden prompts": (
        lambda path: read_golden(path, lambda _: ""),
        "- expect: {exact: a}\n  sampling: {}\n  prompt: %s\n",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    "sign", ["\\ud800", "\\uDFFF", "\\U0000D800", "\\ud83d\\ude00", "\\0", "\\x00"]
)
@pytest.mark.parametrize("name", FILES)
def test_no_file_has_by_an_escape_what_no_path_and_no_output_can_have(
    tmp_path: Path, name: str, sign: str
) -> None:
    read, text = FILES[name]
    path = tmp_path / "file.yaml"
    path.write_text(text % f'"/a{sign}b"')
    with pytest.raises(InputError) as caught:
        read(path)
    place = f"{path}:{text[: text.index('%s')].count(chr(10)) + 1}:"
    assert caught.value.message.startswith(place)
    assert "a text with the control character '\\" in caught.value.message
    assert caught.value.hint == "write it without"
    caught.value.message.encode()


def test_errors_about_other_faults_can_be_printed_too() -> None:
    text = 'models:\n  tiny:\n    "\\ud800": 1\n    versions: {"a\\ud800": {revision: "\\ud800"}}\n'
    faults = registry_faults(Path("model_registry.yaml"), text)
    assert len(faults) == 3
    for fault in faults:
        fault.message.encode()


@pytest.mark.parametrize("text", ["[" * 20_000, '{"a":' * 4000, "a:\n  b: " + "[" * 1000])
def test_brackets_without_an_end_are_refused_after_the_first_ones(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """For each of a thousand the reader of tokens looked at all that are open, which took up to half a second."""
    looks, look = list[int](), Scanner.stale_possible_simple_keys
    monkeypatch.setattr(
        Scanner, "stale_possible_simple_keys", lambda each: (looks.append(1), look(each))
    )
    document, faults = read_yaml(Path("x.yaml"), text)
    assert [each.message for each in faults] == ["nested deeper than 16 levels"]
    assert document.data is None
    assert len(looks) < 300


@pytest.mark.parametrize("sign", ['"\\U0001F600"', '"\\t"', '"a\\nb"', "\U0001f600", '"\\u00e9"'])
def test_other_escapes_are_read(tmp_path: Path, sign: str) -> None:
    path = tmp_path / "file.yaml"
    path.write_text(f"hooks: {{before: {{run: [/bin/ask, {sign}]}}}}\n", "utf-8")
    settings = load_notify(path)
    assert settings.before and len(settings.before.run) == 2
