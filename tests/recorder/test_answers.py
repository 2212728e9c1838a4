"""What passes the recorder stays as it is: the head and the bytes of each answer."""

from __future__ import annotations

import types
from typing import Any

import pytest
from toolkit_recorder.middleware import Recorder

from tests.recorder.recorder_lab import CHAT, REQUESTS, Lab, ask, run


@pytest.mark.parametrize("body", [body for body, _ in REQUESTS])
def test_nothing_of_an_answer_is_changed(engine_lab: Lab, body: Any) -> None:
    """Messages end elsewhere at the mark of the end alone, and that goes out at once with the end."""
    key = ((b"x-toolkit-key", b"ann"),)
    mine, plain = (
        run(ask(each, body, headers=key)) for each in (engine_lab.recorder, engine_lab.plain)
    )
    if body.get("stream"):
        assert said(mine) == said(plain)
        assert mine == [*plain[:-2], {**plain[-2], **plain[-1], "body": plain[-2]["body"]}]
        assert mine[-1]["body"] == b"data: [DONE]\n\n"
    else:
        assert mine == plain


def said(messages: list[dict[str, Any]]) -> tuple[dict[str, Any], bytes]:
    """Return the head of an answer, and all of its bytes."""
    return messages[0], b"".join(each.get("body", b"") for each in messages)


@pytest.mark.parametrize(
    ("after", "sent"),
    [
        ([b""], [b"data: [DONE]\n\n"]),
        # whatever may follow
        ([b": late\n\n", b""], [b"data: [DONE]\n\n: late\n\n", b""]),
        ([], [b"data: [DONE]\n\n"]),
    ],
)
def test_the_mark_of_the_end_waits_for_what_follows(
    engine_lab: Lab, after: list[bytes], sent: list[bytes]
) -> None:
    went = run(ask(Recorder(streaming(b"data: [DONE]\n\n", *after)), {}))
    assert [each["body"] for each in went[1:]] == sent


TOKEN = b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n'
ABORTED = b'data: {"choices":[{"finish_reason":"abort"}]}\n\n'
USED = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n'
DONE = b"data: [DONE]\n\n"


def streaming(*bodies: bytes, usage: Any = None) -> Any:
    """Return an app that streams `bodies`, and keeps `usage` as vLLM does."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if usage is not None:
            kept = types.SimpleNamespace(model_dump=lambda: usage, **usage)
            scope["state"] = {"request_metadata": types.SimpleNamespace(final_usage_info=kept)}
        for body in bodies:
            await send({"type": "http.response.body", "body": body, "more_body": body != b""})

    return app


@pytest.mark.parametrize(
    ("bodies", "sent"),
    [
        ([TOKEN, TOKEN, DONE, b""], [TOKEN, TOKEN, DONE]),
        # Amid a stream most events pass by the shortest way; none may pass the mark.
        ([TOKEN, DONE, TOKEN, TOKEN, b""], [TOKEN, DONE + TOKEN, TOKEN, b""]),
        ([TOKEN, TOKEN + DONE, b""], [TOKEN, TOKEN + DONE]),
        ([TOKEN, DONE, DONE, TOKEN, b""], [TOKEN, DONE + DONE + TOKEN, b""]),
        ([TOKEN, b": x\n\n", TOKEN, b""], [TOKEN, b": x\n\n", TOKEN, b""]),
    ],
)
def test_events_keep_their_order_around_the_mark(
    engine_lab: Lab, bodies: list[bytes], sent: list[bytes]
) -> None:
    went = run(ask(Recorder(streaming(*bodies)), {}))
    assert [each["body"] for each in went[1:]] == sent
    assert engine_lab.records()[-1]["end"] == "whole"


@pytest.mark.parametrize(
    ("bodies", "end"),
    [
        ([TOKEN, TOKEN, USED, DONE, b""], "whole"),
        ([TOKEN, ABORTED, USED, DONE, b""], "failed"),
        ([TOKEN, b'data: {"error":{"message":"dead"}}\n\n', DONE, b""], "failed"),
        ([TOKEN, b'event: error\ndata: {"type":"error"}\n\n', b""], "failed"),
        ([TOKEN, b'data: {"type":"response.', b'failed"}\n\n', b""], "failed"),
    ],
)
def test_a_stream_whose_end_says_that_it_failed_has_failed(
    engine_lab: Lab, bodies: list[bytes], end: str
) -> None:
    """Also where the engine keeps the usage, so that the end need not be read for that."""
    run(ask(Recorder(streaming(*bodies, usage={"prompt_tokens": 3})), {}))
    assert engine_lab.records()[-1]["end"] == end


def test_a_server_that_says_by_send_that_the_client_left_is_heard(engine_lab: Lab) -> None:
    sent = 0

    async def send(message: Any) -> None:
        nonlocal sent
        sent += 1
        if sent == 4:
            raise OSError("gone")

    async def receive() -> Any:
        return {"type": "http.request"}

    scope = {"type": "http", "method": "POST", "path": CHAT, "headers": ()}
    scope["asgi"] = {"spec_version": "2.4"}
    with pytest.raises(OSError, match="gone"):
        run(Recorder(streaming(*[TOKEN] * 9, b""))(scope, receive, send))
    assert (engine_lab.records()[-1]["end"], sent) == ("left", 4)
