"""Answers of replicas over HTTP are read as the standard library reads them, without that library."""

from __future__ import annotations

import http.client
import importlib
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from types import ModuleType
from typing import Any

import pytest

from toolkit.adapters.hosts.ssh import HOSTSIDE


@pytest.fixture
def in_time(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(HOSTSIDE)
    return importlib.import_module("in_time")


@contextmanager
def replica(*pieces: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """Yield the port of a replica that says these pieces and closes, and what it was asked."""
    asked: list[bytes] = []

    def serve(server: socket.socket) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                asked.append(connection.recv(65536))
                for each in pieces:
                    connection.sendall(each)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, args=(server,), daemon=True).start()
        yield server.getsockname()[1], asked
        server.shutdown(socket.SHUT_RDWR)


def read(in_time: ModuleType, port: int) -> tuple[int, bytes]:
    connection = in_time.Connection(port, 20)
    with closing(connection):
        answer = connection.request("GET", "/x", None, {})
        return answer.status, b"".join(iter(answer.part, b""))


def read_by_the_library(port: int) -> tuple[int, bytes]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request("GET", "/x")
        answer = connection.getresponse()
        return answer.status, b"".join(iter(lambda: answer.read1(2**16), b""))


HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: Chunked\r\n\r\n"


@pytest.mark.parametrize(
    "said",
    [
        HEAD + b"Content-Length: 3\r\n\r\nabc",
        HEAD + b"content-length:3\r\n\r\nabcdef",
        HEAD + b"Content-Length: 9\r\n\r\nabc",
        HEAD + b"Content-Length: 0\r\n\r\nabc",
        HEAD + b"Content-Length: -1\r\n\r\nabc",
        HEAD + b"\r\nto the end",
        HEAD + b"X: a\r\n b\r\nno colon\r\n\r\nto the end",
        b"HTTP/1.0 503 Busy\nX: y\n\nwith bare ends",
        b"HTTP/1.1 204 No\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 100 Go on\r\nX: y\r\n\r\n" + HEAD + b"Content-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nab",
        CHUNKED + b"3\r\nabc\r\n10;x=y\r\n0123456789abcdef\r\n0\r\nT: t\r\n\r\n",
        CHUNKED + b"0\r\n\r\n",
        CHUNKED + b"0",
    ],
)
@pytest.mark.parametrize("cut", [1, 7, 10**6])
def test_an_answer_is_what_the_library_reads(in_time: ModuleType, said: bytes, cut: int) -> None:
    pieces = [said[at : at + cut] for at in range(0, len(said), cut)]
    if said.endswith(b"\r\n0"):
        said += b"\r\n"
        pieces.append(b"\r\n")
    with replica(*pieces) as (port, _):
        assert read(in_time, port) == read_by_the_library(port)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"no HTTP at all\r\n\r\n", "no answer of HTTP: b'no HTTP at all'"),
        (b"HTTP/1.1 20 OK\r\n\r\n", "no answer of HTTP"),
        (b"HTTP/1.1 2", "the answer breaks off"),
        (HEAD + b"X: y\r\n", "the answer breaks off"),
        (HEAD + b"X: y\r\n" * 101, "its head has more than 100 lines"),
        (HEAD + b"X: " + b"y" * 2**18, "a line of the answer is too long"),
        (CHUNKED + b"5\r\nabc", "the answer breaks off"),
        (CHUNKED + b"3\r\nabcdef\r\n", "another size than it says"),
        (CHUNKED + b"-3\r\nabc", "no size of a part: b'-3'"),
        (CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n", "no size of a part"),
        (CHUNKED + b"3\r\nabc\r\n", "the answer breaks off"),
    ],
)
def test_what_is_no_answer_is_said(in_time: ModuleType, said: bytes, words: str) -> None:
    with replica(said) as (port, _), pytest.raises(in_time.NoAnswer, match=words):
        read(in_time, port)


def test_a_replica_that_closes_says_nothing(in_time: ModuleType) -> None:
    with replica() as (port, _), pytest.raises(in_time.RemoteDisconnected):
        read(in_time, port)


def test_a_request_has_one_head_and_its_body(in_time: ModuleType) -> None:
    with replica(HEAD + b"\r\n") as (port, asked):
        with closing(in_time.Connection(port, 20)) as connection:
            connection.request("POST", "/v1/x", b"{}", {"Content-Type": "application/json"})
        assert asked == [
            b"POST /v1/x HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAccept-Encoding: identity\r\n"
            b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}" % port
        ]


@pytest.mark.parametrize("path", ["x", "/a b", "/a\r\nX: y", "/ä"])
def test_a_path_that_would_be_another_request_is_not_sent(in_time: ModuleType, path: Any) -> None:
    with pytest.raises(in_time.NoAnswer, match="no path of an engine"):
        in_time.Connection(1, 20).request("GET", path, None, {})


def test_a_request_to_a_replica_loads_neither_mail_nor_tls() -> None:
    program = f"""
import sys
sys.path.insert(0, {str(HOSTSIDE)!r})
import completion
assert completion.complete(1, {{"prompt": "a"}}, 1)["error"].startswith("ConnectionRefusedError")
print(*sys.modules.keys() & {{"email", "http.client", "ssl"}})
"""
    argv = [sys.executable, "-I", "-S", "-c", program]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
