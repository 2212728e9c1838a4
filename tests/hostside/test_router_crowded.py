"""A router whose limits are reached says so: in `status` and `doctor`, not in its metrics alone."""

from __future__ import annotations

import contextlib
import os
import re
import socket
from collections.abc import Iterator

import pytest

from tests.hostside.door_lab import connected
from tests.hostside.keyed import ANN, ring
from tests.hostside.router_lab import Lab, lab, until
from tests.hostside.test_router_flood import asking, sent

LIMITS = {
    "router_connections_of_strangers": 12,
    "router_connections_per_address": 5,
    "router_connections_of_host": 4,
    "router_head_timeout": "60s",
}


@pytest.fixture
def running() -> Iterator[Lab]:
    with lab(**LIMITS) as made:
        made.give(ring())
        yield made


def crowd(running: Lab) -> str:
    return str(running.observe()["crowd"])


def held(running: Lab, count: int, source: str) -> list[socket.socket]:
    return [connected(running, source) for _ in range(count)]


def test_a_router_without_a_crowd_says_nothing(running: Lab) -> None:
    sent(running, asking("/v1/models", 3))
    assert crowd(running) == ""


def test_addresses_at_their_limit_are_named(running: Lab) -> None:
    with contextlib.ExitStack() as stack:
        for source, count in (("127.0.4.1", 5), ("127.0.4.2", 4), ("127.0.0.1", 3)):
            for each in held(running, count, source):
                stack.enter_context(each)
        until(
            lambda: (
                crowd(running)
                == "12 of 6400 connections are taken; at the limit of connections: 127.0.4.1"
            )
        )
        for each in held(running, 1, "127.0.0.1"):
            stack.enter_context(each)
        until(lambda: crowd(running).endswith("of connections: 127.0.4.1, 127.0.0.1"))
    until(lambda: crowd(running) == "")


def test_connections_that_are_closed_at_once_are_counted(running: Lab) -> None:
    with contextlib.ExitStack() as stack:
        for each in held(running, 5, "127.0.4.1"):
            stack.enter_context(each)

        def closed() -> bool:
            for _ in range(100):
                with contextlib.suppress(ConnectionResetError):
                    connected(running, "127.0.4.1").close()
            return "connections a second are closed before a request" in crowd(running)

        until(closed)


def test_requests_without_a_line_in_the_log_are_told(running: Lab) -> None:
    for number in range(1, 12):
        sent(running, asking("/v1/models", 10), f"127.0.5.{number}")
    assert "the log leaves out requests without a valid key" in crowd(running)


def test_lines_that_the_log_did_not_take_are_told(running: Lab) -> None:
    running.kill()
    running.log.unlink()
    os.mkfifo(running.log)
    # A pipe that nobody reads, as of a supervisord that is frozen. It takes 64 KiB.
    pipe = os.open(running.log, os.O_RDWR)
    try:
        running.start()
        count = 1000
        answers = sent(running, asking("/v1/models", count, f"Authorization: Bearer {ANN}"))
        assert answers.count(b"HTTP/1.1 200") == count
        assert re.fullmatch(r"\d+ lines of the log were lost, which .* lack", crowd(running))
        os.set_blocking(pipe, False)
        held = b"".join(iter(lambda: _part(pipe), b""))
        lost = int(crowd(running).partition(" ")[0])
        assert held.count(b'"path":"/v1/models"') + lost == count
    finally:
        os.close(pipe)


def _part(pipe: int) -> bytes:
    try:
        return os.read(pipe, 65536)
    except BlockingIOError:
        return b""
