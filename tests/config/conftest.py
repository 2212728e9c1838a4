"""What the tests of golden prompts share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from toolkit.adapters.matching.matching import matching
from toolkit.domain.gates.golden import Fits


@pytest.fixture(scope="module")
def fits() -> Iterator[Fits]:
    with matching(seconds=0.05) as found:
        yield found
