"""A bundle made elsewhere, and the site that it is brought to."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from tests.workflows.bundled import WEIGHTS, Office

DIGEST = hashlib.sha256(WEIGHTS).hexdigest()


WHEEL = "wheels/anchor-1.0-py3-none-any.whl"


@pytest.fixture(scope="module")
def carried(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of both versions of `tiny` and of `other`, made elsewhere."""
    place = tmp_path_factory.mktemp("made")
    office = Office(place / "office")
    office.stock()
    return office.create(place / "bundle", "tiny@v1", "tiny@v2", "other")


@pytest.fixture
def bundle(carried: Path, tmp_path: Path) -> Path:
    """The bundle as it came over: a copy that a test may damage."""
    return Path(shutil.copytree(carried, tmp_path / "usb"))


@pytest.fixture
def site(tmp_path: Path) -> Office:
    return Office(tmp_path / "site")


def damage(path: Path) -> None:
    data = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
