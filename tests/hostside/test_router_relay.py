"""The relay's own answers are for the routers of other hosts, and not for the replicas beside it."""

from __future__ import annotations

import contextlib
import http.client
from pathlib import Path

import pytest

from tests.hostside.keyed import ANN, TINY, bearer, ring
from tests.hostside.router_lab import free_port, lab, patient, router_socket
from tests.hostside.router_site import PATH, Site
from tests.hostside.test_router_fleet import Pair, pair
from toolkit.planning.routing.edits import with_weights

__all__ = ["pair"]

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


@pytest.mark.parametrize("path", [PATH, f"/m/tiny{PATH}"], ids=["by body", "by path"])
def test_a_large_body_that_a_relay_hands_to_no_replica_gets_its_refusal(
    pair: Pair, path: str
) -> None:
    """It comes while the body is on its way, which a closed connection would cut."""
    pair.apply(with_weights(pair.routes, "tiny", {"a.blue": 0}))
    base = Path(pair.routers["b"].directory, "haproxy.cfg")
    found = "    http-request set-var(txn.relay) var(txn.target),concat(/,txn.asked),map_str(relay.map)\n"
    text = base.read_text()
    assert text.count(found) == 1
    lost = "    http-request unset-var(txn.relay) if { req.body_size gt 9000 }\n"
    base.write_text(text.replace(found, found + lost))
    router_socket.reload(pair.routers["b"].directory)
    asked = pair.routers["a"]
    for _ in range(6):
        # After each refusal it gets nothing new until its host's next word.
        asked.up("tiny", "b.blue")
        status, answer, headers = asked.ask(path, b'{"model":"tiny"}'.ljust(15_000_000))
        assert (status, answer["error"]["code"]) == (503, "no_replica")
        assert headers["Retry-After"] == "1"
