"""What a client of the router sees: routing by model, its own errors, streams, other people's limits."""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.hostside.router_lab import Backend, Lab, lab, until
from tests.pace import Pace
from toolkit.planning.routing.edits import with_model
from toolkit.planning.routing.routes import Routes, Target

PATH = "/v1/chat/completions"


@pytest.fixture(scope="module")
def blue() -> Iterator[Backend]:
    backend = Backend("blue")
    yield backend
    backend.stop()


@pytest.fixture(scope="module")
def other() -> Iterator[Backend]:
    backend = Backend("other")
    yield backend
    backend.stop()


@pytest.fixture(scope="module")
def router(blue: Backend, other: Backend) -> Iterator[Lab]:
    with lab(router_large_bodies=4) as running:
        routes = with_model(Routes(), "tiny", (Target("blue", blue.port, 100),), created=5)
        routes = with_model(routes, "team/big", (Target("blue", other.port, 100),), created=6)
        routes = with_model(routes, "dead", (Target("blue", 1, 100),), created=7)
        running.apply(routes)
        running.up("tiny", "blue")
        yield running


def code(answer: tuple[int, Any, Any]) -> tuple[int, str]:
    """Return status and code of an error, after a look at its shape."""
    assert set(answer[1]["error"]) == {"message", "type", "param", "code"}
    assert answer[2]["Content-Type"] == "application/json"
    return answer[0], answer[1]["error"]["code"]


def test_models_are_listed_and_described(router: Lab) -> None:
    tiny = {
        "id": "tiny",
        "object": "model",
        "created": 5,
        "owned_by": "toolkit",
        "root": "tiny",
    }
    listed = router.ask("/v1/models")[1]
    assert [model["id"] for model in listed["data"]] == ["dead", "team/big", "tiny"]
    assert listed["data"][2] == tiny
    assert router.ask("/v1/models/tiny")[:2] == (200, tiny)
    assert router.ask("/v1/models/team/big")[1]["id"] == "team/big"
    assert code(router.ask("/v1/models/none")) == (404, "model_not_found")
    assert router.ask("/healthz")[:2] == (200, {"status": "ok"})


def test_each_model_has_its_replica(router: Lab) -> None:
    status, answer, headers = router.ask(PATH, {"model": "tiny"})
    assert (status, answer["slot"], headers["X-Toolkit-Slot"]) == (200, "blue", "blue")
    assert router.ask(PATH, {"model": "team/big"})[1]["slot"] == "other"


@pytest.mark.parametrize(
    ("path", "body", "method", "headers", "expected"),
    [
        (PATH, {"model": "none"}, None, {}, (404, "model_not_found")),
        (PATH, {"prompt": "x"}, None, {}, (400, "missing_model")),
        (PATH, {"model": 5}, None, {}, (400, "missing_model")),
        (PATH, [1], None, {}, (400, "invalid_json")),
        (PATH, b"", "POST", {}, (400, "invalid_json")),
        (PATH, b'{"model":"tiny"', None, {}, (400, "invalid_json")),
        (
            PATH,
            {"model": "tiny"},
            None,
            {"Content_Encoding": "gzip"},
            (415, "unsupported_content_encoding"),
        ),
        (PATH, b"x" * 15_728_641, None, {}, (413, "body_too_large")),
        (PATH, b"x" * 40_000_000, None, {}, (413, "body_too_large")),
        (PATH, {"model": "dead"}, None, {}, (503, "no_replica")),
        (PATH, None, None, {}, (405, "method_not_allowed")),
        ("/v1/models", {}, None, {}, (405, "method_not_allowed")),
        ("/m/none/v1/completions", {}, None, {}, (404, "model_not_found")),
        ("/m/tiny/pause", {}, None, {}, (404, "unknown_url")),
        ("/invocations", {"model": "tiny"}, None, {}, (404, "unknown_url")),
        ("/metrics", None, None, {}, (404, "unknown_url")),
        ("/pause", {"model": "tiny"}, None, {}, (404, "unknown_url")),
        (
            "/v1/load_lora_adapter",
            {"model": "tiny", "lora_name": "x", "lora_path": "/"},
            None,
            {},
            (404, "unknown_url"),
        ),
        (
            "/v1/unload_lora_adapter",
            {"model": "tiny", "lora_name": "x"},
            None,
            {},
            (404, "unknown_url"),
        ),
        (
            "/m/tiny/v1/load_lora_adapter",
            {"lora_name": "x", "lora_path": "/"},
            None,
            {},
            (404, "unknown_url"),
        ),
        ("/adapters", {"model": "tiny", "name": "x", "src": "/"}, None, {}, (404, "unknown_url")),
        ("/v1/../pause", {"model": "tiny"}, None, {}, (404, "unknown_url")),
        ("/v1/load_lora_adapter", {"model": "tiny"}, None, {}, (404, "unknown_url")),
    ],
)
def test_refusals_have_the_shape_of_openai(
    router: Lab, path: str, body: Any, method: str | None, headers: dict[str, str], expected: Any
) -> None:
    assert code(router.ask(path, body, method, **headers)) == expected


