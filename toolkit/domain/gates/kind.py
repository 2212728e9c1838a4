"""The kinds of models, by what they are asked."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """The task of a model, from which its questions follow."""

    CHAT = "chat"
    COMPLETION = "completion"
    EMBEDDING = "embedding"
    RERANK = "rerank"
    TRANSCRIPTION = "transcription"
    CLASSIFICATION = "classification"
