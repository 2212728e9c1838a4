"""A Hub that lies: each answer ends, within a bound, in an error of the tree."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import threading
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants
from huggingface_hub.utils import close_session

from tests.adapters.test_hub_edges import FILE, REPO, REVISION, SHA256, WEIGHTS, answering
from tests.on_thread import serve_on_thread
from toolkit.adapters.hub import requests, transfer
from toolkit.adapters.hub.client import HuggingFaceHub
from toolkit.domain import bounds
from toolkit.errors import SourceError

PLACE = f"/{REPO}/resolve/{REVISION}/model.safetensors"
TREE = f"/api/models/{REPO}/tree/{REVISION}"
INFO = f"/api/models/{REPO}/revision/main"
HEAD = {"ETag": f'"{SHA256}"', "X-Repo-Commit": REVISION, "X-Linked-Size": str(len(WEIGHTS))}

App = Callable[[dict[str, Any], Any, Any], Awaitable[None]]


async def start(send: Any, status: int, headers: dict[str, str]) -> None:
    named = [(key.lower().encode(), value.encode()) for key, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": named})


class Endless:
    """A server on a socket: `head`, then `piece` again and again, `pause` seconds apart, until the client leaves."""

    def __init__(self, head: bytes, piece: bytes, pause: float = 0.0) -> None:
        self.sent = 0
        self._head, self._piece, self._pause = head, piece, pause
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Endless:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        # Wakes the thread that waits for a client.
        socket.create_connection(self._listening.getsockname()).close()
        self._thread.join()
        self._listening.close()

    def _serve(self) -> None:
        while True:
            client, _ = self._listening.accept()
            with client, suppress(OSError):
                asked = client.recv(65536)
                if not asked:
                    return
                client.sendall(self._head)
                while not asked.startswith(b"HEAD "):
                    client.sendall(self._piece)
                    self.sent += len(self._piece)
                    time.sleep(self._pause)


def download(app: App, into: Path, tries: int = 3) -> str:
    with serve_on_thread(app) as endpoint:
        hub = HuggingFaceHub(endpoint, tries=tries, pause=0.001)
        return hub.download(REPO, REVISION, FILE, into, lambda _: None)


def test_a_part_that_is_refused_again_and_again_ends_the_download(tmp_path: Path) -> None:
    """The server sends a part of the whole file, and answers 416 to each request for the rest."""
    ranges: list[str] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        asked = {key.decode(): value.decode() for key, value in scope["headers"]}.get("range", "")
        if scope["method"] == "HEAD":
            await start(send, 200, {**HEAD, "Content-Length": str(len(WEIGHTS))})
            await send({"type": "http.response.body", "body": b""})
        elif asked:
            ranges.append(asked)
            await start(send, 416, {})
            await send({"type": "http.response.body", "body": b""})
        else:
            await start(send, 200, {"Content-Length": str(len(WEIGHTS))})
            await send({"type": "http.response.body", "body": WEIGHTS[:2_000_000]})

    with pytest.raises(SourceError, match="from its beginning again and again"):
        download(app, tmp_path / "data")
    assert len(ranges) == bounds.RESTARTS + 1


def test_a_few_bytes_at_each_try_are_no_progress(tmp_path: Path) -> None:
    requested: list[str] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        asked = {key.decode(): value.decode() for key, value in scope["headers"]}.get("range", "")
        if scope["method"] == "GET":
            requested.append(asked)
        begin = int(asked.removeprefix("bytes=").partition("-")[0] or 0)
        size = len(WEIGHTS)
        part = {"Content-Range": f"bytes {begin}-{size - 1}/{size}"} if begin else {}
        await start(
            send, 206 if begin else 200, {**HEAD, **part, "Content-Length": str(size - begin)}
        )
        await send({"type": "http.response.body", "body": WEIGHTS[begin : begin + 10]})

    with pytest.raises(SourceError, match=r"3 times in a row$"):
        download(app, tmp_path / "data")
    assert requested == ["", "bytes=10-", "bytes=20-"]


def test_an_answer_below_the_floor_of_speed_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "SLOW_SECONDS", 0.2)
    head = "".join(f"{key}: {value}\r\n" for key, value in HEAD.items())
    answer = f"HTTP/1.1 200 OK\r\nContent-Length: {len(WEIGHTS)}\r\n{head}\r\n".encode()
    with Endless(answer, b"x", 0.02) as server:
        hub = HuggingFaceHub(server.endpoint, tries=2, pause=0.001)
        with pytest.raises(SourceError, match="slower than 1 KiB per second"):
            hub.download(REPO, REVISION, FILE, tmp_path / "data", lambda _: None)


@pytest.mark.parametrize(
    "piece", [b"x", b"HTTP/1.1 103 Early Hints\r\n\r\n"], ids=["headers", "hints"]
)
def test_an_answer_that_never_begins_is_given_up(
    piece: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes come, so the timeout, which counts silence, never strikes: a busy machine is silent for less."""
    monkeypatch.setattr(requests, "BEGIN_SECONDS", 2.0)
    monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 3.0)
    head = b"HTTP/1.1 200 OK\r\nX-Slow: " if piece == b"x" else b""
    with Endless(head, piece, 0.02) as server:
        with pytest.raises(SourceError, match="slower than"):
            HuggingFaceHub(server.endpoint, tries=1).resolve(REPO, "main")
        close_session()


