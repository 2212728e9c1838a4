"""The use of a request and its end: from figures and the last pieces of its answer, without any effect."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

# The last pieces of an answer that are looked at, and the size up to which they are.
LAST_PIECES = 3
LARGEST = 256 * 1024

# Seconds of audio of one request; no number of more is meant.
MOST_AUDIO = 10**9

# The fields of a usage that name the kinds of an answer's tokens.
OF_ANSWER = ("completion_tokens_details", "output_tokens_details")

# Ends of a request: as far as its answer went.
WHOLE, LEFT, FAILED, REFUSED = "whole", "left", "failed", "refused"

# The requests that are use even where the engine computed nothing for them, because it refused them.
APIS = frozenset(
    (
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/responses",
        "/v1/messages",
        "/v1/embeddings",
        "/v1/rerank",
        "/v2/rerank",
        "/rerank",
        "/v1/score",
        "/score",
        "/classify",
        "/pooling",
        "/v1/audio/transcriptions",
        "/v1/audio/translations",
    )
)

# Those whose answers state what the engine's figures lack: thoughts, seconds of audio.
STATING = frozenset(("/v1/responses", "/v1/audio/transcriptions", "/v1/audio/translations"))


class Part(NamedTuple):
    """The figures that the engine computed for one of a request's sequences.

    `prompt` are the tokens of its prompt, 0 until they are computed, `cached` those of them that came from the cache,
    `generated` the tokens of its answer. Sequences with the same `origin` are choices (`n`) of one prompt. `name` is
    the adapter's, empty for the model itself.
    """

    prompt: int
    cached: int
    generated: int
    origin: int
    name: str = ""


class Count(NamedTuple):
    """Tokens of a request. None: nobody knows.

    `asked` are the prompt tokens that the engine computed or took from its cache, each choice for itself; `came` counts
    a prompt once, as clients are told.
    """

    came: int | None = 0
    cached: int | None = 0
    went: int | None = 0
    asked: int | None = 0
    reasoning: int | None = None


UNKNOWN = Count(None, None, None, None, None)


def counted(parts: Sequence[Part], reasoning: int | None = None) -> Count:
    """Return the sum of a request's sequences."""
    if len(parts) == 1:
        (part,) = parts
        return Count(part.prompt, part.cached, part.generated, part.prompt, reasoning)
    first: dict[int, Part] = {}
    for part in parts:
        best = first.get(part.origin)
        if best is None or part.prompt > best.prompt:
            first[part.origin] = part
    return Count(
        sum(part.prompt for part in first.values()),
        sum(part.cached for part in first.values()),
        sum(part.generated for part in parts),
        sum(part.prompt for part in parts),
        reasoning,
    )


def last_objects(pieces: Sequence[bytes]) -> list[Mapping[str, Any]]:
    """Return the JSON objects at the end of an answer, the last one first: of a stream its last events.

    `pieces` are the last pieces of the answer's body. A piece that is cut, or larger than `LARGEST`, is left out.
    """
    text = b"".join(pieces)
    if not text or len(text) > LARGEST:
        return []
    whole = _object(text)
    if whole is not None:
        return [whole]
    lines = [line for line in text.split(b"\n") if line.startswith(b"data:")]
    return [found for line in reversed(lines) if (found := _object(line[5:])) is not None]


def _object(text: bytes) -> Mapping[str, Any] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def usage_of(objects: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the usage in the newest of an answer's `objects` that states one; empty where none does.

    A stream of `/v1/responses` has it within `response`.
    """
    for each in objects:
        for holder in (each, each.get("response")):
            usage = holder.get("usage") if isinstance(holder, dict) else None
            if isinstance(usage, dict):
                return usage
    return {}


def stated(usage: Mapping[str, Any]) -> Count:
    """Return the tokens that an answer's usage states, by either of its names; `asked` is in no usage."""
    came = _number(usage, "prompt_tokens", "input_tokens")
    went = _number(usage, "completion_tokens", "output_tokens")
    if went is None and came is not None:
        # An embedding states nothing but its prompt.
        went = 0
    cached = _detail(usage, ("prompt_tokens_details", "input_tokens_details"), "cached_tokens")
    return Count(came, cached, went, None, reasoning_of(usage))


def reasoning_of(usage: Mapping[str, Any]) -> int | None:
    """Return the tokens of thoughts that a usage states; None where it states none."""
    return _detail(usage, OF_ANSWER, "reasoning_tokens")


def audio_of(usage: Mapping[str, Any]) -> float | None:
    """Return the seconds of audio that a usage states; None where it is about something else."""
    seconds = usage.get("seconds") if usage.get("type") == "duration" else None
    if not isinstance(seconds, (int, float)) or not 0 <= seconds <= MOST_AUDIO:
        return None
    return float(seconds)


def _number(usage: Mapping[str, Any], *names: str) -> int | None:
    for name in names:
        value = usage.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    return None


def _detail(usage: Mapping[str, Any], groups: Sequence[str], name: str) -> int | None:
    for group in groups:
        details = usage.get(group)
        if isinstance(details, dict):
            return _number(details, name)
    return None


def ended(
    status: int, *, left: bool, whole: bool, raised: bool, objects: Sequence[Mapping[str, Any]]
) -> str:
    """Return how a request ended.

    `status` is 0 where no answer began, `left` says that the client hung up before the answer was whole, `raised` that
    the server gave up, `objects` are the last ones of the answer.
    """
    if left:
        return LEFT
    if raised or status >= 500 or status == 0:
        return FAILED
    if status >= 400:
        return REFUSED
    if not whole or any(_says_failed(each) for each in objects[:2]):
        return FAILED
    return WHOLE


def may_say_failed(pieces: Iterable[bytes]) -> bool:
    """Whether one of the last pieces of a stream may say that the engine gave the request up; read them then."""
    text = b"".join(pieces)
    # One of them is in each object by which `_says_failed`, and seldom in any other.
    return b"error" in text or b"abort" in text or b"failed" in text


def _says_failed(answer: Mapping[str, Any]) -> bool:
    """Whether the last part of an answer says that the engine gave the request up."""
    if answer.get("error") or answer.get("type") in ("error", "response.failed"):
        return True
    choices = answer.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return isinstance(first, dict) and first.get("finish_reason") in ("abort", "error")


# A comment keeps a connection of a stream alive.
COMMENT = b":"
# The beginnings of pieces without a token: those before the engine computes, and those of a request that it gives up.
WITHOUT_TOKEN = (
    *(COMMENT, b"event: response.created", b"event: response.in_progress", b"event: error"),
    *(b"event: response.failed", b'data: {"error"', b"data: [DONE]"),
)
# The last event of a stream, as each API has it.
_MARKS = (b"event: message_stop", b"event: response.completed")


def is_end_mark(body: bytes) -> bool:
    """Whether a piece of a stream is its last event."""
    return body.endswith(b"data: [DONE]\n\n") or body.startswith(_MARKS)


def joined(mark: Mapping[str, Any], last: Mapping[str, Any]) -> dict[str, Any]:
    """Return one message (ASGI) with the bytes of both; whether more comes is for the `last` to say."""
    return {**last, "body": mark["body"] + last.get("body", b"")}


def at_its_end(pieces: Sequence[bytes]) -> bool:
    """Whether a stream has said that it is over: clients hang up at that mark."""
    tail = pieces[-1].rstrip() if pieces else b""
    if tail.endswith(b"data: [DONE]"):
        return True
    last = next(iter(last_objects(pieces)), {})
    return last.get("type") in ("message_stop", "response.completed", "response.incomplete")
