"""Several questions to the outside at once, with one deadline for all of them."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from toolkit.errors import SourceError, ToolkitError

T = TypeVar("T")
_AT_ONCE = 16


def within(seconds: float, questions: Mapping[str, Callable[[], T]]) -> dict[str, T | ToolkitError]:
    """Return the answer to each question, or its error, after at most `seconds`.

    A question that is not answered by then is a SourceError, and its thread ends with the process. Raises an exception
    that is no error of the tree.
    """
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    answers: queue.SimpleQueue[tuple[str, T | BaseException]] = queue.SimpleQueue()
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
    until = time.monotonic() + seconds
    found: dict[str, T | ToolkitError] = {}
    while len(found) < len(questions):
        try:
            name, answer = answers.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            break
        if isinstance(answer, BaseException) and not isinstance(answer, ToolkitError):
            raise answer
        found[name] = answer
    late = SourceError(
        f"no answer within {seconds:g} s", hint="try again, or give it more: --timeout 120"
    )
    return {name: found.get(name, late) for name in questions}
