"""Whoever reaches the port without a key writes few lines of the log, and those of others stay in it."""

from __future__ import annotations

import contextlib
import http.client
import socket
import statistics
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hostside.keyed import ANN, bearer, ring, status
from tests.hostside.router_lab import Lab, router_socket, until
from tests.hostside.router_site import PATH, Site, site_of
from tests.hostside.test_router_crowd import frame
from tests.hostside.test_router_log import new_id
from toolkit.hostside import access_log

OF_ADDRESS, OF_ALL = 10, 100
FLOOD = 500


@pytest.fixture
def flooded() -> Iterator[Lab]:
    with site_of() as made:
        made.lab.give(ring())
        yield made.lab


def sent(running: Lab, data: bytes, source: str = "127.0.0.9", *, leaves: bool = False) -> bytes:
    """Send the bytes over one connection, and return the answers; `leaves` says that nothing more is to come."""
    address, answers = (source, 0), b""
    with socket.create_connection(("127.0.0.1", running.port), 60, address) as raw:
        raw.sendall(data)
        if leaves:
            raw.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            while part := raw.recv(65536):
                answers += part
    return answers


def asking(path: str, count: int, *headers: str) -> bytes:
    """Return `count` requests, the last of which ends the connection."""
    one = "\r\n".join([f"GET {path} HTTP/1.1", "Host: x", *headers, "", ""])
    last = one.replace("Host: x", "Host: x\r\nConnection: close")
    return (one * (count - 1) + last).encode()


def lines_until(running: Lab, key: str = ANN) -> list[dict[str, Any]]:
    """Return the lines of the log up to one of a request with a key, without that one."""
    asked = new_id()
    assert running.ask("/v1/models", **bearer(key), X_Request_Id=asked)[0] == 200
    until(lambda: any(each["request_id"] == asked for each in running.requests()))
    return [each for each in running.requests() if each["request_id"] != asked]


@pytest.mark.parametrize(
    ("path", "headers", "code"),
    [
        ("/v1/models", (), "401"),
        ("/v1/models", ("Authorization: Bearer wrong",), "401"),
        ("/healthz", (), "200"),
        ("/", (), "200"),
        ("/%00", (), "401"),
    ],
    ids=["no key", "a wrong key", "health", "page", "odd path"],
)
def test_requests_without_a_key_write_few_lines(
    flooded: Lab, path: str, headers: tuple[str, ...], code: str
) -> None:
    answers = sent(flooded, asking(path, FLOOD, *headers))
    assert answers.count(b"HTTP/1.1 " + code.encode()) == FLOOD
    lines = lines_until(flooded)
    # A busy machine may take longer than 10 seconds.
    assert OF_ADDRESS <= len(lines) <= FLOOD / 5
    assert {each["client"] for each in lines} == {"127.0.0.9"}


def test_each_request_with_a_key_has_its_line_amid_a_flood(flooded: Lab) -> None:
    sent(flooded, asking("/v1/models", FLOOD))
    answers = sent(flooded, asking("/v1/models", FLOOD, f"Authorization: Bearer {ANN}"))
    assert answers.count(b"HTTP/1.1 200") == FLOOD
    assert Counter(each["key"] for each in lines_until(flooded))["ann"] == FLOOD


def test_a_flood_leaves_room_for_the_lines_of_other_addresses(flooded: Lab) -> None:
    sent(flooded, asking("/v1/models", FLOOD))
    sent(flooded, asking("/v1/models", 2), "127.0.0.10")
    found = Counter(each["client"] for each in lines_until(flooded))
    assert found["127.0.0.10"] == 2


def test_many_addresses_together_write_few_lines(flooded: Lab) -> None:
    for number in range(1, 41):
        sent(flooded, asking("/v1/models", 2 * OF_ADDRESS), f"127.0.9.{number}")
    assert OF_ALL <= len(lines_until(flooded)) < 40 * OF_ADDRESS


def test_a_line_says_how_many_of_its_address_were_left_out(flooded: Lab) -> None:
    base = Path(flooded.directory, "haproxy.cfg")
    base.write_text(base.read_text().replace("_rate(10s)", "_rate(500ms)"))
    router_socket.reload(flooded.directory)
    sent(flooded, asking("/v1/models", FLOOD))
    told = 0

    def whole() -> bool:
        nonlocal told
        told += 1
        sent(flooded, asking("/v1/models", 1))
        lines = [each for each in lines_until(flooded) if each["client"] == "127.0.0.9"]
        return sum(1 + each["left_out"] for each in lines) == FLOOD + told

    until(whole)


