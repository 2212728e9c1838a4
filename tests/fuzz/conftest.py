"""The place where parsers of files find their inputs."""

from __future__ import annotations

import pytest

from tests.fuzz import parser


@pytest.fixture(scope="session", autouse=True)
def _place(tmp_path_factory: pytest.TempPathFactory) -> None:
    parser.place = tmp_path_factory.mktemp("fuzz")
