"""Several questions to the outside at once, with one deadline for all of them."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from typing import TypeAlias, TypeVar

from toolkit.domain.quantity import format_seconds
from toolkit.domain.said_once import listed
from toolkit.errors import SourceError, ToolkitError

T = TypeVar("T")
_Answers: TypeAlias = "queue.SimpleQueue[tuple[str, T | BaseException]]"
_AT_ONCE = 16
# Seconds of silence before a person is told what the command waits for, and after that each time.
_SILENT, _EACH = 2.0, 10.0


def _nobody(_: str) -> None:
    """Say nothing."""


def within(
    seconds: float, questions: Mapping[str, Callable[[], T]], say: Callable[[str], None] = _nobody
) -> dict[str, T | ToolkitError]:
    """Return the answer to each question, or its error, after at most `seconds`; `say` what the answers wait for.

    A question that is not answered by then is a SourceError, and its thread ends with the process. Raises an exception
    that is no error of the tree.
    """
    answers = _asked(questions)
    now = time.monotonic()
    until, told = now + seconds, now + _SILENT
    found: dict[str, T | ToolkitError] = {}
    while len(found) < len(questions):
        now = time.monotonic()
        try:
            name, answer = answers.get(timeout=max(0.0, min(until, told) - now))
        except queue.Empty:
            if told >= until:
                break
            lacking = listed([each for each in questions if each not in found])
            say(f"waiting for an answer about {lacking}, {format_seconds(until - told)} at most")
            told += _EACH
            continue
        if isinstance(answer, BaseException) and not isinstance(answer, ToolkitError):
            raise answer
        found[name] = answer
    late = SourceError(
        f"no answer within {seconds:g} s", hint="try again, or give it more: --timeout 120"
    )
    return {name: found.get(name, late) for name in questions}


def _asked(questions: Mapping[str, Callable[[], T]]) -> _Answers[T]:
    """Return a queue that gets the answer to each question, or what it raised."""
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    answers: _Answers[T] = queue.SimpleQueue()
    for name in questions:
        waiting.put(name)

    def work() -> None:
        while True:
            try:
                name = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                answers.put((name, questions[name]()))
            except BaseException as error:
                answers.put((name, error))

    for _ in range(min(_AT_ONCE, len(questions))):
        # Daemons: a server that answers slowly must not keep the command after its deadline.
        threading.Thread(target=work, daemon=True).start()
    return answers
