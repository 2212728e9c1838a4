"""Fixtures of the host's side."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.hostside.router_lab import lab
from tests.hostside.router_site import Site


@pytest.fixture
def site() -> Iterator[Site]:
    with lab() as running:
        made = Site(running)
        yield made
        made.blue.stop()
        made.green.stop()
