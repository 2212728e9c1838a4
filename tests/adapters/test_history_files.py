"""The files of a history in SQLite, while another command writes to it: its journal comes and goes."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from toolkit.adapters.history.files import irregular


@pytest.mark.parametrize("ending", ["", "-journal", "-wal", "-shm"])
def test_a_pipe_a_directory_and_a_link_to_nothing_are_named(tmp_path: Path, ending: str) -> None:
    base = tmp_path / "history.db"
    odd = tmp_path / f"history.db{ending}"
    assert irregular(base) == ""
    os.mkfifo(odd)
    assert irregular(base) == odd.name
    odd.unlink()
    odd.mkdir()
    assert irregular(base) == odd.name
    odd.rmdir()
    odd.symlink_to(tmp_path / "elsewhere")
    assert irregular(base) == odd.name
    (tmp_path / "elsewhere").touch()
    assert irregular(base) == ""


def test_a_journal_that_comes_and_goes_is_no_fault(tmp_path: Path) -> None:
    journal, ended = tmp_path / "history.db-journal", threading.Event()

    def write() -> None:
        while not ended.is_set():
            journal.touch()
            journal.unlink()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert {irregular(tmp_path / "history.db") for _ in range(20_000)} == {""}
    finally:
        ended.set()
        writer.join()