def test_what_is_no_http_is_refused(router: Lab) -> None:
    with socket.create_connection(("127.0.0.1", router.port)) as raw:
        raw.sendall(b"nonsense\r\n\r\n")
        answer = raw.makefile("rb").read()
    assert b" 400 " in answer.splitlines()[0]


def test_a_path_prefix_names_the_model_of_bodies_of_any_size(router: Lab, blue: Backend) -> None:
    size = 24_000_000
    assert router.ask("/m/tiny/v1/completions", b"x" * size)[1] == {"slot": "blue", "size": size}
    assert blue.last[0] == "/v1/completions"
    assert router.ask("/m/team%2Fbig/v1/completions", b"{}")[1]["slot"] == "other"


def test_large_and_chunked_bodies_are_routed(router: Lab) -> None:
    body = json.dumps({"image": "x" * 15_000_000, "model": "tiny"}).encode()
    assert router.ask(PATH, body)[1] == {"slot": "blue", "size": len(body)}
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", router.port)) as connection:
        pieces = iter([b'{"mod', b'el":', b'"tiny"}'])
        connection.request("POST", PATH, pieces, encode_chunked=True)
        assert json.load(connection.getresponse()) == {"slot": "blue", "size": 16}
        connection.request("POST", PATH, iter([b"x" * 1_000_000] * 30), encode_chunked=True)
        assert connection.getresponse().status == 413


def test_many_large_bodies_at_once_are_put_off(router: Lab) -> None:
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n".encode()
    with contextlib.ExitStack() as stack:

        def refused() -> Any:
            # The question may come before this upload and take its place, so each try adds an upload.
            raw = stack.enter_context(socket.create_connection(("127.0.0.1", router.port)))
            raw.sendall(head + b" " * 1_000_000)
            answer = router.ask(PATH, b"y" * 2_000_000)
            return code(answer) if answer[0] == 429 else None

        assert until(refused) == (429, "too_many_large_bodies")
        assert router.ask(PATH, {"model": "tiny"})[0] == 200
    until(lambda: router.ask(PATH, b'{"model":"tiny","x":"' + b"y" * 2_000_000 + b'"}')[0] == 200)


def test_tokens_pass_one_by_one(router: Lab, blue: Backend) -> None:
    got = 0
    with contextlib.closing(
        http.client.HTTPConnection("127.0.0.1", router.port, timeout=20)
    ) as connection:
        body = {"model": "tiny", "stream": True, "tokens": 60, "gated": True}
        connection.request("POST", PATH, json.dumps(body))
        response = connection.getresponse()
        blue.turns.release()
        while line := response.readline():
            if line.startswith(b"data: {"):
                got += 1
                # The next one is sent now. A router that gathers tokens would wait for it, and so would this client.
                blue.turns.release()
    assert got == 60
    assert blue.turns.acquire(blocking=False)


def test_who_hangs_up_is_hung_up_on_the_engine(router: Lab, blue: Backend, pace: Pace) -> None:
    gone = blue.gone
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", router.port)) as connection:
        body = {"model": "tiny", "stream": True, "tokens": 2000, "pause": 0.005}
        connection.request("POST", PATH, json.dumps(body))
        connection.getresponse().readline()
    left = pace()
    until(lambda: blue.gone > gone)
    assert pace() - left < 3


def test_the_log_has_no_word_of_bodies(router: Lab) -> None:
    body = {"model": "tiny", "prompt": "secret prompt"}
    router.ask(PATH + "?secret=query", body, X_Request_Id="no-word")
    [line] = until(lambda: [each for each in router.requests() if each["request_id"] == "no-word"])
    assert (line["model"], line["slot"], line["path"]) == ("tiny", "blue", PATH)
    assert (line["status"], set(line["ms"])) == (
        200,
        {"request", "connect", "first_byte", "total"},
    )
    assert "secret" not in router.log.read_text()


# --- the reader of bodies ------------------------------------------------------------------------