def test_what_is_no_request_has_no_line_and_is_counted(flooded: Lab) -> None:
    def failed() -> int:
        pid = router_socket.processes(flooded.directory)["current"][-1]
        (rows,) = router_socket.tell(flooded.directory, pid, ["show stat api 1 -1 typed"])
        (row,) = (each for each in rows.splitlines() if ".ereq." in each)
        return int(row.rpartition(":")[2])

    for data in (
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nHo",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
    ):
        for _ in range(20):
            sent(flooded, data, leaves=True)
    assert lines_until(flooded) == []
    assert failed() == 60


def test_streams_that_are_reset_at_once_write_few_lines(flooded: Lab) -> None:
    fields = ((":method", "GET"), (":scheme", "http"), (":authority", "x"), (":path", "/v1/models"))
    packed = b"".join(
        bytes([0, len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
        for name, value in fields
    )
    streams = range(1, 2 * FLOOD, 2)
    reset = b"".join(
        frame(1, 5, each, packed) + frame(3, 0, each, struct.pack(">I", 8)) for each in streams
    )
    sent(flooded, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"") + reset, leaves=True)
    assert len(lines_until(flooded)) <= FLOOD / 5


@pytest.mark.parametrize(
    ("source", "key", "whole"),
    [("127.0.0.9", "", False), ("127.0.0.1", "", True), ("127.0.0.9", ANN, True)],
    ids=["stranger", "own address", "with a key"],
)
def test_an_address_that_asks_without_end_and_without_a_key_loses_its_connection(
    source: str, key: str, *, whole: bool
) -> None:
    most = 100
    with site_of(router_requests_of_stranger=most) as made:
        made.lab.give(ring())
        given = [f"Authorization: Bearer {key}"] if key else []
        answers = 0
        with contextlib.suppress(BrokenPipeError):
            answers = sent(made.lab, asking("/v1/models", FLOOD, *given), source).count(
                b"HTTP/1.1 "
            )
        if whole:
            assert answers == FLOOD
        else:
            assert answers <= OF_ADDRESS + most + 1
            # Others have their answers, and so has this address with a key.
            assert b" 401 " in sent(made.lab, asking("/v1/models", 1), "127.0.0.10")
            with_key = asking("/v1/models", 1, f"Authorization: Bearer {ANN}")
            assert b" 200 " in sent(made.lab, with_key, source)


# Sends frames of HTTP/2 without end, and reads their answers.
FRAMES = """
import socket, sys, threading
begin, frames = bytes.fromhex(sys.argv[2]), bytes.fromhex(sys.argv[3]) * 500

def read():
    while connection.recv(65536):
        pass

with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as connection:
    connection.sendall(begin)
    threading.Thread(target=read, daemon=True).start()
    while True:
        connection.sendall(frames)
"""
BUSY = "while True: pass"


def median(port: int, beside: str) -> float:
    """Return the seconds of a request with a key while two processes run the program `beside`."""
    begin = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"")
    words = [sys.executable, "-c", beside, str(port), begin.hex(), frame(6, 0, 0, bytes(8)).hex()]
    found = []
    with contextlib.ExitStack() as end:
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        end.callback(client.close)
        for _ in range(2):
            process = subprocess.Popen(words)
            end.callback(process.wait)
            end.callback(process.kill)
        time.sleep(0.5)
        for _ in range(60):
            began = time.monotonic()
            client.request("POST", PATH, b'{"model":"tiny"}', bearer(ANN))
            assert client.getresponse().read()
            found.append(time.monotonic() - began)
        assert process.poll() is None
    return statistics.median(found)


def test_frames_without_end_hold_requests_up_no_more_than_other_work_does(flooded: Lab) -> None:
    for _ in range(3):
        busy, amid = median(flooded.port, BUSY), median(flooded.port, FRAMES)
        if amid < 4 * busy + 0.005:
            return
    raise AssertionError(f"{amid:.3f} s amid frames, {busy:.3f} s beside other work")


def test_an_open_door_writes_a_line_of_each_request(site: Site) -> None:
    assert [status(site.lab) for _ in range(2 * OF_ADDRESS)] == [200] * 2 * OF_ADDRESS
    until(lambda: len(site.lab.requests()) == 2 * OF_ADDRESS)
    assert {access_log.ended(each) for each in site.lab.requests()} == {(200, "-")}
