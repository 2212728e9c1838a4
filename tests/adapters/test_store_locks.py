"""Directories of the store that processes lock, make and remove at the same moment."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.adapters.store.files import locked


def test_a_directory_that_goes_while_it_is_made_is_not_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "partial"
    place.mkdir()
    is_dir = Path.is_dir

    def gone_by_then(path: Path) -> bool:
        # `mkdir` has found the directory, and looks whether it is one.
        if path == place and place.exists():
            place.rmdir()
        return is_dir(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "is_dir", gone_by_then)
        with locked(place) as mine:
            assert not mine
    with locked(place) as mine:
        assert mine


def test_a_file_in_the_place_of_a_directory_is_an_error(tmp_path: Path) -> None:
    place = tmp_path / "partial"
    place.touch()
    with pytest.raises(FileExistsError), locked(place):
        pass
