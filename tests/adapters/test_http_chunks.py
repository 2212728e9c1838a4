"""An answer whose chunks have an impossible size is one that broke off, to everybody who reads answers over HTTP."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

import pytest

from tests.hostside.router_lab import REPO
from toolkit.adapters.endpoint.endpoint import Endpoint
from toolkit.adapters.engines.wheel import read_wheel
from toolkit.adapters.prometheus import Prometheus
from toolkit.domain.hosts.metrics import Selection
from toolkit.errors import ToolkitError

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import asking
import completion

HEAD = b"HTTP/1.1 206 OK\r\nContent-Range: bytes 0-8/9\r\nTransfer-Encoding: chunked\r\n"
SIZES = (b"-5", b"-1e9e9e", b"f" * 16, b"f" * 40, b"+5", b"1_0", b" 5", b"0x5", b"-0", b"")


@contextmanager
def stating(size: bytes, kind: bytes = b"application/json") -> Iterator[str]:
    """Answer every request with a first chunk of this size; yields the address."""
    text = HEAD + b"Content-Type: %s\r\n\r\n%s\r\ndata: {}\r\n\r\n0\r\n\r\n" % (kind, size)
    with answering(text) as address:
        yield address


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """Answer every request with these bytes and close the connection; yields the address."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def serve() -> None:
            while True:
                try:
                    asked, _ = server.accept()
                except OSError:
                    return
                with asked:
                    asked.recv(2**16)
                    asked.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def streamed(address: str) -> Any:
    with Endpoint(f"http://{address}").ask("/v1/chat/completions", {}) as opened:
        return list(opened.texts)


READERS: dict[str, Callable[[str], Any]] = {
    "a router": lambda address: Endpoint(f"http://{address}").describe("tiny"),
    "a stream": streamed,
    "Prometheus": lambda address: Prometheus(f"http://{address}").by_hour(Selection("x"), 0, 1),
    "an index of packages": lambda address: read_wheel(f"http://{address}/a-1-py3-none-any.whl", ("a",)),
}  # fmt: skip


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("reader", READERS)
def test_an_impossible_size_of_a_chunk_is_told_as_an_answer_that_broke_off(
    reader: str, size: bytes
) -> None:
    kind = b"text/event-stream" if reader == "a stream" else b"application/json"
    with stating(size, kind) as address, suppress(ToolkitError):
        READERS[reader](address)


@pytest.mark.parametrize("reader", READERS)
def test_a_negative_size_is_named(reader: str) -> None:
    kind = b"text/event-stream" if reader == "a stream" else b"application/json"
    with stating(b"-5", kind) as address, pytest.raises(ToolkitError, match="size of a chunk"):
        READERS[reader](address)


@pytest.mark.parametrize("reader", READERS)
def test_an_answer_that_is_shorter_than_it_says_broke_off(reader: str) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n"
    with answering(head + b"{}") as address, pytest.raises(ToolkitError):
        READERS[reader](address)


@pytest.mark.parametrize("size", SIZES)
def test_a_host_takes_no_harm_from_a_replica_that_states_one(size: bytes) -> None:
    with stating(size) as address:
        port = int(address.rpartition(":")[2])
        completion.metrics(port, "/metrics", 1)
        completion.complete(port, {"prompt": "a"}, 1)
        asking.ask(port, "/v1/completions", {"prompt": "a", "stream": True}, 1)
