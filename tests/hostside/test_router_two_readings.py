"""Requests that router and engine could read in two ways: an engine gets what the router let in, and no more."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.hostside.keyed import ANN, BOB, ring
from tests.hostside.router_lab import until
from tests.hostside.router_site import PATH, Site, site_of

POST = f"POST {PATH} HTTP/1.1"
BODY = b'{"model":"tiny"}'
CHUNKED = b"10\r\n" + BODY + b"\r\n0\r\n\r\n"


def request(*headers: str, first: str = POST, key: str = ANN, body: bytes = BODY) -> bytes:
    """Return a request, with the length of its body where no header says how it ends."""
    lines = [first, "Host: x", *headers, *([f"x-api-key: {key}"] if key else [])]
    if not re.search("transfer-encoding|content-length", "".join(headers), re.IGNORECASE):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


# A whole request of another key, where the body of one ends or in its place.
HIDDEN = request(key=BOB)
CHUNKS = "Transfer-Encoding: chunked"
# What is sent -> the keys of the requests that reach an engine, and the statuses of the answers.
CASES = {
    "one request": (request(), ["ann"], [200]),
    "two, each with its key": (request() + HIDDEN, ["ann", "bob"], [200, 200]),
    "a key of the request before": (request() + request(key=""), ["ann"], [200, 401]),
    "a request in a refused body": (request(key="", body=HIDDEN), [], [401]),
    "a request in a body that nobody reads": (request(first="GET /healthz HTTP/1.1", body=HIDDEN), [], [200]),
    "length and chunks": (request(CHUNKS, "Content-Length: 4", body=CHUNKED + HIDDEN), ["ann"], [200]),
    "chunks in HTTP/1.0": (request(CHUNKS, first=POST[:-1] + "0", body=CHUNKED + HIDDEN), ["ann"], [200]),
    "two lengths": (request("Content-Length: 16", "Content-Length: 5"), [], [400]),
    "the same length twice": (request("Content-Length: 16, 16"), ["ann"], [200]),
    "no length in a length": (request("Content-Length:", body=HIDDEN), [], [400]),
    "a coding that is none": (request("Transfer-Encoding: xchunked", body=CHUNKED), [], [400]),
    "a folded coding": (request("Transfer-Encoding:\r\n chunked", body=CHUNKED), ["ann"], [200]),
    "a folded header": (request("X: y\r\n X-Toolkit-Key: bob"), ["ann"], [200]),
    "a line end without its first half": (request("X: y\nX-Toolkit-Key: bob"), ["ann"], [200]),
    "a line end without its second half": (request("X: y\rX-Toolkit-Key: bob"), [], [400]),
    "a chunk with an extension": (request(CHUNKS, body=CHUNKED.replace(b"10", b"10;a=b")), ["ann"], [200]),
    "a chunk with two line ends": (request(CHUNKS, body=CHUNKED.replace(b"10", b"10;a\nb")), [], [400]),
    "another host in the target": (request(first=f"POST http://y{PATH} HTTP/1.1"), [], [400]),
    "a path in the target": (request(first="POST http://x/pause HTTP/1.1"), [], [404]),
    "an upgrade": (request("Connection: Upgrade", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"), ["ann"], [200]),
    "a path in a header": (request("X-Original-URL: /pause", "X-HTTP-Method-Override: GET"), ["ann"], [200]),
    "headers of the toolkit": (request("X-Toolkit-Key: bob", "X-TOOLKIT-Model: x"), ["ann"], [200]),
    "a header that is to be dropped": (request("Connection: X-Toolkit-Key"), ["ann"], [200]),
}  # fmt: skip


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with site_of(router_client_silence="1s", router_head_timeout="1s") as made:
        made.lab.give(ring())
        yield made


@pytest.mark.parametrize(("sent", "keys", "statuses"), CASES.values(), ids=CASES)
def test_an_engine_gets_what_the_router_let_in(
    site: Site, sent: bytes, keys: list[str], statuses: list[int]
) -> None:
    site.blue.keys.clear()
    before = len(site.lab.requests())
    with socket.create_connection(("127.0.0.1", site.lab.port), timeout=60) as client:
        client.sendall(sent)
        # The router ends a silent connection.
        said = client.makefile("rb").read()
    assert [int(each) for each in re.findall(rb"HTTP/1\.1 (\d+) ", said)] == statuses
    assert site.blue.keys == [[key] for key in keys]
    # What HAProxy cannot parse has no line.
    until(lambda: _let_in(site.lab.requests()[before:]) == keys)


def _let_in(lines: list[dict[str, Any]]) -> list[str]:
    """Return the keys of the requests in the log that were to reach an engine."""
    return [line["key"] for line in lines if line["key"] != "-" and line["model"] != "-"]
