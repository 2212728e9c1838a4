"""The door: what a client without a key may hold, what each key may, and refusals that every client can read."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import time
from collections.abc import Iterator

import pytest

from tests.hostside.router_lab import Lab, free_port, lab, router_socket, until
from tests.hostside.router_site import PATH, Site
from tests.hostside.test_router_keys import ANN, BOB, TINY, bearer, ring
from tests.hostside.test_router_tls import certificate, place
from tests.pace import Pace

LARGE = b'{"model":"tiny","x":"' + b"x" * 2_000_000 + b'"}'
MEDIUM = b'{"model":"tiny","x":"' + b"x" * 100_000 + b'"}'


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
    with lab(**limits) as running:
        made = Site(running)
        running.give(ring())
        yield running
        made.blue.stop()
        made.green.stop()


def connected(running: Lab, source: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection(
        ("127.0.0.1", running.port), timeout=10, source_address=(source, 0)
    )


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


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "key", "expected"),
    [
        (PATH, "tk-wrong-" + "w" * 32, (401, "invalid_api_key")),
        ("/m/tiny/v1/completions", "", (401, "missing_api_key")),
        ("/pause", ANN, (404, "unknown_url")),
        ("/m/none/v1/completions", ANN, (404, "model_not_found")),
        ("/v1/models", ANN, (405, "method_not_allowed")),
        ("/m/tiny%00x/v1/completions", ANN, (400, "invalid_path")),
        (PATH, ANN, (413, "body_too_large")),
    ],
)
@pytest.mark.parametrize("size", [20_000, 20_000_000])
def test_a_refusal_is_read_also_by_a_client_that_sends_all_of_its_body_first(
    locked: Lab, path: str, key: str, expected: tuple[int, str], size: int
) -> None:
    if expected[0] == 413 and size < 15_728_640:
        return
    for _ in range(3):
        status, answer, headers = locked.ask(path, b"x" * size, **bearer(key))
        assert (status, answer["error"]["code"]) == expected
        assert headers["Content-Type"] == "application/json"


def test_a_model_without_a_replica_says_so_to_a_client_that_sends_a_large_body(site: Site) -> None:
    site.blue.stop()
    until(lambda: not site.lab.observe()["servers"]["tiny"]["blue"]["up"])
    site.green.stop()
    until(lambda: not site.lab.observe()["servers"]["tiny"]["green"]["up"])
    for path in ("/m/tiny/v1/completions", PATH):
        status, answer, headers = site.lab.ask(path, LARGE)
        assert (status, answer["error"]["code"]) == (503, "no_replica")
        assert headers["Retry-After"] == "1"


ODD = [
    "/m/tiny%00x/v1/completions",
    "/m/tiny%00/v1/completions",
    "/m/%00tiny/v1/completions",
    "/m/tiny%0d%0aX:1/v1/completions",
    "/m/tiny%1f/v1/completions",
    "/m/tiny%7F/v1/completions",
    "/m/tiny%80/v1/completions",
    "/m/tiny%c0%80/v1/completions",
    "/m/tiny%C3%A9/v1/completions",
    "/m/%e0%80%af/v1/completions",
    "/m/tiny%ff/v1/completions",
    "/m/%2e%2e/v1/completions",
    "/m/tiny%5c/v1/completions",
    "/m/tiny%/v1/completions",
    "/m/tiny%g0/v1/completions",
    "/m/tiny%0/v1/completions",
    "/v1/models/tiny%00",
    "/v1/models/tiny%00x",
    "/v1/models/tiny%2",
    "/v1%00/completions",
    "/v1/completions%00",
    "/m/tiny\\x/v1/completions",
]


@pytest.mark.parametrize("path", ODD)
def test_a_path_with_characters_that_no_name_has_is_refused_and_logged(
    locked: Lab, path: str
) -> None:
    before = len(locked.requests())
    body = None if path.startswith("/v1/models") else b"{}"
    status, answer, _ = locked.ask(path, body, **bearer(ANN))
    assert (status, answer["error"]["code"]) == (400, "invalid_path")
    # The line of a request before it may come after the answer.
    line = until(lambda: [each for each in locked.requests()[before:] if each["status"] == 400])[-1]
    assert (line["path"], line["key"], line["model"], line["status"]) == (
        "refused",
        "ann",
        "-",
        400,
    )


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/m/%74iny/v1/completions", 200),
        ("/m/tiny%2500/v1/completions", 404),
        ("/m/tiny%20/v1/completions", 404),
        ("/m/tiny%2f/v1/completions", 404),
        ("/m/../v1/completions", 404),
        ("/m/tiny/../v1/completions", 404),
        ("//v1/completions", 404),
        ("/v1/completions/", 400),
        ("/v1/completions;x=1", 404),
    ],
)
def test_other_spellings_of_a_path_are_decoded_once(locked: Lab, path: str, expected: int) -> None:
    assert locked.ask(path, b"{}", **bearer(ANN))[0] == expected


@pytest.mark.parametrize(
    "key",
    [ANN + "\x01", ANN + "%00", ANN + "\xff", ANN + " x", "\xc0\x80" + ANN, ANN * 50, ANN.upper()],
    ids=ascii,
)
def test_a_key_with_other_characters_is_no_key(locked: Lab, key: str) -> None:
    assert locked.ask(PATH, TINY, x_api_key=key)[0] == 401


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (f"GET /v1/models HTTP/1.1\r\nHost: x\r\nx-api-key: {ANN}\0\r\n\r\n", 401),
        (f"GET /v1/mod\0els HTTP/1.1\r\nHost: x\r\nx-api-key: {ANN}\r\n\r\n", 400),
        (f"GET /v1/mod\x01els HTTP/1.1\r\nHost: x\r\nx-api-key: {ANN}\r\n\r\n", 400),
        (f"GET /v1/models\xe9 HTTP/1.1\r\nHost: x\r\nx-api-key: {ANN}\r\n\r\n", 400),
    ],
    ids=ascii,
)
def test_raw_characters_get_nobody_in(locked: Lab, head: str, expected: int) -> None:
    with connected(locked) as raw:
        raw.sendall(head.encode("latin-1"))
        assert int(raw.recv(100).split()[1]) == expected


# --- what a client without a key may hold ----------------------------------------------------------


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
    assert locked.ask(PATH, {**TINY, "pause": 3}, **bearer(ANN))[0] == 200


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
            client = http.client.HTTPConnection("127.0.0.1", metrics, timeout=5)
            with contextlib.closing(client):
                client.request("GET", "/metrics")
                assert client.getresponse().status == 200


def test_requests_with_a_key_do_not_count_against_their_address(locked: Lab) -> None:
    body = json.dumps({**TINY, "stream": True, "tokens": 200, "pause": 0.01})
    with contextlib.ExitStack() as stack:
        for _ in range(30):
            client = http.client.HTTPConnection(
                "127.0.0.1", locked.port, timeout=10, source_address=("127.0.0.6", 0)
            )
            stack.enter_context(contextlib.closing(client))
            client.request("POST", PATH, body, bearer(BOB))
            assert stack.enter_context(client.getresponse()).status == 200


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A router with TLS and short patience."""
    with lab(router_head_timeout="1s", router_client_silence="2s") as running:
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


