"""A path that leads nowhere is no traceback: whoever opens it says why."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.config.paths import absolute, expanded
from toolkit.config.registry.lock_file import write_text
from toolkit.config.text_file import read_text
from toolkit.errors import InputError


def test_a_link_to_itself_has_a_path_and_no_text(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert absolute(loop) == loop
    assert absolute(loop / "below") == loop / "below"
    with pytest.raises(InputError, match="Too many levels of symbolic links"):
        read_text(loop, limit=9)
    with pytest.raises(InputError, match="Too many levels of symbolic links"):
        write_text(loop / "below", "x")


def test_the_home_of_a_user_whom_nobody_knows_is_a_plain_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expanded("~/registry.yaml") == tmp_path / "registry.yaml"
    assert expanded("~nobody-has-this-name/x") == Path("~nobody-has-this-name/x")
    assert absolute("~nobody-has-this-name/x") == tmp_path / "~nobody-has-this-name/x"
