"""The questions to each kind of model, and the meaning of its answers."""

from __future__ import annotations

import base64
import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from toolkit.domain.bounds import ANSWER
from toolkit.domain.gates.kind import Kind
from toolkit.domain.outside import parse_mapping, plainly, shown
from toolkit.hostside.answer_form import faults_of

if TYPE_CHECKING:
    from toolkit.domain.gates.golden import ToolCall
    from toolkit.domain.replicas.answers import Answer

# The OpenAI API, and for the order of documents the form of Jina's and Cohere's API, which engines share.
PATHS: Mapping[Kind, str] = {
    Kind.CHAT: "/v1/chat/completions",
    Kind.COMPLETION: "/v1/completions",
    Kind.EMBEDDING: "/v1/embeddings",
    Kind.RERANK: "/v1/rerank",
    Kind.TRANSCRIPTION: "/v1/audio/transcriptions",
    # vLLM's own path.
    Kind.CLASSIFICATION: "/classify",
}

_RATE = 16_000


def _silence() -> dict[str, str]:
    """Return a second of silence as a WAV file: RIFF, one channel of 16 bits at 16 kHz."""
    size = 2 * _RATE
    head = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        36 + size,
        b"WAVE",
        b"fmt ",
        16,
        1,
        1,
        _RATE,
        size,
        2,
        16,
        b"data",
        size,
    )
    data = base64.b64encode(head + bytes(size)).decode()
    return {"name": "silence.wav", "type": "audio/wav", "data": data}


SILENCE: Mapping[str, str] = _silence()


@dataclass(frozen=True, slots=True)
class Said:
    """An answer. `order` has the documents' places, the best one first; `tokens` is the engine's count."""

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    refusal: str = ""
    tokens: int | None = None
    reason: str = ""
    vector: tuple[float, ...] = ()
    order: tuple[int, ...] = ()


def fault_of_answer(answer: Answer) -> str:
    """Return why a request has no answer, such as `gave no answer: ...`; nothing where it has one."""
    if answer.status == 0:
        return f"gave no answer: {answer.error[:200]}"
    if answer.status != 200:
        return f"answered HTTP {answer.status}: {answer.error[:200]}"
    return f"answered {answer.error[:200]}" if answer.error else ""


def said_in(kind: Kind, answer: Answer, asked: Mapping[str, Any]) -> Said:
    """Return what a whole answer in one piece to the request `asked` says.

    Raises ValueError, with the reason, where it is no such answer.
    """
    try:
        found = parse_mapping(answer.body, ANSWER)
        said = _READERS[kind](found)
        # Neither a part of the documents nor one of them twice is an order of them.
        if kind is Kind.RERANK and (fault := faults_of(dict(asked), [found]).get("results")):
            raise ValueError(f"no order: {fault}")
        return said
    except (LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"no answer of kind {kind}: {plainly(error)}") from None


def _chat(data: Mapping[str, Any]) -> Said:
    choice = data["choices"][0]
    message = choice["message"]
    calls = tuple(_call(each["function"]) for each in message.get("tool_calls") or ())
    return Said(
        text=_text(message.get("content")),
        tool_calls=calls,
        refusal=_text(message.get("refusal")),
        tokens=_tokens(data),
        reason=_text(choice.get("finish_reason")),
    )


def _call(function: Mapping[str, Any]) -> ToolCall:
    from toolkit.domain.gates.golden import ToolCall

    name, written = _text(function["name"]), function.get("arguments") or "{}"
    # The engine passes on what the model wrote, which need not be JSON. No client can make such a call.
    try:
        arguments = json.loads(written)
    except (ValueError, RecursionError):
        arguments = None
    if not isinstance(arguments, dict):
        raise ValueError(
            f"a call of {name[:40]} whose arguments are {shown(written)}, no JSON object"
        )
    return ToolCall(name, arguments)


def _completion(data: Mapping[str, Any]) -> Said:
    choice = data["choices"][0]
    reason = _text(choice.get("finish_reason"))
    return Said(text=_text(choice["text"]), tokens=_tokens(data), reason=reason)


def _embedding(data: Mapping[str, Any]) -> Said:
    vector = data["data"][0]["embedding"]
    if not isinstance(vector, list) or not vector:
        raise ValueError("its embedding is no list of numbers")
    return Said(vector=tuple(_number(each) for each in vector))


def _rerank(data: Mapping[str, Any]) -> Said:
    places = tuple(each["index"] for each in data["results"])
    if not all(isinstance(each, int) for each in places):
        raise ValueError("its order has no whole numbers")
    return Said(order=places)


def _transcription(data: Mapping[str, Any]) -> Said:
    return Said(text=_text(data["text"]))


def _classification(data: Mapping[str, Any]) -> Said:
    """Return the probabilities of the classes as a vector."""
    classes = data["data"][0]["probs"]
    if not isinstance(classes, list) or not classes:
        raise ValueError("its classes are no list of numbers")
    return Said(vector=tuple(_number(each) for each in classes))


_READERS = {
    Kind.CHAT: _chat,
    Kind.COMPLETION: _completion,
    Kind.EMBEDDING: _embedding,
    Kind.RERANK: _rerank,
    Kind.TRANSCRIPTION: _transcription,
    Kind.CLASSIFICATION: _classification,
}


def _text(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError(f"a text is {shown(value)}")
    return value


def _number(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or abs(value) > 1e30:
        raise ValueError(f"a number is {shown(value)}")
    return float(value)


def _tokens(data: Mapping[str, Any]) -> int | None:
    usage = data.get("usage")
    count = usage.get("completion_tokens") if isinstance(usage, dict) else None
    return count if isinstance(count, int) and not isinstance(count, bool) else None


def norm(vector: tuple[float, ...]) -> float:
    """Return the length of a vector."""
    return math.hypot(*vector)


def cosine(one: tuple[float, ...], other: tuple[float, ...]) -> float | None:
    """Return the cosine of the angle between two vectors; None where they have no common angle."""
    lengths = norm(one) * norm(other)
    if len(one) != len(other) or not lengths or not math.isfinite(lengths):
        return None
    return sum(a * b for a, b in zip(one, other, strict=True)) / lengths
