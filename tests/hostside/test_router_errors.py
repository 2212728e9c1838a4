"""Errors in the client's own language: whose API, which fault, what to do next."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.hostside.keyed import ANN, BOB, bearer, ring
from tests.hostside.router_lab import Backend, Lab, router_socket, until
from tests.hostside.router_site import site_of
from toolkit.planning.routing.edits import with_model
from toolkit.planning.routing.routes import Target

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
WRONG = "tk-wrong-" + "w" * 32
TINY = {"model": "tiny"}
# The engine keeps its answer to itself.
SLOW = {**TINY, "gated": True}
LONG = json.dumps(SLOW).ljust(20_000).encode()
INVALID = "invalid_request_error"


@pytest.fixture(scope="module")
def locked() -> Iterator[Lab]:
    """A router with keys, a model that serves and one that is down."""
    with site_of(router_client_silence="1s") as made:
        running = made.lab
        running.apply(with_model(running.routes, "dead", (Target("blue", 1, 100),), created=7))
        running.up("tiny", "blue", "green")
        running.give(ring(concurrency=1))
        yield running


@pytest.fixture(scope="module")
def impatient() -> Iterator[Lab]:
    """A router with keys that waits for no answer: each one is too late."""
    with site_of(router_idle_timeout="200ms") as made:
        running = made.lab
        running.give(ring())
        yield running


@pytest.fixture
def asked(request: pytest.FixtureRequest, status: int) -> Lab:
    """The router that answers a case with its status."""
    running: Lab = request.getfixturevalue("impatient" if status == 504 else "locked")
    return running


@pytest.fixture(scope="module")
def open_door() -> Iterator[tuple[Lab, Backend]]:
    with site_of() as made:
        yield made.lab, made.blue


# --- whose API ------------------------------------------------------------------------------------

FAULTS: list[tuple[dict[str, str], Any, int, str, str, str]] = [
    ({}, TINY, 401, "missing_api_key", "authentication_error", "authentication_error"),
    (bearer(WRONG), TINY, 401, "invalid_api_key", "authentication_error", "authentication_error"),
    (bearer(BOB), {"model": "none"}, 404, "model_not_found", INVALID, "not_found_error"),
    (bearer(BOB), {"model": "dead"}, 503, "no_replica", "server_error", "overloaded_error"),
    (bearer(BOB), b"x" * 15_728_641, 413, "body_too_large", INVALID, "request_too_large"),
    (bearer(BOB), b"no JSON", 400, "invalid_json", INVALID, INVALID),
    (bearer(BOB), b"no JSON" * 3000, 400, "invalid_json", INVALID, INVALID),
    (bearer(BOB), {}, 400, "missing_model", INVALID, INVALID),
    ({**bearer(BOB), "Content-Encoding": "gzip"}, TINY, 415, "unsupported_content_encoding", INVALID, INVALID),
    # HAProxy's own errors
    (bearer(BOB), SLOW, 504, "replica_timeout", "server_error", "timeout_error"),
    (bearer(BOB), LONG, 504, "replica_timeout", "server_error", "timeout_error"),
]  # fmt: skip


# Under /m/MODEL the router reads no body, so that the faults of bodies are the engine's there.
OF_BODIES = (400, 404, 413, 503)
CASES = [
    (prefix, *each)
    for prefix in ("", "/m/tiny")
    for each in FAULTS
    if not (prefix and each[2] in OF_BODIES)
]


@pytest.mark.parametrize(
    ("prefix", "headers", "body", "status", "code", "of_openai", "of_anthropic"),
    CASES,
    ids=[f"{each[4]}-{number}" for number, each in enumerate(CASES)],
)
def test_each_path_has_the_errors_of_its_api(
    asked: Lab,
    prefix: str,
    headers: dict[str, str],
    body: Any,
    status: int,
    code: str,
    of_openai: str,
    of_anthropic: str,
) -> None:
    at = {**headers, "X-Request-Id": "mine-1"}
    found, answer, given = asked.ask(prefix + CHAT, body, **at)
    assert (found, set(answer), set(answer["error"])) == (
        status,
        {"error"},
        {"message", "type", "param", "code"},
    )
    assert (answer["error"]["code"], answer["error"]["type"]) == (code, of_openai)
    assert (given["Content-Type"], given["X-Toolkit-Error"]) == ("application/json", code)
    found, answer, given = asked.ask(prefix + MESSAGES, body, **at)
    assert (found, answer["type"], answer["request_id"]) == (status, "error", "mine-1")
    assert (answer["error"]["type"], answer["error"]["code"]) == (of_anthropic, code)
    assert answer["error"]["message"]
    assert given["Request-Id"] == given["X-Request-Id"] == "mine-1"
    assert given["Retry-After"] == ("1" if status == 503 else None)


@pytest.mark.parametrize("path", ["/v1/models/none", "/nowhere", "/messages"])
def test_a_client_of_anthropics_api_is_told_by_its_header(
    open_door: tuple[Lab, Backend], path: str
) -> None:
    """Its libraries send the header with each request, also for the list of models and with a wrong base URL."""
    named = {"anthropic-version": "2023-06-01"}
    status, answer, headers = open_door[0].ask(path, None, "GET", **named)
    assert (status, answer["type"], answer["error"]["type"]) == (404, "error", "not_found_error")
    assert answer["request_id"] == headers["Request-Id"]


def test_a_key_over_its_limit_is_told_so_in_both(locked: Lab) -> None:
    body = json.dumps({**TINY, "stream": True, "tokens": 100, "pause": 0.05})
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", locked.port)) as client:
        client.request("POST", CHAT, body, bearer(ANN))
        client.getresponse().readline()
        for path, kind in ((CHAT, "rate_limit_error"), (MESSAGES, "rate_limit_error")):
            status, answer, headers = locked.ask(path, TINY, **bearer(ANN))
            assert (status, answer["error"]["type"]) == (429, kind)
            assert headers["Retry-After"] == "1"
    until(lambda: locked.ask(CHAT, TINY, **bearer(ANN))[0] == 200)


def test_a_replica_that_breaks_off_is_told_in_both(open_door: tuple[Lab, Backend]) -> None:
    router, blue = open_door
    blue.broken = True
    try:
        assert router.ask(CHAT, TINY)[1]["error"]["type"] == "server_error"
        assert router.ask(MESSAGES, TINY)[1]["error"]["type"] == "api_error"
    finally:
        blue.broken = False


@pytest.mark.parametrize("size", [5_000, 100_000])
@pytest.mark.parametrize(
    ("path", "kind"), [(CHAT, "invalid_request_error"), (MESSAGES, "timeout_error")]
)
def test_a_body_that_does_not_come_is_told_in_both(
    locked: Lab, size: int, path: str, kind: str
) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nx-api-key: {BOB}\r\nContent-Length: {size}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", locked.port), timeout=60) as raw:
        raw.sendall(head.encode() + b"{")
        answer = http.client.HTTPResponse(raw)
        answer.begin()
        assert (answer.status, json.load(answer)["error"]["type"]) == (408, kind)


# --- keys -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "missing_api_key"),
        ({"Authorization": "Bearer "}, "missing_api_key"),
        ({"Authorization": f"Basic {ANN}"}, "missing_api_key"),
        ({"Authorization": ANN}, "missing_api_key"),
        ({"x-api-key": ""}, "missing_api_key"),
        ({"x-api-key": WRONG}, "invalid_api_key"),
        (bearer(WRONG), "invalid_api_key"),
        ({**bearer(WRONG), "x-api-key": WRONG}, "invalid_api_key"),
    ],
    ids=str,
)
def test_a_wrong_key_is_told_from_a_missing_one(
    locked: Lab, headers: dict[str, str], code: str
) -> None:
    status, answer, _ = locked.ask(CHAT, TINY, **headers)
    assert (status, answer["error"]["code"]) == (401, code)
    expected = {"missing_api_key": "You did not provide", "invalid_api_key": "Incorrect API key"}
    assert answer["error"]["message"].startswith(expected[code])
    assert WRONG not in json.dumps(answer)


# --- where the API is -----------------------------------------------------------------------------

CHATS = "Use POST /v1/chat/completions."
GENERAL = "The API is at /v1: GET /v1/models, POST /v1/chat/completions."


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/chat/completions", CHATS),
        ("/v1/v1/chat/completions", CHATS),
        ("//v1/chat/completions", CHATS),
        ("/v1//chat/completions", CHATS),
        ("/openai/deployments/tiny/chat/completions?api-version=1", CHATS),
        ("/v2/chat/completions", CHATS),
        ("/completions", "Use POST /v1/completions."),
        ("/v1/v1/messages", "Use POST /v1/messages."),
        ("/messages", "Use POST /v1/messages."),
        ("/models", "Use GET /v1/models."),
        ("/m/tiny/chat/completions", "Use POST /m/MODEL/v1/chat/completions."),
        ("/m/tiny", GENERAL),
        ("/v1", GENERAL),
        ("/v1/", GENERAL),
        ("/api/chat", "This is the API of OpenAI, not that of Ollama: use POST /v1/chat/completions."),
        ("/api/tags", "This is the API of OpenAI, not that of Ollama: use GET /v1/models."),
        ("/v1/realtime?model=tiny", "Realtime over websockets is not served here."),
        ("/v1/messages/batches", "Batches are not served here."),
        ("/V1/Chat/Completions", CHATS),
        ("/V1/Files", "Files are not served here."),
        ("/v1/assistants", "Assistants are not served here."),
        ("/v1/threads/thread_1/runs", "Assistants are not served here."),
        ("/v1/images/generations", "Images are not made here."),
        ("/v1/audio/speech", "Speech is not made here."),
        ("/v1/moderations", "Moderation is not served here."),
        ("/v1/fine_tuning/jobs", "Fine-tuning is not served here."),
        # no stored answers, though their paths go on like those of one
        ("/v1/responses/input_tokens", "Use POST /v1/messages/count_tokens or POST /tokenize."),
        ("/v1/responses/input_tokens/", "Use POST /v1/messages/count_tokens or POST /tokenize."),
        ("/v1/responses/compact", "Conversations are not compacted here."),
        ("/v1/chat/completions/render", GENERAL),
        ("/v1/chat/completions/batch", GENERAL),
        ("/v1/conversations/conv_1", "Conversations are not stored here."),
        ("/pause", GENERAL),
        ("/pause/", GENERAL),
        ("/invocations/", GENERAL),
    ],
)  # fmt: skip
def test_a_wrong_path_is_told_where_the_api_is(
    open_door: tuple[Lab, Backend], path: str, words: str
) -> None:
    router, blue = open_door
    blue.last = ("", b"")
    for method in ("GET", "POST"):
        status, answer, _ = router.ask(path, TINY if method == "POST" else None, method)
        assert (status, answer["error"]["code"]) == (404, "unknown_url")
        assert answer["error"]["message"] == f"No such endpoint here. {words}"
    assert blue.last == ("", b"")


@pytest.mark.parametrize(
    ("asked", "reached"),
    [
        ("/v1/chat/completions/", "/v1/chat/completions"),
        ("/v1/chat/completions//?x=1", "/v1/chat/completions?x=1"),
        ("/m/tiny/v1/embeddings/", "/v1/embeddings"),
    ],
)
def test_a_slash_at_the_end_is_no_other_path(
    open_door: tuple[Lab, Backend], asked: str, reached: str
) -> None:
    router, blue = open_door
    assert router.ask(asked, TINY)[0] == 200
    assert blue.last[0] == reached
    assert router.ask("/v1/models/")[1]["object"] == "list"
    assert router.ask("/v1/models/tiny/")[1]["id"] == "tiny"


# --- what is not stored -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/responses/resp_1"),
        ("DELETE", "/v1/responses/resp_1"),
        ("POST", "/v1/responses/resp_1/cancel"),
        ("GET", "/v1/responses/resp_1/input_items"),
        ("GET", "/v1/chat/completions/chatcmpl-1"),
        ("GET", "/m/tiny/v1/responses/resp_1"),
    ],
)
def test_stored_answers_are_refused_with_the_reason(
    open_door: tuple[Lab, Backend], method: str, path: str
) -> None:
    status, answer, _ = open_door[0].ask(path, None, method)
    assert (status, answer["error"]["code"]) == (404, "not_stored")


@pytest.mark.parametrize("room", [0, 20_000])
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"store": True, "input": "x"}, 200),
        ({"previous_response_id": None}, 200),
        ({"input": [{"previous_response_id": "resp_1"}]}, 200),
        ({"previous_response_id": "resp_1"}, 400),
        # An engine ignores a conversation, and names a variable of its own for the background.
        ({"conversation": "conv_1"}, 400),
        ({"conversation": {"id": "conv_1"}}, 400),
        ({"conversation": None}, 200),
        ({"background": True}, 400),
        ({"background": False}, 200),
    ],
    ids=str,
)
def test_a_response_is_made_whole_or_not_at_all(
    open_door: tuple[Lab, Backend], body: dict[str, Any], expected: int, room: int
) -> None:
    """`store` is true by default in OpenAI's libraries, so it must not be refused."""
    router = open_door[0]
    status, answer, _ = router.ask("/v1/responses", {**TINY, **body, "room": "x" * room})
    assert status == expected
    if expected == 400:
        error = answer["error"]
        (name,) = body
        assert (error["code"], error["param"]) == ("not_stored", name)
        assert f'without "{name}"' in error["message"]
    # elsewhere the field says nothing
    assert router.ask(CHAT, {**TINY, **body})[0] == 200


