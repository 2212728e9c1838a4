"""What tests of several kinds use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.fleet.lab import FleetLab, fleet_lab
from tests.fleet.machine import require_hosts


@pytest.fixture
def fleet() -> Iterator[Callable[..., FleetLab]]:
    """Boots hosts for this test: `fleet(3)`, or with the arguments of `fleet_lab`; skips where that cannot be."""
    require_hosts()
    with ExitStack() as stack:
        yield lambda hosts, **options: stack.enter_context(fleet_lab(hosts, **options))
