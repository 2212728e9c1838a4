"""What an engine refuses on Anthropic's paths has the shape and the types of that API; all else passes as it is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from toolkit_recorder.middleware import Recorder

from tests.recorder.recorder_lab import CHAT, Lab, ask, run

MESSAGES, COUNT = "/v1/messages", "/v1/messages/count_tokens"
# As vLLM says what it cannot parse, and what its own class for this API says.
OPENAI = {"error": {"message": 'no "x": é', "type": "Bad Request", "param": "body.x", "code": 400}}
OWN = {"type": "error", "error": {"type": "BadRequestError", "message": "too long"}}


def engine(status: int, *pieces: bytes, kind: bytes = b"application/json") -> Any:
    """Return a server that answers so."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        length = str(sum(map(len, pieces))).encode()
        headers = [(b"content-type", kind), (b"content-length", length), (b"x-other", b"1")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for number, piece in enumerate(pieces, 1):
            more = number < len(pieces)
            await send({"type": "http.response.body", "body": piece, "more_body": more})

    return app


def answer(app: Any, path: str = MESSAGES) -> tuple[int, dict[bytes, bytes], bytes]:
    """Return status, headers and body of a refused request."""
    start, *rest = run(ask(Recorder(app), {"max_tokens": 1}, path=path))
    body = b"".join(each.get("body", b"") for each in rest)
    headers = dict(start["headers"])
    assert headers[b"content-length"] == str(len(body)).encode()
    return start["status"], headers, body


@pytest.mark.parametrize("path", [MESSAGES, COUNT])
@pytest.mark.parametrize(
    ("status", "said", "type_"),
    [
        (400, OPENAI, "invalid_request_error"),
        (400, OWN, "invalid_request_error"),
        (404, OWN, "not_found_error"),
        (413, OPENAI, "request_too_large"),
        (422, OPENAI, "invalid_request_error"),
        (429, OPENAI, "rate_limit_error"),
        (500, OWN, "api_error"),
        (501, OPENAI, "api_error"),
        (503, OPENAI, "overloaded_error"),
        (504, OPENAI, "timeout_error"),
    ],
)
def test_an_error_has_the_shape_and_a_type_of_the_api(
    engine_lab: Lab, path: str, status: int, said: dict[str, Any], type_: str
) -> None:
    data = json.dumps(said).encode()
    found, headers, body = answer(engine(status, data[:9], data[9:], b""), path)
    assert (found, headers[b"x-other"]) == (status, b"1")
    assert json.loads(body) == {
        "type": "error",
        "error": {**said["error"], "type": type_},
        "request_id": "r",
    }
    # What counts is what the engine said.
    end = "refused" if status < 500 else "failed"
    assert [line["end"] for line in engine_lab.records()] == ([end] if path == MESSAGES else [])


@pytest.mark.parametrize(
    ("status", "data", "kind", "path"),
    [
        (200, json.dumps(OWN).encode(), b"application/json", MESSAGES),
        (400, b"no JSON", b"application/json", MESSAGES),
        (400, b"[" * 100_000, b"application/json", MESSAGES),
        (400, b"[1]", b"application/json", MESSAGES),
        (400, b'{"detail": "x"}', b"application/json", MESSAGES),
        (400, b'{"error": "x"}', b"application/json", MESSAGES),
        (400, json.dumps(OPENAI).encode(), b"text/plain", MESSAGES),
        (400, json.dumps(OPENAI).encode(), b"application/json", CHAT),
        (400, b'{"error": {"message": "%s"}}' % (b"x" * 2**20), b"application/json", MESSAGES),
    ],
    ids=str,
)
def test_what_is_no_such_error_passes_as_it_is(
    engine_lab: Lab, status: int, data: bytes, kind: bytes, path: str
) -> None:
    assert answer(engine(status, data, kind=kind), path)[::2] == (status, data)
