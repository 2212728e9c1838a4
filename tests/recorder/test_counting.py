"""What a request used and how it ended, from figures and the end of its answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from toolkit_recorder import counting
from toolkit_recorder.counting import Count, Part


@pytest.mark.parametrize(
    ("parts", "count"),
    [
        ([], Count(0, 0, 0, 0)),
        ([Part(10, 4, 7, 1)], Count(10, 4, 7, 10)),
        # Three choices of one prompt: clients are told of the prompt once, the engine computes it thrice.
        ([Part(10, 0, 3, 1), Part(10, 8, 4, 1), Part(10, 8, 5, 1)], Count(10, 0, 12, 30)),
        # Two prompts, each with two choices.
        ([Part(3, 0, 1, 1), Part(3, 0, 1, 1), Part(5, 1, 1, 2), Part(5, 1, 1, 2)], Count(8, 1, 4, 16)),
        # A client that left before all choices had begun.
        ([Part(0, 0, 0, 1), Part(10, 2, 1, 1)], Count(10, 2, 1, 10)),
        ([Part(0, 0, 0, 1)], Count(0, 0, 0, 0)),
    ],
)  # fmt: skip
def test_parts_are_summed(parts: list[Part], count: Count) -> None:
    assert counting.counted(parts) == count


def event(data: Any, name: str = "") -> bytes:
    return (f"event: {name}\n" if name else "").encode() + f"data: {json.dumps(data)}\n\n".encode()


DONE = b"data: [DONE]\n\n"
USAGE = {"prompt_tokens": 9, "completion_tokens": 2}


@pytest.mark.parametrize(
    ("pieces", "usage"),
    [
        ([json.dumps({"usage": USAGE}).encode()], USAGE),
        ([event({"choices": []}), event({"usage": USAGE}), DONE], USAGE),
        ([event({"usage": {"prompt_tokens": 1}}), event({"usage": USAGE}), DONE], USAGE),
        ([event({"response": {"usage": USAGE}}, "response.completed")], USAGE),
        ([event({"usage": USAGE}, "message_delta"), event({"type": "message_stop"})], USAGE),
        # Text that imitates usage is text.
        ([event({"choices": [{"delta": {"content": json.dumps({"usage": USAGE})}}]}), DONE], {}),
        ([json.dumps({"text": '"usage":{"prompt_tokens":7}'}).encode()], {}),
        ([json.dumps({"usage": "9"}).encode()], {}),
        # What is cut, and what is too large.
        ([event({"usage": USAGE})[:20]], {}),
        ([json.dumps({"text": "x" * counting.LARGEST, "usage": USAGE}).encode()], {}),
        ([b"[" * 100_000], {}),
        ([b"\xff\xfe"], {}),
        ([], {}),
    ],
)
def test_usage_is_read_as_json_from_the_end(pieces: list[bytes], usage: dict[str, int]) -> None:
    assert counting.usage_of(counting.last_objects(pieces)) == usage


@pytest.mark.parametrize(
    ("usage", "count"),
    [
        ({}, Count(None, None, None, None)),
        (USAGE, Count(9, None, 2, None)),
        ({"input_tokens": 4, "output_tokens": 5}, Count(4, None, 5, None)),
        ({"prompt_tokens": 4, "total_tokens": 4}, Count(4, None, 0, None)),
        ({**USAGE, "prompt_tokens_details": {"cached_tokens": 8}}, Count(9, 8, 2, None)),
        ({**USAGE, "prompt_tokens_details": None}, Count(9, None, 2, None)),
        (
            {**USAGE, "completion_tokens_details": {"reasoning_tokens": 1}},
            Count(9, None, 2, None, reasoning=1),
        ),
        ({"prompt_tokens": True, "completion_tokens": "7"}, Count(None, None, None, None)),
    ],
)
def test_usage_is_read_by_either_name(usage: dict[str, Any], count: Count) -> None:
    assert counting.stated(usage) == count


@pytest.mark.parametrize(
    ("usage", "seconds"),
    [
        ({"type": "duration", "seconds": 3}, 3.0),
        ({"seconds": 3}, None),
        (USAGE, None),
        *(({"type": "duration", "seconds": odd}, None) for odd in (1e999, -1, 10**400, "3")),
    ],
)
def test_audio_is_in_seconds(usage: dict[str, Any], seconds: float | None) -> None:
    assert counting.audio_of(usage) == seconds


@pytest.mark.parametrize(
    ("status", "marks", "pieces", "end"),
    [
        (200, "whole", [], "whole"),
        (200, "whole", [event({"choices": [{"finish_reason": "stop"}]}), DONE], "whole"),
        (200, "left", [event({"choices": []})], "left"),
        (200, "left raised", [], "left"),
        (0, "left", [], "left"),
        (400, "whole", [], "refused"),
        (404, "whole", [], "refused"),
        (500, "whole", [], "failed"),
        (503, "whole", [], "failed"),
        (200, "whole raised", [], "failed"),
        (0, "", [], "failed"),
        # The server ended the answer without its end.
        (200, "", [event({"choices": []})], "failed"),
        # The engine gave up amid a stream, and said so in it.
        (200, "whole", [event({"error": {"message": "dead"}}), DONE], "failed"),
        (200, "whole", [event({"choices": [{"finish_reason": "abort"}]}), DONE], "failed"),
        (200, "whole", [event({"type": "response.failed"})], "failed"),
        (200, "whole", [event({"type": "error", "error": {}})], "failed"),
    ],
)
def test_how_a_request_ended(status: int, marks: str, pieces: list[bytes], end: str) -> None:
    said = {name: name in marks.split() for name in ("left", "whole", "raised")}
    assert counting.ended(status, objects=counting.last_objects(pieces), **said) == end


@pytest.mark.parametrize(
    ("pieces", "over"),
    [
        ([event({"choices": []}), DONE], True),
        ([b'event: message_stop\ndata: {"type": "message_stop"}\n\n'], True),
        ([event({"type": "response.completed", "response": {}})], True),
        ([event({"choices": [{"delta": {"content": "data: [DONE]"}}]})], False),
        ([], False),
    ],
)
def test_a_stream_says_that_it_is_over(pieces: list[bytes], over: bool) -> None:
    assert counting.at_its_end(pieces) is over


@pytest.mark.parametrize(
    ("body", "mark"),
    [
        (DONE, True),
        (event({"usage": USAGE}) + DONE, True),
        (event({"type": "message_stop"}, "message_stop"), True),
        (event({"type": "response.completed"}, "response.completed"), True),
        (event({"delta": "data: [DONE]"}), False),
        (event({"type": "message_delta"}, "message_delta"), False),
        (b": keep-alive\n\n", False),
        (b"", False),
    ],
)
def test_the_last_event_of_a_stream(body: bytes, mark: bool) -> None:
    assert counting.is_end_mark(body) is mark
