"""The relay's own answers are for the routers of other hosts, and not for the replicas beside it."""

from __future__ import annotations

import contextlib
import http.client

import pytest

from tests.hostside.keyed import ANN, TINY, bearer, ring
from tests.hostside.router_lab import free_port, lab, patient
from tests.hostside.router_site import PATH, Site

ADMIT = {"X-Toolkit-Key": "ann", "X-Toolkit-Limit": "1000000"}


def told(address: str, port: int, path: str, headers: dict[str, str]) -> int:
    """Return the status of one answer of the relay at this address."""
    client = http.client.HTTPConnection(address, port, timeout=60)
    with contextlib.closing(client):
        client.request("GET", path, headers=headers)
        return client.getresponse().status


@pytest.mark.parametrize(
    ("address", "expected", "then"), [("127.0.0.1", 404, 200), ("127.0.0.2", 200, 429)]
)
def test_only_over_the_network_a_relay_counts_requests_of_a_key(
    address: str, expected: int, then: int
) -> None:
    port = free_port()
    relay = f"127.0.0.2:{port}"
    with lab(router_relay_bind=relay, router_relays=[relay]) as running:
        site = Site(running)
        patient(running)
        running.give(ring(per_minute=2))
        for _ in range(2):
            assert told(address, port, "/admit", ADMIT) == expected
        assert running.ask(PATH, TINY, **bearer(ANN))[0] == then
        site.blue.stop()
        site.green.stop()