# --- what a key may hold ---------------------------------------------------------------------------


def uploads(running: Lab, key: str, count: int, size: int) -> list[socket.socket]:
    """Begin uploads that stand still before their last byte."""
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nx-api-key: {key}\r\nContent-Length: {size}\r\n\r\n"
    begun = [connected(running) for _ in range(count)]
    for each in begun:
        each.sendall(head.encode() + b" " * (size - 1))
    return begun


@pytest.mark.parametrize(("body", "share"), [(LARGE, 2), (MEDIUM, 3)], ids=["large", "medium"])
def test_idle_uploads_of_one_key_leave_room_for_others(
    locked: Lab, body: bytes, share: int
) -> None:
    begun = uploads(locked, ANN, share, len(body))

    def code(key: str) -> str:
        status, answer, _ = locked.ask(PATH, body, **bearer(key))
        return str(answer["error"]["code"]) if status != 200 else "served"

    def refused() -> bool:
        if code(ANN) == "too_many_large_bodies":
            return True
        # Those that have stood still for too long have ended, and each try begins another one.
        begun.extend(uploads(locked, ANN, 1, len(body)))
        return False

    until(refused)
    assert [code(BOB) for _ in range(5)] == ["served"] * 5
    # small requests of the key itself go on
    assert locked.ask(PATH, TINY, **bearer(ANN))[0] == 200
    for each in begun:
        each.close()
    until(lambda: code(ANN) == "served")


def test_an_answer_does_not_count_as_a_body_that_is_read(locked: Lab) -> None:
    stream = {**TINY, "stream": True, "tokens": 300, "pause": 0.01}
    with contextlib.ExitStack() as stack:
        for _ in range(6):
            client = http.client.HTTPConnection("127.0.0.1", locked.port, timeout=10)
            stack.enter_context(contextlib.closing(client))
            client.request("POST", PATH, json.dumps(stream).ljust(1_100_000), bearer(ANN))
            assert stack.enter_context(client.getresponse()).status == 200


def test_a_body_of_each_size_arrives_whole(locked: Lab) -> None:
    for size in (100, 8_000, 8_192, 8_193, 15_000, 16_384, 100_000, 1_048_577, 15_000_000):
        body = json.dumps({"model": "tiny"}).encode().ljust(size)
        status, answer, headers = locked.ask(PATH, body, **bearer(ANN))
        assert (status, answer.get("size")) == (200, size)
        assert headers["X-Toolkit-Slot"] == "blue"
        assert "X-Toolkit-Model" not in headers


def test_a_small_body_with_long_headers_arrives_whole(locked: Lab) -> None:
    body = json.dumps({"model": "tiny"}).encode().ljust(8_000)
    assert locked.ask(PATH, body, X_Long="h" * 11_000, **bearer(ANN))[:2] == (
        200,
        {"slot": "blue", "size": 8_000},
    )


def test_a_reload_costs_no_large_body(site: Site) -> None:
    for _ in range(4):
        site.reload()
        assert [site.lab.ask(PATH, LARGE)[0] for _ in range(3)] == [200] * 3
    pid = router_socket.processes(site.lab.directory)["current"][-1]
    assert router_socket.servers(site.lab.directory, pid)