# --- what a model does not do -------------------------------------------------------------------------

DOES = {"tiny": "chat/transcription", "dead": "embedding"}


@pytest.fixture(scope="module")
def kinds(locked: Lab) -> Lab:
    for pid in router_socket.processes(locked.directory)["current"]:
        router_socket.set_map(locked.directory, pid, "kinds.map", DOES)
    return locked


@pytest.mark.parametrize(
    ("model", "path", "lacks"),
    [
        ("tiny", "/v1/embeddings", "embeddings"),
        ("tiny", "/v2/rerank", "scores and rankings"),
        ("tiny", "/classify", "classifications"),
        ("tiny", "/pooling", "pooling"),
        ("dead", "/v1/audio/transcriptions", "transcriptions"),
        ("dead", CHAT, "chat"),
        ("dead", MESSAGES, "chat"),
        ("dead", "/v1/completions", "completions"),
    ],
)
@pytest.mark.parametrize("room", [0, 20_000])
def test_a_model_that_does_something_else_says_what(
    kinds: Lab, model: str, path: str, lacks: str, room: int
) -> None:
    body = json.dumps({"model": model}).ljust(room).encode()
    status, answer, _ = kinds.ask(path, body, **bearer(BOB))
    assert (status, answer["error"]["code"]) == (400, "unsupported_by_model")
    does = DOES[model].replace("/", " and ")
    words = f"The model `{model}` does not do {lacks}. It does {does}."
    assert answer["error"]["message"] == words


