"""`toolkit registry init`: the files that it writes, where, and what it never overwrites."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

from tests.cli.registry_desk import Desk
from toolkit.config.shipped import REGISTRY, SCHEMA, shipped_text


@pytest.fixture
def desk(
    short_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Desk:
    return Desk(short_path, capsys, monkeypatch)


def test_init_writes_the_shipped_files_and_never_overwrites(desk: Desk) -> None:
    first = desk("init")
    assert (first.code, first.out) == (
        0,
        "wrote model_registry.yaml\nwrote model_registry.schema.json\nnext: toolkit registry list\n",
    )
    assert desk.file.read_text() == shipped_text(REGISTRY)
    assert (desk.place / SCHEMA).read_text() == shipped_text(SCHEMA)
    assert desk("init").err == (
        "error: model_registry.yaml is here already, and is not overwritten\n"
        "hint: toolkit registry check\n"
    )
    desk.file.unlink()
    assert desk("init").out == "wrote model_registry.yaml\nnext: toolkit registry list\n"
    desk.file.unlink()
    (desk.place / SCHEMA).write_text("of another release")
    again = desk("init")
    assert (again.code, again.err) == (
        2,
        "error: model_registry.schema.json is here already, and is not overwritten\n"
        "hint: move it away, then toolkit registry init\n",
    )
    assert not desk.file.exists()


def test_init_writes_the_registry_that_other_commands_read(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its option and by the variable; and what is said of a missing one leads there."""
    missing = desk("list", "--registry", "some where/models.yaml")
    assert missing.err.endswith("hint: toolkit registry init --registry 'some where/models.yaml'\n")
    nowhere = desk("init", "--registry", "some where/models.yaml")
    assert nowhere.err.endswith("hint: mkdir -p 'some where'\n")
    (desk.place / "some where").mkdir()
    first = desk("init", "--registry", "some where/models.yaml")
    assert first.out.splitlines() == [
        "wrote some where/models.yaml",
        "wrote some where/model_registry.schema.json",
        "next: toolkit registry list --registry 'some where/models.yaml'",
    ]
    monkeypatch.setenv("TOOLKIT_REGISTRY", "mine.yaml")
    desk("init")
    assert desk("list").code == 0
    assert (desk.place / "mine.yaml").read_text() == shipped_text(REGISTRY)
    assert not desk.file.exists()


@pytest.mark.parametrize("name", [REGISTRY, SCHEMA])
@pytest.mark.parametrize("fault", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_init_that_is_cut_short_leaves_nothing_that_the_next_one_would_not_overwrite(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, fault: BaseException, name: str
) -> None:
    def broken(path: Path, *given: Any, **more: Any) -> Any:
        if given != ("x",) or path.name != name:
            return whole(path, *given, **more)
        path.touch()
        file = MagicMock()
        file.__enter__().write.side_effect = fault
        file.__exit__.return_value = False
        return file

    whole = Path.open
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", broken)
        assert desk("init").code in (2, 130)
    assert not desk.file.exists()
    assert not (desk.place / SCHEMA).exists()
    assert desk("init").code == 0
