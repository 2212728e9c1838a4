"""What passes the recorder stays as it is: the bytes of each answer, and of its head all but a word to the router."""

from __future__ import annotations

from typing import Any

import pytest
from toolkit_recorder.middleware import Recorder

from tests.recorder.test_middleware import REQUESTS, Lab, ask, engine_lab, run

__all__ = ["engine_lab"]


@pytest.mark.parametrize(("body", "counts"), REQUESTS)
def test_nothing_of_an_answer_is_changed(
    engine_lab: Lab, body: Any, counts: tuple[int, ...]
) -> None:
    """Messages end elsewhere at the mark of the end alone, and that goes out at once with the end.

    The router gets the tokens of an answer in one piece in a header.
    """
    mine, plain = run(ask(engine_lab.recorder, body)), run(ask(engine_lab.plain, body))
    if body.get("stream"):
        assert said(mine) == said(plain)
        assert mine == [*plain[:-2], {**plain[-2], **plain[-1], "body": plain[-2]["body"]}]
        assert mine[-1]["body"] == b"data: [DONE]\n\n"
    else:
        told = (b"x-toolkit-tokens", b"%d/%d" % (counts[0], counts[3]))
        assert mine == [{**plain[0], "headers": [*plain[0]["headers"], told]}, *plain[1:]]


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        pytest.param({"prompts": [5]}, (), id="a probe"),
        pytest.param({"refused": 400}, ((b"x-toolkit-key", b"ann"),), id="refused"),
        pytest.param({"later": 0.01}, ((b"x-toolkit-key", b"ann"),), id="computed later"),
    ],
)
def test_an_answer_whose_tokens_nobody_asks_for_or_knows_has_no_header_of_them(
    engine_lab: Lab, body: Any, headers: Any
) -> None:
    mine, plain = (
        run(ask(each, body, headers=headers)) for each in (engine_lab.recorder, engine_lab.plain)
    )
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
