"""Which piece of a stream is its first token: the time to it is what objectives are about."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from toolkit_recorder.middleware import Recorder

from tests.recorder.recorder_lab import CHAT, Lab, ask, run

COMMENT = b": keep-alive\n\n"
CREATED = (
    b'event: response.created\ndata: {"type":"response.created","response":{"usage":null}}\n\n'
)
IN_PROGRESS = b'event: response.in_progress\ndata: {"type":"response.in_progress"}\n\n'
ITEM = b'event: response.output_item.added\ndata: {"type":"response.output_item.added"}\n\n'
ROLE = b'data: {"choices":[{"delta":{"role":"assistant","content":""}}]}\n\n'
ERROR = b'data: {"error": {"message": "no", "code": 500}}\n\n'
STREAM = b"text/event-stream; charset=utf-8"
PAUSE = 0.2


def record(lab: Lab, before: list[bytes], after: list[bytes], kind: bytes = STREAM) -> Any:
    """Return the record of an answer with a pause in it."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", kind)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for body in before:
            await send({"type": "http.response.body", "body": body, "more_body": True})
        await asyncio.sleep(PAUSE)
        for body in (*after, b""):
            await send({"type": "http.response.body", "body": body, "more_body": body != b""})

    run(ask(Recorder(app), {}, path=CHAT))
    return lab.records()[-1]


@pytest.mark.parametrize(
    ("before", "after", "first"),
    [
        # Engines send these before they compute.
        ([COMMENT], [ROLE], "after the pause"),
        ([CREATED, IN_PROGRESS], [ITEM], "after the pause"),
        ([CREATED, IN_PROGRESS, COMMENT], [ITEM], "after the pause"),
        # These come with the first token.
        ([ROLE], [COMMENT], "at once"),
        ([ITEM], [COMMENT], "at once"),
        ([b"event: message_start\ndata: {}\n\n"], [COMMENT], "at once"),
        ([b'data: {"choices":[{"text":"x"}]}\n\n'], [COMMENT], "at once"),
        # An answer without any token.
        ([COMMENT], [COMMENT], "none"),
        ([CREATED, IN_PROGRESS], [], "none"),
        ([CREATED, IN_PROGRESS], [b'event: response.failed\ndata: {"type":"x"}\n\n'], "none"),
        ([CREATED, IN_PROGRESS], [b'event: error\ndata: {"type":"error"}\n\n'], "none"),
        ([ERROR], [b"data: [DONE]\n\n"], "none"),
    ],
)
def test_the_first_token_is_no_event_before_it(
    engine_lab: Lab, before: list[bytes], after: list[bytes], first: str
) -> None:
    found = record(engine_lab, before, after)["first"]
    seen = "none" if found is None else "at once" if found < PAUSE else "after the pause"
    assert seen == first


def test_a_comment_hides_no_usage(engine_lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":7}}\n\n'
    after = [usage, *[COMMENT] * 3, b"data: [DONE]\n\n"]
    monkeypatch.setattr("toolkit_recorder.middleware.states.watch", lambda *_: False)
    line = record(engine_lab, [ROLE], after)
    assert (line["in"], line["out"], line["end"]) == (3, 7, "whole")


def test_an_answer_that_is_no_stream_has_no_comments(
    engine_lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = [b'{"usage"', b':{"prompt_tokens":3}', b"}"]
    monkeypatch.setattr("toolkit_recorder.middleware.states.watch", lambda *_: False)
    line = record(engine_lab, [], whole, b"application/json")
    assert (line["in"], line["first"]) == (3, None)
