"""The access log: who asked which release, how it ended, how long it took; and not a word of what was said."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.hostside.router_lab import Lab, router_socket, until
from tests.hostside.router_site import PATH, Site, site_of
from toolkit.domain.clients.keys import KeyRing
from toolkit.hostside import access_log
from toolkit.planning.routing.keys import with_key

KEY = "tk-" + "k" * 40
WORD = "unspeakable"


def put_manifest(site: Site, slot: str, version: str, number: int) -> None:
    directory = site.lab.root / "slots" / f"tiny-{slot}"
    directory.mkdir(parents=True, exist_ok=True)
    manifest = {
        "model": "tiny",
        "slot": slot,
        "release": {"version": version, "number": number},
    }
    (directory / "manifest.json").write_text(json.dumps(manifest))


@pytest.fixture(scope="module")
def standing() -> Iterator[Lab]:
    """A router for cases that change nothing."""
    with site_of() as made:
        yield made.lab


def line(running: Lab, body: Any, **headers: str) -> dict[str, Any]:
    """Ask, and return the one line that the log has of it."""
    return answered(running, json.dumps(body), **headers)[1]


def answered(
    running: Lab, body: str, **headers: str
) -> tuple[http.client.HTTPMessage, dict[str, Any]]:
    """Ask, and return the answer's headers and the one line that the log has of it.

    The line of an earlier request may come after this request began, so that its id tells it.
    """
    asked = headers.setdefault("X-Request-Id", new_id())
    client = http.client.HTTPConnection("127.0.0.1", running.port, timeout=20)
    with contextlib.closing(client):
        client.request("POST", f"{PATH}?{WORD}=1", body, headers)
        with client.getresponse() as answer:
            answer.read()

    return answer.headers, line_of(running, asked)


def new_id() -> str:
    return uuid.uuid4().hex


def line_of(running: Lab, asked: str) -> dict[str, Any]:
    """Return the line of the request with this id, once the log has it."""

    def mine() -> list[dict[str, Any]]:
        return [each for each in running.requests() if each["request_id"] == asked]

    return dict(until(mine)[0])


def test_a_line_has_key_release_and_times(site: Site) -> None:
    site.lab.give(with_key(KeyRing(), "ann", KEY, now=1.0))
    put_manifest(site, "blue", "v1", 3)
    site.shift(blue=99)
    body = {"model": "tiny", "prompt": WORD, "text": WORD}
    found = line(site.lab, body, Authorization=f"Bearer {KEY}", User_Agent=WORD, Referer=WORD)
    assert set(found) == {
        "at", "client", "method", "path", "key", "model", "version", "release", "slot",
        "status", "ms", "bytes", "retries", "end", "request_id", "reason", "left_out",
    }  # fmt: skip
    assert (found["key"], found["model"], found["slot"], found["path"]) == (
        "ann", "tiny", "blue", PATH,
    )  # fmt: skip
    assert (found["version"], found["release"], found["status"]) == ("v1", 3, 200)
    assert found["bytes"] > 0 and found["ms"]["total"] >= 0
    assert WORD not in site.lab.log.read_text()


@pytest.mark.parametrize("size", [0, 20_000], ids=["small", "large"])
@pytest.mark.parametrize("body", [{"model": "none"}, {}], ids=["unknown", "none"])
def test_a_line_of_a_refused_body_names_no_slot(
    standing: Lab, body: dict[str, str], size: int
) -> None:
    found = answered(standing, json.dumps(body).ljust(size))[1]
    assert (found["model"], found["slot"]) == ("-", "-")


def test_a_line_of_a_large_body_names_its_slot(standing: Lab) -> None:
    found = answered(standing, json.dumps({"model": "tiny"}).ljust(20_000))[1]
    assert (found["model"], found["slot"]) == ("tiny", "blue")


def test_comments_of_a_stream_reach_the_client(standing: Lab) -> None:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", standing.port)) as client:
        body = {"model": "tiny", "stream": True, "tokens": 3, "comments": True}
        client.request("POST", PATH, json.dumps(body))
        lines = client.getresponse().read().splitlines()
    assert lines.count(b": keep-alive") == 3
    assert lines[-2] == b"data: [DONE]"


def test_the_version_is_that_of_the_slot_at_that_time(site: Site) -> None:
    put_manifest(site, "blue", "v1", 1)
    put_manifest(site, "green", "v2", 2)
    site.shift(green=100, blue=0)
    found = line(site.lab, {"model": "tiny"})
    assert (found["version"], found["release"]) == ("v2", 2)
    answer = site.lab.ask(PATH, {"model": "tiny"})[2]
    assert (answer["X-Toolkit-Version"], answer["X-Toolkit-Release"]) == ("v2", "2")
    # another release in the slot that stood by, which then gets the traffic back
    put_manifest(site, "blue", "v3", 3)
    site.shift(green=0, blue=100)
    assert line(site.lab, {"model": "tiny"})["version"] == "v3"
    # a start from the files knows it too
    site.lab.stop()
    site.lab.start()
    site.lab.up("tiny", "blue")
    assert line(site.lab, {"model": "tiny"})["version"] == "v3"


def test_a_model_is_described_with_the_version_that_serves_and_a_switch_reloads_nothing(
    site: Site,
) -> None:
    told = site.lab.ask("/v1/models/tiny")[1]
    assert "version" not in told
    put_manifest(site, "blue", "v1", 1)
    put_manifest(site, "green", "v2", 2)
    site.shift(green=1, blue=100)
    workers = router_socket.processes(site.lab.directory)["current"]
    assert site.lab.ask("/v1/models/tiny")[1] == {**told, "version": "v1", "release": 1}
    site.shift(green=100, blue=0)
    assert site.lab.ask("/v1/models/tiny")[1] == {**told, "version": "v2", "release": 2}
    assert router_socket.processes(site.lab.directory)["current"] == workers
    assert site.lab.ask("/v1/models")[1]["data"] == [{**told, "version": "v2", "release": 2}]
    # That is what a client was told, and not what answered it.
    lines = until(lambda: len(each := site.lab.requests()) > 3 and each)
    assert {(each["model"], each["version"], each["slot"]) for each in lines} == {("-", "-", "-")}


def test_a_worker_left_behind_knows_the_new_version(site: Site) -> None:
    put_manifest(site, "green", "v2", 2)
    kept = http.client.HTTPConnection("127.0.0.1", site.lab.port, timeout=60)
    with contextlib.closing(kept):
        kept.request("POST", PATH, '{"model":"tiny"}')
        kept.getresponse().read()
        site.reload()
        assert len(router_socket.processes(site.lab.directory)["old"]) == 1
        site.shift(green=100, blue=0)
        kept.request("POST", PATH, '{"model":"tiny"}')
        with kept.getresponse() as answer:
            answer.read()
            assert answer.headers["X-Toolkit-Version"] == "v2"


def test_every_line_is_json_whatever_was_sent(site: Site) -> None:
    running: Lab = site.lab
    for text in (
        b"nonsense\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b'X"Y / HTTP/1.1\r\nHost: x\r\n\r\n',
    ):
        with socket.create_connection(("127.0.0.1", running.port)) as raw:
            raw.sendall(text)
            raw.shutdown(socket.SHUT_WR)
            while raw.recv(65536):
                pass
    running.ask('/v1/models/"}\\', None)
    lines = until(running.requests)
    assert [line["status"] for line in lines] == [400]


# --- how it ended -----------------------------------------------------------------------------------

LONG_STREAM = {"model": "tiny", "stream": True, "tokens": 400, "pause": 0.01}


def sent(
    running: Lab, asked: str, body: bytes, length: int | None = None, path: str = PATH
) -> socket.socket:
    """Return the connection of a request with the id `asked`."""
    raw = socket.create_connection(("127.0.0.1", running.port), timeout=60)
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nX-Request-Id: {asked}\r\n"
    raw.sendall(f"{head}Content-Length: {length or len(body)}\r\n\r\n".encode() + body)
    return raw


def ended(running: Lab, asked: str) -> tuple[int, str, str]:
    """Return status and reason of the request's line, as the host's side reads them, and HAProxy's word."""
    found = line_of(running, asked)
    return *access_log.ended(found), found["end"]


