"""Whether this machine can run whole hosts at all."""

from __future__ import annotations

import pytest

from tests.fleet.machine import require_hosts


@pytest.fixture(autouse=True)
def _able() -> None:
    require_hosts()
