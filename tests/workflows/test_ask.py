"""A person asks a model: through a router as a client does, or a replica alone, and reads why it is refused."""

from __future__ import annotations

import http.server
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.hostside.test_router_tls import certificate
from tests.workflows.world import World, release
from toolkit.adapters.endpoint.endpoint import Endpoint
from toolkit.domain.secret import Secret
from toolkit.errors import BusyError, HostError, InputError, ToolkitError
from toolkit.planning.upkeep.question import ModelQuestion
from toolkit.workflows.fleet.ask import WholeAnswer, ask_endpoint
from toolkit.workflows.fleet.ask_replica import ask_replica

HELLO = ModelQuestion("tiny", "hello", system="be brief", most_tokens=5)
LABELS = {"X-Toolkit-Version": "v2", "X-Toolkit-Release": "7", "X-Toolkit-Slot": "green"}


class Router(http.server.BaseHTTPRequestHandler):
    """Answers with `status`, `body` and, for 200, the labels of a release; `asked` has the requests."""

    status: ClassVar[int] = 200
    body: ClassVar[bytes] = b""
    kind: ClassVar[str] = "text/event-stream"
    described: ClassVar[dict[str, Any]] = {}
    # In place of a description.
    page: ClassVar[bytes] = b""
    asked: ClassVar[list[tuple[str, Any, str]]] = []

    def do_GET(self) -> None:
        told = self.page or json.dumps(self.described).encode()
        self._say(200 if self.page or self.described else 404, told, "application/json")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append((self.path, body, self.headers.get("Authorization", "")))
        self._say(self.status, self.body, self.kind)

    def _say(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        for name, value in LABELS.items() if status == 200 else ():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def router(
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[tuple[type[Router], http.server.HTTPServer]]:
    class Own(Router):
        asked: ClassVar[list[tuple[str, Any, str]]] = []

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Own) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield Own, server
        server.shutdown()
        thread.join()


def events(*data: Any) -> bytes:
    texts = [each if isinstance(each, str) else json.dumps(each) for each in data]
    return b"".join(f"data: {text}\n\n".encode() for text in texts)


def delta(**parts: Any) -> dict[str, Any]:
    return {"choices": [{"delta": parts}]}


def through(
    server: http.server.HTTPServer, question: ModelQuestion = HELLO, **options: Any
) -> tuple[WholeAnswer, list[str]]:
    scheme = "https" if options else "http"
    said: list[str] = []
    endpoint = Endpoint(
        f"{scheme}://127.0.0.1:{server.server_port}/v1", key=Secret("tk-1"), **options
    )
    ticks = iter(range(100))

    def say(text: str) -> bool:
        said.append(text)
        return True

    return ask_endpoint([endpoint], question, lambda: float(next(ticks)), say, said.append), said


def test_an_answer_comes_part_by_part_with_who_gave_it(router: Any) -> None:
    own, server = router
    own.body = b": keep-alive\n\n" + events(
        delta(role="assistant", content=""),
        delta(reasoning="hm"),
        delta(content="Hel"),
        delta(content="lo"),
        {"choices": [], "usage": {"completion_tokens": 3}},
        "[DONE]",
    )
    answered, said = through(server)
    assert said == ["Hel", "lo"]
    assert (answered.text, answered.thoughts) == ("Hello", "hm")
    assert (answered.version, answered.release, answered.slot) == ("v2", 7, "green")
    assert answered.usage == {"completion_tokens": 3}
    assert answered.first == 1.0
    path, body, key = own.asked[0]
    assert (path, key) == ("/v1/chat/completions", "Bearer tk-1")
    assert body == {
        "model": "tiny",
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "hello"},
        ],
        "max_tokens": 5,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_a_base_model_completes_the_prompt(router: Any) -> None:
    own, server = router
    own.described = {"id": "tiny", "kind": "completion"}
    own.body = events({"choices": [{"text": " world"}]}, "[DONE]")
    answered, _ = through(server, ModelQuestion("tiny", "hello"))
    assert answered.text == " world"
    assert own.asked[0][:2] == (
        "/v1/completions",
        {
            "model": "tiny",
            "prompt": "hello",
            "stream": True,
            "stream_options": {"include_usage": True},
        },
    )
    with pytest.raises(InputError, match="takes no system prompt"):
        through(server)


def test_a_model_without_words_is_not_asked(router: Any) -> None:
    own, server = router
    own.described = {"id": "tiny", "kind": "embedding"}
    with pytest.raises(InputError, match="answers requests of kind embedding"):
        through(server)
    assert own.asked == []


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (
            401,
            {"error": {"message": "Give a key."}},
            InputError,
            "the router refuses the key: Give a key.",
        ),
        (
            404,
            {"error": {"message": "The model `tiny` does not exist."}},
            InputError,
            "The model `tiny`",
        ),
        (400, {"error": {"message": "too long"}}, InputError, "tiny refuses the request: too long"),
        (429, {"error": {"message": "Slow down."}}, BusyError, "Slow down."),
        (503, {"error": {"message": "No replica."}}, BusyError, "No replica."),
        (500, {"error": {"message": "broken"}}, HostError, "HTTP 500: broken"),
        (502, "<html>", HostError, "HTTP 502: <html>"),
    ],
)
def test_a_refusal_says_why(
    router: Any, status: int, body: Any, kind: type[ToolkitError], words: str
) -> None:
    own, server = router
    text = body if isinstance(body, str) else json.dumps(body)
    own.status, own.body, own.kind = status, text.encode(), "application/json"
    with pytest.raises(kind) as caught:
        through(server)
    assert words in caught.value.message
    assert caught.value.hint


