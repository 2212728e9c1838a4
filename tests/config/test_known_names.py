"""Names that commands have met are offered only where a terminal can show them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from toolkit.config.completion.known_names import FILE, known_hosts, known_keys, remember


@pytest.mark.parametrize("name", ["\ud800", "a\x1b[2J", "a\nb", "a\u202eb", ""])
def test_a_damaged_file_offers_no_name_that_gives_a_terminal_an_order(
    tmp_path: Path, name: str
) -> None:
    fleet = tmp_path / "hosts.ini"
    fleet.write_text("[all]\n")
    remember(tmp_path, str(fleet), hosts=["gpu1"], keys=["ann"])
    assert known_hosts(tmp_path, str(fleet)) == ["gpu1"]
    text = (tmp_path / FILE).read_text()
    told = text.replace('"gpu1"', f'"gpu1", {json.dumps(name)}')
    (tmp_path / FILE).write_text(told.replace('"ann"', f'{json.dumps(name)}, "ann"'))
    assert known_hosts(tmp_path, str(fleet)) == ["gpu1"]
    assert known_keys(tmp_path, str(fleet)) == ["ann"]