def test_a_model_that_does_it_or_is_unknown_to_the_map_is_asked(
    kinds: Lab, open_door: tuple[Lab, Backend]
) -> None:
    for path in (CHAT, "/v1/completions", "/v1/audio/translations", "/tokenize"):
        assert kinds.ask(path, TINY, **bearer(BOB))[0] == 200
    for path in ("/v1/embeddings", "/v1/score", "/pooling"):
        assert kinds.ask(path, {"model": "dead"}, **bearer(BOB))[0] == 503
    for path in ("/v1/embeddings", "/v1/score", "/v1/audio/translations"):
        assert open_door[0].ask(path, TINY)[0] == 200


# --- compressed bodies ------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [CHAT, "/m/tiny" + CHAT, MESSAGES])
@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "gzip, identity", "GZIP"])
def test_compressed_bodies_are_refused_on_every_path(
    open_door: tuple[Lab, Backend], path: str, coding: str
) -> None:
    status, answer, headers = open_door[0].ask(path, TINY, Content_Encoding=coding)
    assert (status, answer["error"]["code"]) == (415, "unsupported_content_encoding")
    assert headers["Accept-Encoding"] == "identity"
    assert "/m/" not in answer["error"]["message"]
    assert open_door[0].ask(path, TINY, Content_Encoding="identity")[0] == 200
