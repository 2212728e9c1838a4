"""pip's own settings, which uv gets: `pip config list` writes each value as Python does."""

from __future__ import annotations

import subprocess
from types import SimpleNamespace

import pytest

from toolkit.adapters.engines.packages import pip_settings


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("global.index-url='https://a/simple'\n", {"UV_DEFAULT_INDEX": "https://a/simple"}),
        (
            'global.find-links="\\nhttps://a/x\\n/o\'brien"\n',
            {"UV_FIND_LINKS": "https://a/x,/o'brien"},
        ),
        ("global.index-url=''\nglobal.timeout='5'\n", {}),
        ("global.index-url='https://a\nglobal.find-links=https://b\n", {}),
    ],
    ids=["one", "several lines, a quote", "empty", "not as pip writes it"],
)
def test_values_are_read_as_pip_means_them(
    monkeypatch: pytest.MonkeyPatch, said: str, found: dict[str, str]
) -> None:
    for name in ("UV_DEFAULT_INDEX", "UV_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: SimpleNamespace(stdout=said))
    assert pip_settings() == found
