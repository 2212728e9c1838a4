"""Requests of HTTP/2 that router and engine could read in two ways, because an engine gets them as HTTP/1.1."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence

import pytest

from tests.hostside.keyed import ANN, BOB, ring
from tests.hostside.router_lab import until
from tests.hostside.router_site import PATH, Site, site_of

Fields = Sequence[tuple[str, str]]
BODY = b'{"model":"tiny"}'
# RFC 9113: kinds of frames, and their flags.
DATA, HEADERS, RESET, SETTINGS, GOAWAY = 0, 1, 3, 4, 7
END_STREAM, END_HEADERS = 1, 4
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
LINE = "\r\nx-toolkit-key: bob\r\nx: "


def request(*more: tuple[str, str], key: str = ANN, **pseudo: str) -> Fields:
    """Return the fields of a request; a pseudo-header that is empty is left out."""
    known = {"method": "POST", "scheme": "http", "path": PATH, "authority": "x", **pseudo}
    return [
        *((f":{name}", value) for name, value in known.items() if value),
        *([("x-api-key", key)] if key else []),
        *more,
    ]


# The fields -> the keys of the requests that reach an engine, and the statuses in the log.
CASES: dict[str, tuple[Fields, list[str], list[int]]] = {
    "one request": (request(), ["ann"], [200]),
    "no key": (request(key=""), [], [401]),
    "its length": (request(("content-length", "16")), ["ann"], [200]),
    "a shorter length": (request(("content-length", "5")), [], [499]),
    "a longer length": (request(("content-length", "100")), [], [499]),
    "two lengths": (request(("content-length", "16"), ("content-length", "5")), [], []),
    "no length in a length": (request(("content-length", "0x10")), [], []),
    "a coding": (request(("transfer-encoding", "chunked")), [], []),
    "a connection to keep": (request(("connection", "x-toolkit-key")), [], []),
    "an upgrade": (request(("upgrade", "h2c")), [], []),
    "a line in a value": (request(("x", f"y{LINE}")), [], []),
    "half a line end in a value": (request(("x", "y\nx-toolkit-key: bob")), [], []),
    "a zero in a value": (request(("x", "y\0z")), [], []),
    "a line in a name": (request((f"x: y{LINE}", "z")), [], []),
    "a colon in a name": (request(("x-toolkit-key:", "bob")), [], []),
    "a blank in a name": (request(("x-toolkit-key ", "bob")), [], []),
    "a capital in a name": (request(("X-Toolkit-Key", "bob")), [], []),
    "a name without a letter": (request(("", "y")), [], []),
    "a line in the path": (request(path=f"{PATH} HTTP/1.1{LINE}"), [], []),
    "a blank in the path": (request(path=f"{PATH} HTTP/1.1"), [], []),
    "a line in the method": (request(method=f"POST {PATH} HTTP/1.1{LINE}"), [], []),
    "a line in the host": (request(authority=f"x{LINE}"), [], []),
    "no path": (request(path=""), [], []),
    "two paths": (request((":path", "/pause")), [], []),
    "a path that climbs": (request(path="/v1/../pause"), [], [404]),
    "a host beside the authority": (request(("host", "y")), ["ann"], [200]),
    "a tunnel of RFC 8441": (request((":protocol", "websocket"), method="CONNECT"), [], []),
    "headers of the toolkit": (request(("x-toolkit-key", "bob"), ("x-toolkit-model", "x")), ["ann"], [200]),
    "a trailer is wanted": (request(("te", "trailers")), ["ann"], [200]),
}  # fmt: skip


def packed(fields: Fields) -> bytes:
    """Return fields in HPACK: each as a literal without an index and without Huffman's code."""
    found = b""
    for pair in fields:
        found += b"\0"
        for text in pair:
            data = text.encode("latin-1")
            size = bytes([len(data)]) if len(data) < 127 else bytes([127, len(data) - 127])
            found += size + data
    return found


def frame(kind: int, flags: int, body: bytes) -> bytes:
    stream = 0 if kind == SETTINGS else 1
    return len(body).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + body


def sent(site: Site, fields: Fields, trailers: Fields = (), *, count: int = 1) -> list[int]:
    """Send a request, wait for its end and its `count` lines in the log, and return the statuses of what was sent."""
    before = len(site.lab.requests())
    with socket.create_connection(("127.0.0.1", site.lab.port), timeout=60) as client:
        client.sendall(
            PREFACE
            + frame(SETTINGS, 0, b"")
            + frame(HEADERS, END_HEADERS, packed(fields))
            + frame(DATA, 0 if trailers else END_STREAM, BODY)
            + (frame(HEADERS, END_HEADERS | END_STREAM, packed(trailers)) if trailers else b"")
        )
        with client.makefile("rb") as answer:
            while len(head := answer.read(9)) == 9:
                kind, flags = head[3], head[4]
                answer.read(int.from_bytes(head[:3], "big"))
                if kind in (RESET, GOAWAY) or (kind in (DATA, HEADERS) and flags & END_STREAM):
                    break

    def logged() -> tuple[list[int]] | None:
        # Streams of two connections end in any order, so a line may come after that of a marker that was sent later.
        assert site.lab.ask("/v1/marker", {}, x_api_key=BOB)[0] == 404
        lines = site.lab.requests()[before:]
        # Of what is no request the log says 0.
        found = [line["status"] for line in lines if line["key"] != "bob" and line["status"]]
        is_marked = bool(lines) and lines[-1]["key"] == "bob"
        return (found,) if is_marked and len(found) >= count else None

    (statuses,) = until(logged)
    return list(statuses)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with site_of(
        router_client_silence="1s", router_head_timeout="1s", router_upload_timeout="1s"
    ) as made:
        made.lab.give(ring())
        yield made


@pytest.mark.parametrize(("fields", "keys", "statuses"), CASES.values(), ids=CASES)
def test_an_engine_gets_what_the_router_let_in(
    site: Site, fields: Fields, keys: list[str], statuses: list[int]
) -> None:
    site.blue.keys.clear()
    found = sent(site, fields, count=len(statuses))
    assert (found, site.blue.keys) == (statuses, [[key] for key in keys])


def test_a_trailer_names_no_key(site: Site) -> None:
    site.blue.keys.clear()
    assert sent(site, request(), [("x-toolkit-key", "bob")]) == [200]
    assert site.blue.keys == [["ann"]]
