"""The id of a request: the client's own or a new one, the same in answer, log and engine."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator

import pytest

from tests.hostside.router_lab import Backend, Lab, until
from tests.hostside.router_site import PATH, site_of

MADE = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}")
TINY = {"model": "tiny"}


@pytest.fixture(scope="module")
def standing() -> Iterator[tuple[Lab, Backend]]:
    with site_of() as made:
        yield made.lab, made.blue


def reached(backend: Backend) -> str | None:
    """Return the id that the engine was given."""
    return {name.lower(): value for name, value in backend.headers.items()}.get("x-request-id")


@pytest.mark.parametrize("size", [0, 20_000], ids=["small", "read elsewhere"])
@pytest.mark.parametrize("id", ["a", "Trace-1.2_3", "x" * 128])
def test_a_plain_id_stays(standing: tuple[Lab, Backend], id: str, size: int) -> None:
    router, blue = standing
    before = len(router.requests())
    body = json.dumps(TINY).ljust(size).encode()
    assert router.ask(PATH, body, X_Request_Id=id)[2]["X-Request-Id"] == id
    assert reached(blue) == id
    assert until(lambda: [each for each in router.requests()[before:] if each["request_id"] == id])


@pytest.mark.parametrize("id", ["", 'a"b', "a b", "a\\", "{}", "x" * 129, "\xe9", "a\x01", "a;b"])
def test_any_other_id_is_replaced(standing: tuple[Lab, Backend], id: str) -> None:
    router, blue = standing
    before = len(router.requests())
    made = router.ask(PATH, TINY, X_Request_Id=id)[2]["X-Request-Id"]
    assert MADE.fullmatch(made)
    assert reached(blue) == made
    assert until(lambda: made in [each["request_id"] for each in router.requests()[before:]])


@pytest.mark.parametrize("last", ["good", 'b"ad'])
def test_of_two_ids_one_is_taken_and_judged(standing: tuple[Lab, Backend], last: str) -> None:
    router, blue = standing
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nX-Request-Id: good\r\nX-Request-Id: {last}\r\n"
    with socket.create_connection(("127.0.0.1", router.port), timeout=60) as raw:
        raw.sendall(head.encode() + b'Content-Length: 16\r\n\r\n{"model":"tiny"}')
        answer = raw.recv(65536).decode().lower()
    found = re.findall(r"x-request-id: (.*)\r\n", answer)
    assert len(found) == 1
    assert found[0] == "good" if last == "good" else MADE.fullmatch(found[0])
    assert reached(blue) == found[0]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/healthz", None),
        ("/v1/models", None),
        ("/v1/models/none", None),
        ("/pause", None),
        (PATH, {"model": "none"}),
        (PATH, b"no JSON"),
        (PATH, b"no JSON" * 3000),
        ("/m/tiny%00/v1/completions", b"{}"),
    ],
)
def test_each_answer_has_an_id(standing: tuple[Lab, Backend], path: str, body: object) -> None:
    headers = standing[0].ask(path, body, X_Request_Id="mine")[2]
    assert headers.get_all("X-Request-Id") == ["mine"]
