"""Answers over HTTP from their first byte on: those of a Hub, of a replica, of a router."""

from __future__ import annotations

import http.client
import io
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import cache
from importlib import import_module
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import httpcore2
import httpx2
from huggingface_hub.utils import _http

from tests.fuzz.of_models import COMMITS, HEADER, INFO, LISTING, SHA1, safetensors
from tests.fuzz.parser import A, hostside, packed, written
from toolkit.adapters.endpoint.endpoint import Endpoint
from toolkit.adapters.hub import requests
from toolkit.adapters.hub.client import HuggingFaceHub
from toolkit.domain.files.snapshot import FileDigest
from toolkit.errors import HostError, ToolkitError

with hostside():
    asking = import_module("asking")
    completion = import_module("completion")
    # The others load it when they ask.
    import_module("in_time")


def answer(body: bytes, *lines: str, status: str = "200 OK") -> bytes:
    """Return an answer over HTTP/1.1."""
    head = [f"HTTP/1.1 {status}", *lines, f"Content-Length: {len(body)}"]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


class _Wire(httpcore2.MockBackend):
    """Each connection brings `data`, whatever is asked."""

    data = b""

    def connect_tcp(self, *_: Any, **__: Any) -> httpcore2.NetworkStream:
        return httpcore2.MockStream([self.data])


_WIRE = _Wire([])


@cache
def _client() -> httpx2.Client:
    """Return a client whose transport reads from the wire, and is the library's own in all else."""
    transport = httpx2.HTTPTransport(verify=False)
    # Without a context of its own, each connection reads all certificates of authorities: 35 ms.
    transport._pool = httpcore2.ConnectionPool(
        ssl.create_default_context(), network_backend=_WIRE, max_keepalive_connections=0
    )
    return httpx2.Client(transport=transport)


class _Here:
    """In the place of a thread: what it runs counts as time of this one, and ends at its start."""

    def __init__(self, target: Callable[[], None], **_: Any) -> None:
        self.start = target

    def join(self, _seconds: float) -> None:
        pass


FILE = FileDigest("m.safetensors", 99, A)
HUB = (
    answer(packed(INFO), "Content-Type: application/json"),
    answer(packed(LISTING), 'Link: <https://hub.example/api/models/a/b/tree/main?c=2>; rel="next"'),
    answer(packed(COMMITS), "Date: Sun, 29 Nov 2026 10:00:00 GMT", "Age: 1"),
    answer(safetensors(HEADER, 16), "ETag: \"x\"", "Content-Range: bytes 0-98/99", status="206 Partial Content"),
    answer(b"", "Location: https://cdn.example/x", f'ETag: "{A}"', "X-Linked-Size: 99", status="302 Found"),
    answer(b"no", "X-Error-Code: GatedRepo", "RateLimit: \"api\";r=0;t=5", "Retry-After: 5", status="429 Later"),
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Xet-Hash: 0\r\n\r\n5\r\n[1,2]\r\n0\r\nX: y\r\n\r\n",
)  # fmt: skip


def of_a_hub(data: bytes) -> Any:
    """Read the same bytes as the answer to each request to a Hub."""
    _WIRE.data = data
    hub = HuggingFaceHub("https://hub.example", tries=1)
    into, found = written("data", b""), []
    with (
        patch.object(requests, "get_session", _client),
        patch.object(_http, "get_session", _client),
        patch.object(requests, "threading", SimpleNamespace(Thread=_Here)),
    ):
        for ask in (
            lambda: asdict(hub.resolve("a/b", "main")),
            lambda: [asdict(each) for each in hub.files("a/b", SHA1)],
            lambda: [asdict(each) for each in hub.commits("a/b", "main")],
            lambda: len(hub.read_small("a/b", SHA1, "config.json")),
            lambda: [asdict(each) for each in hub.tensors("a/b", SHA1, FILE.path, FILE.size)],
            lambda: hub.download("a/b", SHA1, FILE, into, lambda _: None),
        ):
            with suppress(ToolkitError):
                found.append(ask())
    return found


class _Socket:
    """A connection that brings given bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, _mode: str, buffering: int = -1) -> Any:
        raw = io.BytesIO(self._data)
        return raw if buffering == 0 else io.BufferedReader(raw)  # type: ignore[type-var]

    def ignore(self, *_: Any) -> None:
        pass

    sendall = settimeout = close = ignore


@contextmanager
def brings(
    data: bytes, kind: type[http.client.HTTPConnection] = http.client.HTTPConnection
) -> Iterator[None]:
    """Let each connection of this kind bring `data`, whatever is asked."""

    def connect(self: http.client.HTTPConnection) -> None:
        self.sock = _Socket(data)  # type: ignore[assignment]

    with patch.object(kind, "connect", connect):
        yield


EVENT = packed({"choices": [{"delta": {"content": "a"}, "finish_reason": None}]})
EVENTS = b"event: x\r\ndata: %s\n\n: note\ndata: %s\n\ndata: [DONE]\n\n" % (EVENT, EVENT)
TEXT = b'vllm:x_bucket{le="0.5",a="b"} 3.0\nvllm:x_bucket{le="+Inf"} 4\nvllm:x_sum 5e-1\nvllm:x_count 4\n'
REPLICA = (
    answer(EVENTS, "Content-Type: text/event-stream"),
    answer(packed({"choices": [{"text": "a", "finish_reason": "stop"}], "data": [{"id": "m"}]})),
    answer(TEXT, "Content-Type: text/plain; version=0.0.4"),
    answer(b"busy", "Retry-After: 1", status="503 Service Unavailable"),
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/event-stream\r\n\r\n"
    b"%x\r\n%s\r\n0\r\n\r\n" % (len(EVENTS), EVENTS),
)  # fmt: skip


def of_a_replica(data: bytes) -> Any:
    """Read the same bytes as a host reads the answers of its replicas, and as `ask` reads a router's."""
    names, chat = ["vllm:x"], {"messages": [], "stream": True}
    with brings(data):
        found: list[Any] = [completion.healthy(1, "/health"), completion.status_of(1, "/x", {}, 9)]
        found += [completion.complete(1, chat, 9), completion.complete(1, {"prompt": "a"}, 9)]
        found += [asking.ask(1, "/x", chat, 9), asking.ask(1, "/x", {"prompt": "a"}, 9)]
        found += [completion.counters(1, "/m", names), completion.sums(1, "/m", names)]
        found += [completion.histograms_in(completion.metrics(1, "/m"), names)]
        router = Endpoint("http://127.0.0.1:1")
        with suppress(HostError):
            found.append(dict(router.describe("tiny")))
        with suppress(HostError), router.ask("/v1/chat/completions", chat) as opened:
            found += [opened.status, dict(opened.headers), list(opened.texts)]
    return found
