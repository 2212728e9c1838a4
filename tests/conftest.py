"""What tests of several kinds use."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.adapters.postgres_lab import PostgresLab, postgres_server, require_postgresql
from tests.fleet.lab import FleetLab, fleet_lab
from tests.fleet.machine import require_hosts

# No test writes into the history of whoever runs it.
os.environ.pop("TOOLKIT_HISTORY", None)


@pytest.fixture
def fleet() -> Iterator[Callable[..., FleetLab]]:
    """Boots hosts for this test: `fleet(3)`, or with the arguments of `fleet_lab`; skips where that cannot be."""
    require_hosts()
    with ExitStack() as stack:
        yield lambda hosts, **options: stack.enter_context(fleet_lab(hosts, **options))


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresLab]:
    """A server for all tests, each with a database of its own; skips where that cannot be."""
    require_postgresql()
    with postgres_server() as lab:
        yield lab
