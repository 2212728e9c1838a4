"""What each key may hold of the router while it uploads, and bodies of every size."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket

import pytest

from tests.hostside.door_lab import LARGE, connected, locked
from tests.hostside.keyed import ANN, BOB, TINY, bearer
from tests.hostside.router_lab import Lab, router_socket, until
from tests.hostside.router_site import PATH, Site

__all__ = ["locked"]


MEDIUM = b'{"model":"tiny","x":"' + b"x" * 100_000 + b'"}'


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
            client = http.client.HTTPConnection("127.0.0.1", locked.port, timeout=60)
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
