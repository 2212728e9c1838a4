"""A number that Python takes for infinite is none in a document of the host, however it is written."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

INFINITE = (
    "Infinity",
    "-Infinity",
    "NaN",
    "1e400",
    "-1.5E+0400",
    "1" + 400 * "0",
    "1" + 300 * "0" + "e10",
)
FINITE = ("1e10", "-1.5E+300", "1e-400", "1" + 300 * "0")


@pytest.mark.parametrize("number", INFINITE)
def test_an_infinite_number_is_none(tmp_path: Path, number: str) -> None:
    documents, settings = map(importlib.import_module, ("documents", "host_settings"))
    (tmp_path / "settings.json").write_text(f'{{"a": {number}}}')
    with pytest.raises(ValueError):
        documents.parsed(f'{{"a": {number}}}')
    assert settings.read(str(tmp_path)) is None


@pytest.mark.parametrize("number", FINITE)
def test_a_finite_number_is_read(tmp_path: Path, number: str) -> None:
    settings = importlib.import_module("host_settings")
    (tmp_path / "settings.json").write_text(f'{{"a": {number}, "b": "12e45"}}')
    found = settings.read(str(tmp_path))
    assert (float(found["a"]), found["b"]) == (float(number), "12e45")
