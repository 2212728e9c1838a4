"""What passes the recorder stays as it is: the head and the bytes of each answer."""

from __future__ import annotations

from typing import Any

import pytest
from toolkit_recorder.middleware import Recorder

from tests.recorder.test_middleware import REQUESTS, Lab, ask, engine_lab, run

__all__ = ["engine_lab"]


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
    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for body in (b"data: [DONE]\n\n", *after):
            more = body != b""
            await send({"type": "http.response.body", "body": body, "more_body": more})

    went = run(ask(Recorder(app), {}))
    assert [each["body"] for each in went[1:]] == sent
