"""JSON lines to and from a process: how one is started, asked and ended."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

from toolkit.adapters.interruption import Interruption
from toolkit.errors import HostError

_END_SECONDS = 5


class Ended(Exception):
    """The process ended without its last answer. `words` are those on its standard error."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(code, words)
        self.code, self.words = code, words


Failure = Callable[[int, str], Exception]


class Dialog:
    """A running process. `failure` makes the error of one that ends without its last answer."""

    def __init__(self, argv: Sequence[str], failure: Failure = Ended, title: str = "") -> None:
        self._failure, self._title = failure, title
        pipe = subprocess.PIPE
        # In a session of its own: Ctrl-C in a terminal would end it too, and with it the lock that an undo needs.
        self.process = subprocess.Popen(
            argv, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
        )
        assert self.process.stdin and self.process.stdout and self.process.stderr
        self.input, self.output = self.process.stdin, self.process.stdout
        self.errors = self.process.stderr

    def send(self, document: Mapping[str, Any]) -> None:
        """Write one JSON line. A process that has ended ignores it; its answers say why it ended."""
        self.write(json.dumps(dict(document)).encode() + b"\n")

    def write(self, data: bytes | memoryview) -> bool:
        """Write bytes; return false where the process or the connection has ended."""
        try:
            self.input.write(data)
            self.input.flush()
        except (BrokenPipeError, ValueError):
            return False
        return True

    def answers(self) -> Iterator[dict[str, Any]]:
        """Yield the answers to a request: any number of events, then a result or an error."""
        for line in self.output:
            answer: dict[str, Any] = json.loads(line)
            yield answer
            if "event" not in answer:
                return
        words = self.errors.read().decode(errors="replace")
        raise self._failure(self.process.wait(), words)

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield the events of a request, then {"result": ...}; raises HostError where it has an error."""
        for answer in self.answers():
            if "error" in answer:
                raise HostError(f"{self._title}: {answer['error']}")
            yield answer.get("event", answer)

    def close(self) -> None:
        """End the process's standard input."""
        with suppress(BrokenPipeError):
            self.input.close()

    def kill(self) -> None:
        """End the process at once. Any thread may call it."""
        self.process.kill()

    def end(self, seconds: float = _END_SECONDS) -> None:
        """Close the standard input, and kill the process if it runs on for `seconds`."""
        self.close()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            self.process.wait()
        self.output.close()
        self.errors.close()


@contextmanager
def running(
    argv: Sequence[str],
    interruption: Interruption | None,
    failure: Failure = Ended,
    title: str = "",
) -> Iterator[Dialog]:
    """Start a process, and end it when the context is left. `interruption`, where given, kills it."""
    if interruption is not None:
        interruption.check()
    dialog = Dialog(argv, failure, title)
    try:
        with interruption.ending(dialog.kill) if interruption is not None else nullcontext():
            yield dialog
    finally:
        dialog.end()
