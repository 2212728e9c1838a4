"""A router with keys and small limits, and connections to it."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.hostside.keyed import ring
from tests.hostside.router_lab import Lab
from tests.hostside.router_site import site_of

LARGE = b'{"model":"tiny","x":"' + b"x" * 2_000_000 + b'"}'


@pytest.fixture(scope="module")
def locked() -> Iterator[Lab]:
    """A router with keys and small limits."""
    limits = {
        "router_head_timeout": "1s",
        "router_client_silence": "2s",
        "router_large_bodies_of_key": 2,
        "router_medium_bodies_of_key": 3,
        "router_connections_per_address": 20,
    }
    with site_of(**limits) as made:
        running = made.lab
        running.give(ring())
        yield running


def connected(running: Lab, source: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection(
        ("127.0.0.1", running.port), timeout=10, source_address=(source, 0)
    )