DEEP = "[" * 300 + "]" * 300
BODIES = [
    ('{"model":"tiny"}', "tiny"),
    (' \r\n\t{ "model" \n:\t"a" } ', "a"),
    ('{"a":1,"model":"a","model":"b"}', "b"),
    ('{"model":"a","model":null}', None),
    ('{"model":"a","model":{"model":"b"}}', None),
    ('{"x":{"model":"inner"},"y":["model","z"],"model":"outer"}', "outer"),
    ('{"x":"\\"model\\":\\"no\\"","model":"yes"}', "yes"),
    ('{"x":"ends in a backslash \\\\","model":"yes"}', "yes"),
    ('{"mod\\u0065l":"by escape"}', "by escape"),
    ('{"\\u006d\\u006f\\u0064\\u0065\\u006c":"all of it"}', "all of it"),
    ('{"model":"\\u0061\\/\\u00e9\\\\"}', "a/é\\"),
    ('{"model":"é ü 漢"}', "é ü 漢"),
    ('{"Model":"x"}', None),
    ('{"model ":"x"}', None),
    ('{"x":"model","y":":","model":"z"}', "z"),
    ('{"model":""}', None),
    ('{"model":"a\\u0000b"}', None),
    ('{"model":"\\ud800"}', None),
    ('{"model":"\\q"}', None),
    ('{"deep":' + DEEP + ',"model":"after"}', "after"),
    ('{"model":"before","deep":' + DEEP + "}", "before"),
    ("{" + ",".join(f'"k{n}":{n}' for n in range(100_000)) + ',"model":"last"}', "last"),
    ('{"model":"' + "n" * 2000 + '"}', None),
]


@pytest.mark.parametrize(("body", "expected"), BODIES, ids=[body[:40] for body, _ in BODIES])
def test_the_model_of_a_body(router: Lab, body: str, expected: str | None) -> None:
    assert named(router, body.encode()) == expected


@pytest.mark.parametrize(
    "body",
    [
        "",
        "null",
        "[]",
        '"model"',
        '{"model":"a"',
        '{"model":"a',
        '{"model":"a"]',
        "{" * 20_000,
        " \ufeff{}",
        "\ufeff\ufeff{}",
        "\ufeff",
    ],
    ids=repr,
)
def test_bodies_that_are_no_object(router: Lab, body: str) -> None:
    answer = router.ask(PATH, body.encode(), "POST")
    assert code(answer) == (400, "invalid_json")


@pytest.mark.parametrize("room", [0, 20_000])
def test_a_body_may_begin_with_the_mark_of_its_encoding(router: Lab, room: int) -> None:
    """Programs on Windows write it before their text, and the engine's parser passes over it."""
    body = b"\xef\xbb\xbf " + json.dumps({"model": "tiny"}).ljust(room).encode()
    assert json.loads(body) == {"model": "tiny"}
    assert router.ask(PATH, body)[0] == 200


@pytest.mark.parametrize("filling", [b"[", b" ", b'{"a":'], ids=repr)
def test_megabytes_of_nothing_cost_no_seconds(router: Lab, filling: bytes, pace: Pace) -> None:
    started = pace()
    body = filling * (15_000_000 // len(filling))
    assert code(router.ask(PATH, body)) == (400, "invalid_json")
    assert pace() - started < 2


def test_the_reader_agrees_with_python(router: Lab) -> None:
    chance = random.Random(4)
    for _ in range(300):
        body = _object(chance)
        expected = dict(json.loads(body)).get("model")
        if not (isinstance(expected, str) and expected.isprintable() and expected):
            expected = None
        if expected:  # the error's text leaves these out
            expected = "".join(letter for letter in expected if ord(letter) < 0x10000)
        assert named(router, body.encode()) == expected, body


def _object(chance: random.Random, depth: int = 0) -> str:
    keys = ["model", "mod\\u0065l", "\\u006dodel", "x", 'a\\"model', "model\\\\", "Model"]
    space = chance.choice(["", " ", "\n "])
    pairs = [
        f'{space}"{chance.choice(keys)}"{space}:{space}{_value(chance, depth + 1)}'
        for _ in range(chance.randrange(5))
    ]
    return "{" + ",".join(pairs) + space + "}"


def _value(chance: random.Random, depth: int) -> str:
    if depth < 4 and chance.random() < 0.3:
        return _object(chance, depth)
    if depth < 4 and chance.random() < 0.2:
        return "[" + ",".join(_value(chance, depth + 1) for _ in range(chance.randrange(4))) + "]"
    texts = [
        "m1",
        "m\\u0032",
        'q\\"',
        "\\\\",
        "{",
        "}]",
        '\\"model\\":\\"x\\"',
        "\\ud83d\\ude00",
        "ü",
    ]
    return chance.choice([f'"{chance.choice(texts)}"', "1", "null", "true", "-2.5e3"])


def named(router: Lab, body: bytes) -> str | None:
    """Return which model the router reads in a body: the one that it routes, or says to be unknown."""
    status, answer, _ = router.ask(PATH, body)
    if status == 200:
        return "tiny"
    if status == 400:
        assert answer["error"]["code"] == "missing_model"
        return None
    assert status == 404
    return str(answer["error"]["message"].split("`", 1)[1].rsplit("`", 1)[0])
