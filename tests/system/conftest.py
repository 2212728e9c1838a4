"""The lab of the whole-system tests, set up once for all of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from demo.lab import Lab
from tests.system.served import Served, lab_with_engine, lab_with_versions


@pytest.fixture(scope="session")
def engine_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with lab_with_engine(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@pytest.fixture(scope="session")
def served(engine_lab: Lab) -> Iterator[Served]:
    with lab_with_versions(engine_lab) as served:
        yield served
