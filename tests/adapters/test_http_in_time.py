"""An answer over HTTP that comes byte by byte ends in time, whichever of its parts is the slow one."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from tests.adapters.test_hub_lies import Endless
from toolkit.adapters.endpoint.endpoint import Endpoint
from toolkit.adapters.engines import wheel
from toolkit.adapters.prometheus import Prometheus
from toolkit.domain.hosts.metrics import Selection
from toolkit.errors import SourceError, ToolkitError

# Before each byte the server waits for a fraction of it, so the time of silence alone never ends.
SECONDS = 0.6
PART = b"HTTP/1.1 206 OK\r\nContent-Range: bytes 0-99999/100000\r\n"
SLOW = {
    "the status": (b"", b"H"),
    "a header": (PART + b"X-A: ", b"x"),
    "the body": (PART + b"Content-Length: 100000\r\n\r\n", b" "),
    "chunks": (PART + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "the head of a chunk": (PART + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x"),
    "a line of a stream": (PART + b"Content-Type: text/event-stream\r\n\r\ndata: ", b"x"),
    "hints": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
}


def streamed(address: str) -> Any:
    with Endpoint(address, silence=SECONDS).ask("/v1/chat/completions", {}) as opened:
        return list(opened.texts)


READERS: dict[str, Callable[[str], Any]] = {
    "a router": lambda address: Endpoint(address, silence=SECONDS).describe("tiny"),
    "a stream": streamed,
    "Prometheus": lambda address: Prometheus(address, seconds=SECONDS).by_hour(Selection("x"), 0, 1),
    "an index of packages": lambda address: wheel.read_wheel(f"{address}/a-1-py3-none-any.whl", ("a",)),
}  # fmt: skip


@pytest.mark.parametrize("slow", SLOW)
@pytest.mark.parametrize("reader", READERS)
def test_an_answer_that_comes_byte_by_byte_ends_in_time(
    reader: str, slow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wheel, "_ANSWER_SECONDS", SECONDS)
    head, piece = SLOW[slow]
    with (
        Endless(head, piece, SECONDS / 10) as server,
        pytest.raises(ToolkitError, match=r"timed out|did not end within 0\.6 s"),
    ):
        READERS[reader](server.endpoint)


def test_a_stream_may_go_on_for_as_long_as_its_events_come() -> None:
    head = PART + b"Content-Type: text/event-stream\r\n\r\n"
    with (
        Endless(head, b"data: a\n\n", SECONDS / 4) as server,
        Endpoint(server.endpoint, silence=SECONDS).ask("/v1/completions", {}) as opened,
    ):
        assert [text for text, _ in zip(opened.texts, range(12), strict=False)] == ["a"] * 12


@pytest.mark.parametrize("size", [b"", b"Content-Length: 1000000000000\r\n"])
def test_the_body_of_an_indexs_redirect_is_not_read(size: bytes) -> None:
    head = b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\n" + size + b"\r\n"
    tracemalloc.start()
    with Endless(head, b"x" * 65536) as server, pytest.raises(SourceError, match="infinite loop"):
        wheel.read_wheel(f"{server.endpoint}/a-1-py3-none-any.whl", ("a",))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**24
