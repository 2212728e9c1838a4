"""Two clients with keys, and a router that knows them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.hostside.router_lab import Lab
from tests.hostside.router_site import PATH, site_of
from toolkit.domain.clients.keys import KeyRing
from toolkit.planning.routing.keys import with_key

ANN, BOB = "tk-ann-" + "a" * 32, "tk-bob-" + "b" * 32


TINY = {"model": "tiny"}


@pytest.fixture(scope="module")
def locked() -> Iterator[Lab]:
    """A router with Ann's and Bob's keys, for cases that change nothing."""
    with site_of() as made:
        running = made.lab
        running.give(ring())
        yield running


def ring(**limits: int) -> KeyRing:
    """Return the keys of Ann, with limits, and of Bob, without."""
    return with_key(with_key(KeyRing(), "ann", ANN, now=1.0, **limits), "bob", BOB, now=2.0)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def status(running: Lab, key: str = "", path: str = PATH, body: Any = None) -> int:
    return running.ask(path, body or TINY, **(bearer(key) if key else {}))[0]