@pytest.mark.parametrize("size", [0, 20_000], ids=["small", "read elsewhere"])
def test_a_client_that_leaves_a_stream_is_told_from_a_replica_that_breaks_it_off(
    site: Site, size: int
) -> None:
    running, first, second = site.lab, new_id(), new_id()
    body = json.dumps(LONG_STREAM).encode().ljust(size)
    with sent(running, first, body) as raw:
        begun(raw)
    assert ended(running, first) == (499, "client_left_answer", "CD")
    with sent(running, second, body) as raw:
        begun(raw)
        site.blue.cut()
        assert ended(running, second) == (200, "replica_broke_off", "SD")


def begun(raw: socket.socket) -> None:
    """Read an answer until its first event."""
    text = b""
    while b"data: " not in text:
        part = raw.recv(65536)
        assert part, text
        text += part


@pytest.mark.parametrize("size", [0, 20_000], ids=["small", "read elsewhere"])
def test_a_client_that_leaves_before_the_answer_is_no_bad_request(standing: Lab, size: int) -> None:
    asked = new_id()
    body = json.dumps({"model": "tiny", "pause": 30}).encode().ljust(size)
    with sent(standing, asked, body):
        time.sleep(0.2)
    assert ended(standing, asked)[:2] == (499, "client_left")


