"""The door: what a client without a key may hold, and for how long."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostside.door_lab import connected, locked
from tests.hostside.keyed import ANN, BOB, TINY, bearer, ring
from tests.hostside.router_lab import Lab, free_port, lab, until
from tests.hostside.router_site import PATH, Site
from tests.hostside.test_router_tls import certificate, place
from tests.pace import Pace

__all__ = ["locked"]


def closed(connection: socket.socket) -> bool:
    """Return whether the router ends the connection, within 10 s, whatever it says before."""
    try:
        while connection.recv(65536):
            pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"G",
        b"GET /v1/models HTTP/1.1\r\nHost: x\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        f"POST {PATH} HTTP/1.1\r\nHost: x\r\nX: ".encode() + b"h" * 10_000,
    ],
    ids=["nothing", "a letter", "half a head", "a preface", "a long head"],
)
def test_headers_that_do_not_come_end_the_connection(locked: Lab, sent: bytes, pace: Pace) -> None:
    with connected(locked) as raw:
        raw.sendall(sent)
        began = pace()
        assert closed(raw)
        assert pace() - began < 4


def test_headers_that_drip_end_the_connection(locked: Lab, pace: Pace) -> None:
    began = pace()
    with connected(locked) as raw, contextlib.suppress(ConnectionError):
        raw.sendall(b"GET /v1/models HTTP/1.1\r\nHost: x\r\n")
        while pace() - began < 5:
            raw.sendall(b"X: y\r\n")
            time.sleep(0.1)
    assert pace() - began < 4


def test_headers_above_the_buffer_are_refused_at_once(pace: Pace) -> None:
    # With a second to send them in, their end would close the connection as well.
    with lab(router_head_timeout="60s") as running:
        running.give(ring())
        with connected(running) as raw:
            with contextlib.suppress(ConnectionError):
                raw.sendall(b"GET / HTTP/1.1\r\nX: " + b"h" * 100_000)
            began = pace()
            assert closed(raw)
            assert pace() - began < 5


@pytest.mark.parametrize("size", [5_000, 100_000, 5_000_000])
def test_a_body_that_stands_still_ends_the_request(locked: Lab, size: int, pace: Pace) -> None:
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nx-api-key: {ANN}\r\nContent-Length: {size}\r\n\r\n"
    with connected(locked) as raw:
        raw.sendall(head.encode() + b"{")
        began = pace()
        answer = http.client.HTTPResponse(raw)
        answer.begin()
        assert (answer.status, json.load(answer)["error"]["code"]) == (408, "request_timeout")
        assert pace() - began < 4


def test_a_replica_may_be_silent_for_longer_than_a_client(locked: Lab) -> None:
    # The router's clients may be silent for 2 s.
    assert locked.ask(PATH, {**TINY, "pause": 2.2}, **bearer(ANN))[0] == 200


def is_kept(connection: socket.socket) -> bool:
    """Whether the router has not ended a connection until now."""
    connection.setblocking(False)
    try:
        connection.recv(1)
    except BlockingIOError:
        return True
    except ConnectionError:
        return False
    return False


def test_an_address_has_so_many_connections_without_a_key() -> None:
    # None of them may end for its silence while they are counted.
    with (
        lab(router_head_timeout="120s", router_connections_per_address=20) as running,
        contextlib.ExitStack() as stack,
    ):
        site, made = Site(running), []
        stack.callback(site.blue.stop)
        stack.callback(site.green.stop)
        running.give(ring())
        for _ in range(60):
            with contextlib.suppress(ConnectionError):
                made.append(stack.enter_context(connected(running, "127.0.0.7")))
        until(lambda: sum(map(is_kept, made)) <= 20)
        time.sleep(0.2)
        assert sum(map(is_kept, made)) == 20
        # nobody else is concerned
        assert running.ask(PATH, TINY, **bearer(ANN))[0] == 200


def asked(source: str, running: Lab) -> int:
    """Return the status of a request with a key from this address."""
    client = http.client.HTTPConnection(
        "127.0.0.1", running.port, timeout=10, source_address=(source, 0)
    )
    with contextlib.closing(client):
        client.request("POST", PATH, json.dumps(TINY), bearer(ANN))
        return client.getresponse().status


def test_addresses_that_had_a_key_get_in_while_strangers_hold_the_other_connections() -> None:
    limits = {
        "router_head_timeout": "120s",
        "router_client_connections": 60,
        "router_connections_of_strangers": 40,
        "router_connections_per_address": 20,
    }

    with lab(**limits) as running, contextlib.ExitStack() as stack:
        site, made = Site(running), []
        stack.callback(site.blue.stop)
        stack.callback(site.green.stop)
        running.give(ring())
        assert asked("127.0.0.5", running) == 200
        for number in range(100):
            with contextlib.suppress(ConnectionError):
                made.append(stack.enter_context(connected(running, f"127.0.8.{number % 5 + 1}")))
        until(lambda: sum(map(is_kept, made)) <= 40)
        # Tunnels and proxies come from the host's own address.
        assert [asked(each, running) for each in ("127.0.0.5", "127.0.0.1")] == [200, 200]
        with pytest.raises(ConnectionError):
            asked("127.0.0.6", running)


def test_an_address_that_had_no_key_opens_few_connections_after_another(site: Site) -> None:
    base = Path(site.lab.directory, "haproxy.cfg")
    base.write_text(
        base.read_text().replace("gpc_rate(2,0,addresses) ge 500", "gpc_rate(2,0,addresses) ge 20")
    )
    site.reload()

    def let_in(source: str) -> int:
        """Return how many of 60 connections, one after another, get an answer."""
        answered = 0
        for _ in range(60):
            with contextlib.suppress(ConnectionError), connected(site.lab, source) as raw:
                raw.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                answered += raw.recv(65536).startswith(b"HTTP/1.1 200")
        return answered

    # Without keys nobody is a stranger.
    assert let_in("127.0.0.8") == 60
    site.lab.give(ring())
    # A busy machine takes longer than 10 seconds.
    assert 20 <= let_in("127.0.0.7") < 60
    assert let_in("127.0.0.1") == 60
    assert asked("127.0.0.9", site.lab) == 200
    assert let_in("127.0.0.9") == 60


def test_clients_leave_room_for_what_is_not_theirs() -> None:
    limits = {"router_max_connections": 40, "router_client_connections": 20}
    metrics = free_port()
    with (
        lab(router_metrics_bind=f"127.0.0.1:{metrics}", **limits) as running,
        contextlib.ExitStack() as stack,
    ):
        for _ in range(30):
            stack.enter_context(connected(running))
        for _ in range(5):
            client = http.client.HTTPConnection("127.0.0.1", metrics, timeout=60)
            with contextlib.closing(client):
                client.request("GET", "/metrics")
                assert client.getresponse().status == 200


def test_requests_with_a_key_do_not_count_against_their_address(locked: Lab) -> None:
    body = json.dumps({**TINY, "stream": True, "tokens": 200, "pause": 0.01})
    with contextlib.ExitStack() as stack:
        for _ in range(30):
            client = http.client.HTTPConnection(
                "127.0.0.1", locked.port, timeout=60, source_address=("127.0.0.6", 0)
            )
            stack.enter_context(contextlib.closing(client))
            client.request("POST", PATH, body, bearer(BOB))
            assert stack.enter_context(client.getresponse()).status == 200


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A router with TLS and short patience."""
    with lab(router_head_timeout="1s", router_client_silence="1s") as running:
        place(running, "a" * 16, certificate(tmp_path_factory.mktemp("certificates"), "first"))
        running.give(ring())
        yield running


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01", b"GET / HTTP/1.1\r\n\r\n"], ids=repr)
def test_a_handshake_that_does_not_come_ends_the_connection(encrypted: Lab, sent: bytes) -> None:
    with connected(encrypted) as raw:
        raw.sendall(sent)
        assert closed(raw)


@pytest.mark.parametrize("protocol", ["h2", "http/1.1"])
def test_a_silent_client_with_tls_ends(encrypted: Lab, protocol: str) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols([protocol])
    with context.wrap_socket(connected(encrypted)) as client:
        assert client.selected_alpn_protocol() == protocol
        if protocol == "h2":
            client.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        assert closed(client)
