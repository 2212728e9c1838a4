"""What tests of several kinds use."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.adapters.postgres_lab import PostgresLab, postgres_server, require_postgresql
from tests.fleet.lab import FleetLab, fleet_lab
from tests.fleet.machine import require_hosts

# Their tests share a host that is this very machine, which can be provisioned once at a time.
ON_THIS_MACHINE = ("tests/adapters/test_host_contract.py", "tests/adapters/test_host_real.py")

# What a shell starts in the background ignores Ctrl-C, and so does all that it starts. Some tests press it.
signal.signal(signal.SIGINT, signal.default_int_handler)

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


class FileByFile(LoadScopeScheduling):
    """Gives each worker whole files, which share their fixtures, in the order in which they were collected."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return ON_THIS_MACHINE[0] if file in ON_THIS_MACHINE else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FileByFile:
    config.option.loadscopereorder = False
    return FileByFile(config, log)