@pytest.mark.parametrize(
    ("length", "path"),
    [(5_000, PATH), (100_000, PATH), (100_000, "/m/tiny/v1/completions")],
    ids=["small", "read elsewhere", "passed on"],
)
def test_a_client_that_leaves_amid_its_body_is_no_bad_request(
    standing: Lab, length: int, path: str
) -> None:
    asked = new_id()
    with sent(standing, asked, b"{", length, path):
        time.sleep(0.2)
    assert ended(standing, asked)[:2] == (499, "client_left")


CHUNKED = "Transfer-Encoding: chunked\r\n\r\n5\r\n"


@pytest.mark.parametrize(
    ("path", "rest", "model"),
    [
        ("/m/tiny/v1/completions", "Content-Length: 100000\r\n\r\n", "tiny"),
        ("/m/tiny/v1/completions", CHUNKED, "tiny"),
        ("/m/other/v1/completions", CHUNKED, "-"),
        (PATH, CHUNKED, "-"),
        (PATH, "Content-Length: 100000\r\n\r\n", "-"),
    ],
    ids=["passed on", "chunked", "of no model", "chunked, in the body", "in the body"],
)
def test_a_client_that_leaves_amid_its_body_is_of_the_model_that_its_path_names(
    standing: Lab, path: str, rest: str, model: str
) -> None:
    asked = new_id()
    with socket.create_connection(("127.0.0.1", standing.port), timeout=60) as raw:
        raw.sendall(
            f"POST {path} HTTP/1.1\r\nHost: x\r\nX-Request-Id: {asked}\r\n{rest}{{".encode()
        )
        time.sleep(0.2)
    found = line_of(standing, asked)
    assert (*access_log.ended(found), found["model"]) == (499, "client_left", model)


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        ({"model": "tiny"}, {}, (200, "-")),
        ({**LONG_STREAM, "tokens": 3}, {}, (200, "-")),
        ({"model": "none"}, {}, (404, "model_not_found")),
        ({}, {}, (400, "missing_model")),
        ({"room": "x" * 20_000}, {}, (400, "missing_model")),
        ({"model": "tiny"}, {"Content-Encoding": "br"}, (415, "unsupported_content_encoding")),
    ],
    ids=str,
)
def test_a_refusal_has_its_code_in_the_log(
    standing: Lab, body: Any, headers: dict[str, str], expected: Any
) -> None:
    found = line(standing, body, **headers)
    assert (found["status"], found["reason"]) == expected


def test_a_replica_that_hangs_up_has_its_code_in_the_log(site: Site) -> None:
    site.blue.broken = True
    found = line(site.lab, {"model": "tiny"})
    assert (found["status"], found["reason"]) == (502, "replica_broke_off")


@pytest.mark.parametrize("old", [True, False])
def test_a_client_that_leaves_after_its_answer_has_it(standing: Lab, old: bool) -> None:
    for stream in (False, True):
        asked = new_id()
        body = json.dumps({"model": "tiny", "stream": stream, "tokens": 2}).encode()
        head = f"POST {PATH} HTTP/1.{0 if old else 1}\r\nHost: x\r\nX-Request-Id: {asked}\r\n"
        with socket.create_connection(("127.0.0.1", standing.port), timeout=60) as raw:
            raw.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            text = b""
            while b"[DONE]" not in text if stream else b"}" not in text:
                text += raw.recv(65536)
        assert ended(standing, asked)[:2] == (200, "-")