def test_a_model_that_sleeps_is_woken_by_the_next_command(router: Any) -> None:
    own, server = router
    words = {"message": "This model sleeps; its operator wakes it.", "code": "model_asleep"}
    own.status, own.body, own.kind = 503, json.dumps({"error": words}).encode(), "application/json"
    with pytest.raises(BusyError, match="This model sleeps") as caught:
        through(server)
    assert caught.value.hint == "toolkit wake tiny, then the same again"


@pytest.mark.parametrize("body", [events("no json"), events({"error": {"message": "engine died"}})])
def test_a_stream_that_breaks_off_is_an_error(router: Any, body: bytes) -> None:
    own, server = router
    own.body = body
    with pytest.raises(HostError):
        through(server)


@pytest.mark.parametrize(
    "odd",
    [
        {"choices": ["x"]},
        {"choices": [5]},
        {"choices": [{"delta": [1]}]},
        {"choices": {}},
        {"choices": [{"delta": {"content": 5}}], "usage": 3},
    ],
    ids=str,
)
def test_an_odd_part_of_an_answer_says_nothing(router: Any, odd: Any) -> None:
    own, server = router
    own.body = events(odd, delta(content="Hello"), "[DONE]")
    assert through(server)[0].text == "Hello"


@pytest.mark.parametrize("release", ["\u00b2", "9" * 5000, "-1", ""], ids=ascii)
def test_an_odd_number_of_a_release_is_none(
    router: Any, monkeypatch: pytest.MonkeyPatch, release: str
) -> None:
    own, server = router
    own.body = events(delta(content="Hello"), "[DONE]")
    monkeypatch.setitem(LABELS, "X-Toolkit-Release", release)
    assert through(server)[0].release is None


def test_what_is_no_router_is_named_and_gets_no_question(router: Any) -> None:
    own, server = router
    own.page = b"<html>Welcome!</html>"
    with pytest.raises(HostError, match="answers as no router does: '<html>Welcome!</html>'"):
        through(server)
    assert own.asked == []


def test_a_router_that_is_not_there_is_named() -> None:
    endpoint = Endpoint("http://127.0.0.1:1/v1")
    with pytest.raises(HostError, match=r"the router at http://127\.0\.0\.1:1/v1"):
        ask_endpoint([endpoint], HELLO, lambda: 0.0, lambda _: True, lambda _: None)


def test_a_router_that_takes_no_connection_is_not_waited_for_as_long_as_for_an_answer(
    monkeypatch: pytest.MonkeyPatch, router: Any
) -> None:
    own, server = router
    own.body = events(delta(content="Hello"), "[DONE]")
    monkeypatch.setattr("toolkit.adapters.endpoint.endpoint.CONNECTING", 0.2)
    with socket.socket() as full, ExitStack() as waiting:
        # As a host that is off: nothing answers what would begin a connection.
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(3):
            each = waiting.enter_context(socket.socket())
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        off = Endpoint(f"http://127.0.0.1:{full.getsockname()[1]}/v1")
        on = Endpoint(f"http://127.0.0.1:{server.server_port}/v1")
        remarks: list[str] = []
        answered = ask_endpoint([off, on], HELLO, lambda: 0.0, lambda _: True, remarks.append)
    assert answered.text == "Hello"
    assert [each.partition(": ")[2] for each in remarks] == ["timed out"]


def test_only_the_operators_certificate_gets_the_key(router: Any, tmp_path: Path) -> None:
    own, server = router
    shown, key = certificate(tmp_path, "shown")
    other, _ = certificate(tmp_path, "other")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(shown, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    own.body = events(delta(content="Hello"), "[DONE]")
    assert through(server, certificate=str(shown))[0].text == "Hello"
    with pytest.raises(HostError, match="shows another certificate"):
        through(server, certificate=str(other))
    with pytest.raises(InputError, match="cannot be read as a certificate"):
        through(server, certificate=str(key))
    assert len(own.asked) == 1


def test_a_standby_is_asked_by_its_host(world: World) -> None:
    world.deploy(release(1))
    world.deploy(release(2))
    answered = ask_replica(list(world.hosts.values()), ModelQuestion("tiny", "hello"), version="v1")
    assert (answered.version, answered.text != "") == ("v1", True)
    with pytest.raises(InputError, match="no replica of tiny is up as v9") as caught:
        ask_replica(list(world.hosts.values()), ModelQuestion("tiny", "hello"), version="v9")
    assert "v1 in blue" in caught.value.hint
    with pytest.raises(InputError, match="no replica of none is up"):
        ask_replica(list(world.hosts.values()), ModelQuestion("none", "hello"), slot="blue")
