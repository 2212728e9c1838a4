"""Which piece of a stream is its first token: the time to it is what objectives are about."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from toolkit_recorder import middleware, use
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


class Clock:
    """The recorder's clock. It stands still but for the pause: a busy machine may hold a request up anywhere."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    for module in (middleware, use):
        monkeypatch.setattr(module, "time", made)
    return made


def record(
    lab: Lab, clock: Clock, before: list[bytes], after: list[bytes], kind: bytes = STREAM
) -> Any:
    """Return the record of an answer with a pause in it."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", kind)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for body in before:
            await send({"type": "http.response.body", "body": body, "more_body": True})
        await asyncio.sleep(0)
        clock.now += PAUSE
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
    engine_lab: Lab, clock: Clock, before: list[bytes], after: list[bytes], first: str
) -> None:
    found = record(engine_lab, clock, before, after)["first"]
    seen = {None: "none", 0: "at once", PAUSE: "after the pause"}[found]
    assert seen == first


def test_a_comment_hides_no_usage(
    engine_lab: Lab, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":7}}\n\n'
    after = [usage, *[COMMENT] * 3, b"data: [DONE]\n\n"]
    monkeypatch.setattr("toolkit_recorder.middleware.states.watch", lambda *_: False)
    line = record(engine_lab, clock, [ROLE], after)
    assert (line["in"], line["out"], line["end"]) == (3, 7, "whole")


def test_an_answer_that_is_no_stream_has_no_comments(
    engine_lab: Lab, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = [b'{"usage"', b':{"prompt_tokens":3}', b"}"]
    monkeypatch.setattr("toolkit_recorder.middleware.states.watch", lambda *_: False)
    line = record(engine_lab, clock, [], whole, b"application/json")
    assert (line["in"], line["first"]) == (3, None)
