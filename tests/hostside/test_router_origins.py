"""Pages of allowed origins read the router's answers and errors; other pages read none."""

from __future__ import annotations

import http.client
import http.server
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.hostside.page_lab import (
    APP,
    CHAT,
    OTHER,
    blue,
    closed,
    described,
    item_of,
    opened,
    router,
)
from tests.hostside.router_lab import Backend, Lab
from toolkit.config.inventory.host_settings import setting_fault
from toolkit.planning.routing.edits import with_model
from toolkit.planning.routing.routes import Target

__all__ = ["blue", "closed", "opened"]


ASKS = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,x-stainless-os",
}


ALLOW = "Access-Control-Allow-Origin"


def test_without_origins_no_page_reads_an_answer(closed: Lab) -> None:
    """An engine itself lets every page read: the router takes its headers away."""
    for origin in (APP, OTHER):
        status, _, headers = closed.ask(CHAT, {"model": "tiny", "cors": True}, Origin=origin)
        assert status == 200
        assert [name for name in headers if name.lower().startswith("access-control")] == []
    status, _, headers = closed.ask(CHAT, method="OPTIONS", Origin=APP, **ASKS)
    assert (status, headers[ALLOW]) == (405, None)


def test_an_allowed_page_may_ask_without_a_key_whether_it_may(opened: Lab) -> None:
    status, _, headers = opened.ask(CHAT, method="OPTIONS", Origin=APP, **ASKS)
    assert (status, headers[ALLOW], headers["Vary"]) == (204, APP, "Origin")
    assert headers["Access-Control-Allow-Headers"] == "authorization,x-stainless-os"
    assert headers["Access-Control-Allow-Methods"] == "GET, POST"


@pytest.mark.parametrize("origin", [OTHER, f"{APP}.evil.org", "null", f"{APP}:444"])
def test_another_page_may_not(opened: Lab, origin: str) -> None:
    for method, body in (("OPTIONS", None), ("POST", {"model": "tiny"})):
        asks = ASKS if method == "OPTIONS" else {}
        status, _, headers = opened.ask(CHAT, body, method=method, Origin=origin, **asks)
        assert (status, headers[ALLOW]) == (401, None)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [(CHAT, {"model": "tiny"}, 401), ("/nowhere", {"model": "tiny"}, 401), ("/healthz", None, 200)],
)
def test_an_allowed_page_reads_errors_too(
    opened: Lab, path: str, body: object, status: int
) -> None:
    found, _, headers = opened.ask(path, body, Origin=APP)
    assert (found, headers[ALLOW], headers["Vary"]) == (status, APP, "Origin")
    shown = set(headers["Access-Control-Expose-Headers"].split(", "))
    # Libraries of OpenAI's API read the id of a request from the one, those of Anthropic's from the other.
    assert {"X-Request-Id", "Request-Id"} <= shown


@pytest.fixture(scope="module")
def failing(blue: Backend) -> Iterator[Lab]:
    """A router whose pages may read everything, and with little patience for their bodies."""
    with router(blue, APP, router_client_silence="1s") as running:
        down = Target("blue", 1, 100)
        running.apply(with_model(running.routes, "dead", (down,), created=7))
        running.up("tiny", "blue")
        yield running


@pytest.fixture(scope="module")
def impatient(blue: Backend) -> Iterator[Lab]:
    """A router that waits for no answer: each one is too late."""
    with router(blue, APP, router_idle_timeout="200ms") as running:
        yield running


@pytest.fixture
def asked(request: pytest.FixtureRequest, status: int) -> Lab:
    """The router that answers a case with its status."""
    running: Lab = request.getfixturevalue("impatient" if status == 504 else "failing")
    return running


# The engine keeps its answer to itself.
SLOW = {"model": "tiny", "gated": True}


FAILURES: list[tuple[str, str, object, int]] = [
    ("POST", CHAT, b"no JSON", 400),
    ("POST", CHAT, {"model": "none"}, 404),
    ("POST", "/nowhere", {}, 404),
    ("GET", CHAT, None, 405),
    ("DELETE", "/v1/models", None, 405),
    ("POST", CHAT, b"x" * 15_728_641, 413),
    ("POST", CHAT, {"model": "tiny"}, 415),
    ("POST", CHAT, {"model": "tiny"}, 502),
    ("POST", CHAT, {"model": "dead"}, 503),
    ("POST", CHAT, SLOW, 504),
    ("POST", "/m/tiny" + CHAT, SLOW, 504),
    # read elsewhere
    ("POST", CHAT, b"no JSON" * 3000, 400),
    ("POST", CHAT, json.dumps({"model": "dead"}).ljust(20_000).encode(), 503),
    ("POST", CHAT, json.dumps(SLOW).ljust(20_000).encode(), 504),
]


