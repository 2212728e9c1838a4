"""Ask a model a question through a router, like a client."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from toolkit.adapters.endpoint.endpoint import Endpoint
from toolkit.errors import HostError
from toolkit.planning.upkeep.question import ModelQuestion, kind_told, piece_of, refusal

DONE = "[DONE]"
# Python's isdigit takes signs that its int refuses.
_NUMBER = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class WholeAnswer:
    """A whole answer: its text and thoughts, the release that gave it, and its usage.

    `seconds` is the time of the whole answer, `first` that of its first part, None where it came in one piece.
    """

    text: str
    thoughts: str
    version: str
    release: int | None
    slot: str
    seconds: float
    first: float | None = None
    usage: Mapping[str, Any] = field(default_factory=dict)


def ask_endpoint(
    endpoints: Sequence[Endpoint],
    question: ModelQuestion,
    clock: Callable[[], float],
    say: Callable[[str], bool],
    remark: Callable[[str], None],
) -> WholeAnswer:
    """Ask the first of the routers that answers, and tell each part of its answer to `say` as it comes.

    `say` returns whether somebody listens. Without a listener the connection ends, and with it the engine's work.
    `remark` gets why a router was passed over.

    Raises HostError where no router can be reached or one breaks off, InputError and BusyError where it refuses.
    """
    endpoint, described = _first(endpoints, question.model, remark)
    path, payload = question.request(kind_told(described), stream=True)
    begun = clock()
    first: float | None = None
    usage: dict[str, Any] = {}
    texts: list[str] = []
    thoughts: list[str] = []
    with endpoint.ask(path, payload) as opened:
        if opened.status != 200:
            raise refusal(question, opened.status, "".join(opened.texts))
        for event in opened.texts:
            if event == DONE:
                break
            piece = piece_of(event)
            if first is None and (piece.text or piece.thought):
                first = clock() - begun
            texts.append(piece.text)
            thoughts.append(piece.thought)
            usage = dict(piece.usage or usage)
            if piece.text and not say(piece.text):
                break
        told = opened.headers
    release = told.get("x-toolkit-release", "")
    return WholeAnswer(
        "".join(texts),
        "".join(thoughts),
        told.get("x-toolkit-version", ""),
        int(release) if _NUMBER.fullmatch(release) else None,
        told.get("x-toolkit-slot", ""),
        clock() - begun,
        first,
        usage,
    )


def _first(
    endpoints: Sequence[Endpoint], model: str, remark: Callable[[str], None]
) -> tuple[Endpoint, Mapping[str, Any]]:
    """Return the first router that says anything, and how it describes the model; raises the last one's HostError."""
    *others, last = endpoints
    for endpoint in others:
        try:
            return endpoint, endpoint.describe(model)
        except HostError as error:
            remark(error.message)
    return last, last.describe(model)
