"""The answers of replicas in memory, in the form of the OpenAI API."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from toolkit.domain.gates.kind import Kind
from toolkit.domain.replicas.answers import Answer, PairsWanted, Times
from toolkit.domain.replicas.probe import Completion


def answer_of(completion: Completion, payload: Mapping[str, Any]) -> Answer:
    """Return a whole answer with the text of `completion`, as a stream where the payload asks for one."""
    if completion.status != 200:
        return Answer(completion.status, error=completion.error, seconds=completion.seconds)
    text = completion.text
    if payload.get("stream"):
        half = len(text) // 2
        parts = [{"delta": {"content": part}} for part in (text[:half], text[half:])]
        events = (*(_event(part) for part in parts), _event({"delta": {}, "finish_reason": "stop"}))
        first, gaps = (0.005, (0.001,)) if text else (None, ())
        return Answer(200, events=events, first=first, gaps=gaps, seconds=completion.seconds)
    said = {"message": {"content": text}} if "messages" in payload else {"text": text}
    body = _event({**said, "finish_reason": completion.finish_reason})
    return Answer(200, body, seconds=completion.seconds)


def answer_of_kind(kind: Kind, path: str) -> Answer:
    """Return the answer at `path` of a model that writes no texts; it knows the path of its kind alone."""
    if path not in _SAID[kind]:
        return Answer(404, error='{"detail":"Not Found"}')
    return Answer(200, json.dumps(_SAID[kind][path]))


# Answers of models that write no texts, by kind and path: the shapes of vLLM 0.32.
_SAID: Mapping[Kind, Mapping[str, Any]] = {
    Kind.EMBEDDING: {"/v1/embeddings": {"data": [{"index": 0, "embedding": [0.6, 0.8]}]}},
    Kind.RERANK: {
        "/v1/rerank": {
            "results": [
                {"index": 0, "relevance_score": 0.9},
                {"index": 1, "relevance_score": 0.1},
            ]
        }
    },
    Kind.CLASSIFICATION: {"/classify": {"data": [{"index": 0, "label": "a", "probs": [0.9, 0.1]}]}},
    Kind.TRANSCRIPTION: {"/v1/audio/transcriptions": {"text": ""}},
}


def times_of(completion: Completion, wanted: PairsWanted) -> Times:
    """Return the times of equal requests at once that are all answered like `completion`: half of it is reading."""
    count, seconds = wanted.concurrency, completion.seconds
    if completion.status != 200:
        return Times(None, None, None, seconds, 0, count, count, completion.error)
    return Times(seconds / 2, seconds / 20, seconds, seconds, 10 * count, 0, count)


def _event(choice: Mapping[str, Any]) -> str:
    return json.dumps({"choices": [choice]})