def fail(
    running: Lab, blue: Backend, path: str, method: str, body: object, status: int
) -> tuple[int, Any, http.client.HTTPMessage]:
    """Ask as a page does, such that the answer has `status`."""
    coding = {"Content-Encoding": "gzip"} if status == 415 else {}
    blue.broken = status == 502
    try:
        return running.ask(path, body, method, Origin=APP, **coding)
    finally:
        blue.broken = False


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    FAILURES,
    ids=[f"{each[3]}-{number}" for number, each in enumerate(FAILURES)],
)
def test_a_page_reads_why_it_failed(
    asked: Lab, blue: Backend, method: str, path: str, body: object, status: int
) -> None:
    found, answer, headers = fail(asked, blue, path, method, body, status)
    assert (found, headers[ALLOW], headers["Vary"]) == (status, APP, "Origin")
    assert answer["error"]["code"] == headers["X-Toolkit-Error"]
    assert "X-Toolkit-Error" in headers["Access-Control-Expose-Headers"]


@pytest.mark.parametrize("path", [CHAT, "/v1/messages"])
@pytest.mark.parametrize(
    ("method", "body", "status"),
    [
        (method, body, status)
        for method, path, body, status in FAILURES
        if path == CHAT and not (isinstance(body, bytes) and status != 413)
    ],
)
def test_errors_are_as_the_description_says(
    asked: Lab, blue: Backend, path: str, method: str, body: object, status: int
) -> None:
    document = described()
    promise = promised(document, path, status)
    found, answer, headers = fail(asked, blue, path, method, body, status)
    assert found == status
    assert all(headers[name] for name in promise["headers"])
    schema = promise["content"]["application/json"]["schema"]
    Draft202012Validator({**schema, "components": document["components"]}).validate(answer)
    assert ("request_id" in answer) is (path != CHAT)


@pytest.mark.parametrize("size", [5_000, 100_000])
def test_a_page_reads_that_its_body_did_not_come(failing: Lab, size: int) -> None:
    head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nOrigin: {APP}\r\nContent-Length: {size}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", failing.port), timeout=70) as raw:
        raw.sendall(head.encode() + b"{")
        answer = http.client.HTTPResponse(raw)
        answer.begin()
        assert (answer.status, answer.headers[ALLOW]) == (408, APP)


def test_as_many_origins_as_may_be_named_fit_into_the_configuration(blue: Backend) -> None:
    many = [f"https://{'a' * 30}{number}.org" for number in range(32)]
    assert setting_fault("router_cors_origins", many) == ""
    with router(blue, *many) as running:
        assert running.ask(CHAT, {"model": "tiny"}, Origin=many[-1])[2][ALLOW] == many[-1]


def test_all_origins_may_be_let_in(blue: Backend) -> None:
    with router(blue, "*") as running:
        for origin in (APP, OTHER):
            for name, status in (("tiny", 200), ("none", 404)):
                found, _, headers = running.ask(CHAT, {"model": name}, Origin=origin)
                assert (found, headers[ALLOW]) == (status, origin)
        assert running.ask(CHAT, {"model": "tiny"})[2][ALLOW] is None


@pytest.mark.parametrize(
    "value",
    [
        "https://a.org",
        ["https://a.org/path"],
        ["a.org"],
        ["https://A.org"],
        ["https://a.org", "*"],
        ["null"],
        ["https://a.org b"],
        ["https://a.org\n"],
        ['https://a.org"'],
        [""],
        [5],
        ["https://a.org:443"],
        ["http://a.org:80"],
        ["https://a.org:0"],
        ["https://a.org:99999"],
        ["https://a..org"],
        ["https://-a.org"],
        ["https://a.org", "https://a.org"],
        [f"https://a{number}.org" for number in range(33)],
        [f"https://{'a' * 60}{number}.org" for number in range(25)],
    ],
)
def test_an_origin_that_no_browser_sends_is_refused(value: object) -> None:
    assert "different origins" in setting_fault("router_cors_origins", value)


@pytest.mark.parametrize(
    "value", [[], ["*"], [APP], ["http://127.0.0.1:3000", "http://[::1]:8080"], ["https://a_b.org"]]
)
def test_origins_that_browsers_send_are_taken(value: object) -> None:
    assert setting_fault("router_cors_origins", value) == ""


def promised(document: dict[str, Any], path: str, status: int) -> dict[str, Any]:
    """Return the response that the document promises for a POST."""
    reference = item_of(document, path)["post"]["responses"][str(status)]["$ref"]
    name = reference.removeprefix("#/components/responses/")
    found: dict[str, Any] = document["components"]["responses"][name]
    return found