def test_a_silent_server_is_asked_twice_and_not_at_each_try(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Five silent tries took a minute of somebody who waits for a word."""
    monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 0.2)
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.2)
    seen: list[str] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        seen.append(scope["path"])
        await asyncio.sleep(0.5)

    with serve_on_thread(app) as endpoint:
        hub = HuggingFaceHub(endpoint, pause=0.001)
        with pytest.raises(SourceError, match="did not answer in time"):
            hub.resolve(REPO, "main")
        with pytest.raises(SourceError, match="did not answer in time"):
            hub.read_small(REPO, REVISION, "model.safetensors")
    assert seen == [INFO, INFO, PLACE, PLACE]


def test_a_listing_that_leads_to_itself_ends() -> None:
    answers = {TREE: (200, {"Link": f'<{TREE}?recursive=true&expand=false>; rel="next"'}, b"[]")}
    seen: list[Any] = []
    with (
        serve_on_thread(answering(answers, seen)) as endpoint,
        pytest.raises(SourceError, match="without an end"),
    ):
        HuggingFaceHub(endpoint, tries=1).files(REPO, REVISION)
    assert len(seen) == 1


def test_a_listing_with_ever_another_page_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.adapters.hub.client.PAGES", 7)
    seen: list[Any] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        answers = {TREE: (200, {"Link": f'<{TREE}?cursor={len(seen)}>; rel="next"'}, b"[]")}
        await answering(answers, seen)(scope, receive, send)

    with serve_on_thread(app) as endpoint, pytest.raises(SourceError, match="without an end"):
        HuggingFaceHub(endpoint, tries=1).files(REPO, REVISION)
    assert len(seen) == 7


def test_a_listing_that_takes_too_long_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.adapters.hub.client.LISTING_SECONDS", 0.0)
    answers = {TREE: (200, {"Link": f'<{TREE}?c=1>; rel="next"'}, b"[]")}
    with (
        serve_on_thread(answering(answers, seen := [])) as endpoint,
        pytest.raises(SourceError, match="without an end"),
    ):
        HuggingFaceHub(endpoint, tries=1).files(REPO, REVISION)
    assert len(seen) == 1


def test_an_answer_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.adapters.hub.client.ANSWER_SECONDS", 0.2)
    with (
        Endless(b"HTTP/1.1 200 OK\r\n\r\n", b" " * 100, 0.02) as server,
        pytest.raises(SourceError, match="slower than"),
    ):
        HuggingFaceHub(server.endpoint, tries=1).resolve(REPO, "main")


def test_a_listing_of_more_files_than_a_repository_has_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("toolkit.adapters.hub.client.LISTED", 5)
    page = [{"type": "file", "path": f"{n}", "size": 1, "oid": "b" * 40} for n in range(6)]
    answers = {TREE: (200, {"Link": f'<{TREE}?c=1>; rel="next"'}, json.dumps(page).encode())}
    with (
        serve_on_thread(answering(answers, [])) as endpoint,
        pytest.raises(SourceError, match="without an end"),
    ):
        HuggingFaceHub(endpoint, tries=1).files(REPO, REVISION)


def test_an_answer_without_an_end_is_not_read_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.adapters.hub.client.ANSWER", 1_000_000)
    with (
        Endless(b"HTTP/1.1 200 OK\r\n\r\n", b" " * 65536) as server,
        pytest.raises(SourceError, match="more about acme/tiny than such an answer"),
    ):
        HuggingFaceHub(server.endpoint, tries=1).resolve(REPO, "main")
    assert server.sent < 20_000_000


@pytest.mark.parametrize("layers", [1, 2])
def test_a_body_that_nobody_wants_compressed_is_not_unpacked(tmp_path: Path, layers: int) -> None:
    body = bytes(2**28)
    for _ in range(layers):
        body = gzip.compress(body, 9)
    packed = {"Content-Encoding": ", ".join(["gzip"] * layers)}
    answers = {
        INFO: (200, packed, body),
        f"/{REPO}/resolve/{REVISION}/config.json": (200, packed, body),
        PLACE: (200, {**HEAD, **packed}, body),
    }
    tracemalloc.start()
    with serve_on_thread(answering(answers, [])) as endpoint:
        hub = HuggingFaceHub(endpoint, tries=1)
        for ask in (
            lambda: hub.resolve(REPO, "main"),
            lambda: hub.read_small(REPO, REVISION, "config.json"),
            lambda: hub.tensors(REPO, REVISION, FILE.path, FILE.size),
            lambda: hub.download(REPO, REVISION, FILE, tmp_path / "data", lambda _: None),
        ):
            with pytest.raises(SourceError, match="not a Hub's"):
                ask()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**25


def test_a_name_that_packs_nothing_changes_nothing() -> None:
    answer = (200, {"Content-Encoding": "aws-chunked"}, b"{}")
    with serve_on_thread(
        answering({f"/{REPO}/resolve/{REVISION}/config.json": answer}, [])
    ) as endpoint:
        assert HuggingFaceHub(endpoint, tries=1).read_small(REPO, REVISION, "config.json") == b"{}"


@pytest.mark.parametrize("status", [302, 404, 500])
def test_the_body_of_a_failure_or_a_redirect_is_not_read(status: int) -> None:
    head = f"HTTP/1.1 {status} X\r\nLocation: /x\r\nContent-Type: application/json\r\n\r\n"
    with Endless(head.encode(), b" " * 65536) as server, pytest.raises(SourceError):
        HuggingFaceHub(server.endpoint, tries=1).resolve(REPO, "main")
    assert server.sent < 50_000_000


def test_a_transfer_through_xet_that_stands_still_goes_on_over_http(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for the transfer, which would need Xet's servers."""
    still, left = threading.Event(), threading.Event()

    def through_xet(repo: str, path: str, *, tqdm_class: Any, **_: Any) -> str:
        with tqdm_class(total=len(WEIGHTS)) as bar:
            bar.update(10)
            still.wait(30)
            try:
                bar.update(10)
            finally:
                left.set()
        raise AssertionError("the bar ends it")

    monkeypatch.setattr(requests, "SLOW_SECONDS", 0.3)
    monkeypatch.setattr(transfer, "hf_hub_download", through_xet)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    xet = {"X-Xet-Hash": "0" * 64, "X-Xet-Refresh-Route": "http://127.0.0.1:9/x"}
    gained: list[int] = []
    with serve_on_thread(answering({PLACE: (200, {**HEAD, **xet}, WEIGHTS)}, [])) as endpoint:
        hub = HuggingFaceHub(endpoint, tries=1)
        assert hub.download(REPO, REVISION, FILE, tmp_path / "data", gained.append) == SHA256
    still.set()
    assert left.wait(30)
    assert sum(gained) == len(WEIGHTS)
