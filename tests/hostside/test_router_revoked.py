"""A revoked key begins nothing: requests whose bodies are half sent, or that wait for their model, end with it."""

from __future__ import annotations

import contextlib
import json
import socket
from pathlib import Path

from tests.hostside.keyed import ANN, BOB, ring, status
from tests.hostside.router_lab import Lab, router_socket, until
from tests.hostside.router_site import PATH, Site, site_of
from tests.hostside.test_router_crowd import frame
from toolkit.domain.clients.keys import KeyRing
from toolkit.planning.routing.edits import with_hold, with_weights
from toolkit.planning.routing.keys import opened, with_key, without_key

BODY = b'{"model":"tiny","x":"'
BY_PATH = f"/m/tiny{PATH}"
# path, bytes in all, bytes that are sent before the key is revoked
HALF_SENT = {
    "small": (PATH, 1_000, 100),
    "medium": (PATH, 100_000, 50_000),
    "large": (PATH, 3_000_000, 1_000_000),
    "small by path": (BY_PATH, 1_000, 100),
    "by path": (BY_PATH, 3_000_000, 1_000_000),
    "by path, nothing of it": (BY_PATH, 9_000, 0),
    "by path, asked first": (BY_PATH, 1_000, 0),
    "chunked": (PATH, 0, 100),
    "chunked by path": (BY_PATH, 0, 100),
}


def body(size: int) -> bytes:
    return BODY + b"x" * (size - len(BODY) - 2) + b'"}'


class Upload:
    """A request whose body stops midway."""

    def __init__(self, running: Lab, key: str, path: str, size: int, sent: int) -> None:
        self.raw = socket.create_connection(("127.0.0.1", running.port), 60)
        length = f"Content-Length: {size}" if size else "Transfer-Encoding: chunked"
        given = f"x-api-key: {key}\r\n" if key else ""
        given += "Expect: 100-continue\r\n" if (path, sent) == (BY_PATH, 0) and size < 9_000 else ""
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\n{given}{length}\r\n\r\n".encode()
        if size:
            self.rest = body(size)[sent:]
            self.raw.sendall(head + body(size)[:sent])
        else:
            self.raw.sendall(head + b"%x\r\n%s\r\n" % (sent, body(2 * sent)[:sent]))
            self.rest = b"%x\r\n%s\r\n0\r\n\r\n" % (sent, body(2 * sent)[sent:])

    def end(self) -> str:
        """Send the rest; return the status, or nothing where the connection is closed."""
        with self.raw, contextlib.suppress(ConnectionError):
            self.raw.sendall(self.rest)
            answer = self.raw.recv(4096).removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
            return (answer or self.raw.recv(4096))[9:12].decode()
        return ""


def uploads(running: Lab, key: str) -> dict[str, Upload]:
    return {name: Upload(running, key, *each) for name, each in HALF_SENT.items()}


def arrived(running: Lab, count: int) -> None:
    """Wait until the router knows so many bodies that pass through, in all of its workers."""
    found = router_socket.processes(running.directory)

    def known() -> int:
        maps = [
            router_socket.read_map(running.directory, pid, f"{running.directory}/uploads.map") or {}
            for pid in found["current"] + found["old"]
        ]
        return sum(map(len, maps))

    until(lambda: known() == count)


def test_half_sent_bodies_of_a_revoked_key_get_no_answer_and_those_of_others_do() -> None:
    with site_of() as site:
        site.lab.give(ring())
        left = uploads(site.lab, ANN)
        # They stay with the worker that this leaves behind.
        arrived(site.lab, 3)
        site.reload()
        revoked, others = uploads(site.lab, ANN), uploads(site.lab, BOB)
        answered = Upload(site.lab, ANN, BY_PATH, 9_000, 0)
        arrived(site.lab, 10)
        # A whole body has begun its answer, which goes on to its end.
        answered.rest = b""
        answered.raw.sendall(json.dumps({"model": "tiny", "gated": True}).encode().ljust(9_000))
        until(lambda: site.blue.keys)
        site.lab.give(without_key(ring(), "ann", now=3.0))
        expected = dict.fromkeys(HALF_SENT, "401")
        # The router has answered nothing yet, and passes on nothing more.
        expected |= dict.fromkeys(("by path", "by path, nothing of it", "by path, asked first"), "")
        assert {name: each.end() for name, each in left.items()} == expected
        assert {name: each.end() for name, each in revoked.items()} == expected
        assert {name: each.end() for name, each in others.items()} == dict.fromkeys(
            HALF_SENT, "200"
        )
        site.blue.turns.release()
        assert answered.end() == "200"
        # What passes through has reached the engine, as a body that broke off.
        assert site.blue.keys.count(["ann"]) == 1 + 6


def test_half_sent_streams_of_http_2_end_too(site: Site) -> None:
    site.lab.give(ring())
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":authority": "x",
        ":path": PATH,
        "x-api-key": ANN,
        "content-length": "20",
    }
    packed = b"".join(
        bytes([0, len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
        for name, value in fields.items()
    )
    with socket.create_connection(("127.0.0.1", site.lab.port), 60) as raw:
        raw.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b""))
        raw.sendall(frame(1, 4, 1, packed) + frame(0, 0, 1, b'{"model":'))
        until(lambda: site.lab.connections() > 0)
        site.lab.give(without_key(ring(), "ann", now=3.0))
        raw.sendall(frame(0, 1, 1, b'"tiny"}    '))
        answers = b""
        while b"invalid_api_key" not in answers:
            answers += raw.recv(65536)
    assert site.blue.keys == []


def test_a_request_that_waits_for_its_model_ends_with_its_key(site: Site) -> None:
    site.lab.give(ring())
    routes = with_weights(site.lab.routes, "tiny", {"blue": 0})
    site.lab.apply(with_hold(routes, "tiny", 60))
    waiting = Upload(site.lab, ANN, PATH, 100, 100)
    until(lambda: site.lab.connections() > 0)
    site.lab.give(without_key(ring(), "ann", now=3.0))
    site.lab.apply(with_hold(with_weights(routes, "tiny", {"blue": 100}), "tiny", 0))
    assert waiting.end() == "401"
    assert site.blue.keys == []


def test_a_door_that_is_locked_lets_nobody_in_whose_body_began_before(site: Site) -> None:
    begun = [Upload(site.lab, "", PATH, size, 50) for size in (100, 100_000)]
    until(lambda: site.lab.connections() > 1)
    keys = with_key(KeyRing(), "ann", ANN, now=1.0)
    site.lab.give(keys)
    assert [each.end() for each in begun] == ["401", "401"]
    site.lab.give(opened(without_key(keys, "ann", now=2.0)))
    # An open door asks for nothing, whatever key a body comes with.
    assert [Upload(site.lab, ANN, PATH, size, 50).end() for size in (100, 100_000)] == ["200"] * 2
    assert status(site.lab) == 200


def test_the_router_forgets_uploads_that_have_ended(site: Site) -> None:
    path = Path(site.lab.directory, "uploads.lua")
    text = path.read_text()
    assert text.count("local EACH = 10000 ") == 1
    path.write_text(text.replace("local EACH = 10000 ", "local EACH = 100 "))
    site.reload()
    site.lab.give(ring())
    begun = [Upload(site.lab, ANN, BY_PATH, 9_000, 10) for _ in range(20)]
    arrived(site.lab, 20)
    assert begun[0].end() == "200"
    for each in begun[1:10]:
        each.raw.close()
    arrived(site.lab, 10)
    for each in begun[10:]:
        assert each.end() == "200"
    arrived(site.lab, 0)
