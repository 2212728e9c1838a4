"""One process on a host for all brief requests of a command: a start of ssh, sudo and Python costs ten of them."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

# What takes milliseconds and is asked again and again.
BRIEF = frozenset({"observe", "complete", "apply-routes"})
_LOST_SINCE_SECONDS = 2


class Ended(Exception):
    """The process ended instead of answering; with its exit status and its words on standard error."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(code, words)
        self.code, self.words = code, words


class Conversation:
    """Requests to one process that `begin` starts, one at a time."""

    def __init__(self, begin: Callable[[], subprocess.Popen[str]]) -> None:
        self._begin = begin
        self._process: subprocess.Popen[str] | None = None
        self._turn = threading.Lock()
        self._waiting = False

    @contextmanager
    def turn(self) -> Iterator[bool]:
        """Say whether the caller may ask now; false while another thread does."""
        mine = self._turn.acquire(blocking=False)
        try:
            yield mine
        finally:
            if mine:
                # Half an answer that nobody took would be taken for the next.
                if self._waiting:
                    self.end()
                self._turn.release()

    def ask(self, command: str, request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the events of a request and its result. Raises Ended where the process gives none."""
        begun, asked = self._process is None, time.monotonic()
        try:
            yield from self._ask(command, request)
        except Ended:
            # One that has answered before may have lost its link since; these requests may be made twice. One whose
            # link was lost only while it was asked belongs to a host that is gone: to try again takes as long again.
            if begun or time.monotonic() - asked > _LOST_SINCE_SECONDS:
                raise
            yield from self._ask(command, request)

    def kill(self) -> None:
        """Have whoever asks now find the process ended; may be called from any thread."""
        process = self._process
        if process is not None:
            process.kill()

    def end(self) -> None:
        """End the process, where there is one."""
        process, self._process, self._waiting = self._process, None, False
        if process is None:
            return
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()
        try:
            process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _ask(self, command: str, request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        process = self._process = self._process or self._begin()
        assert process.stdin is not None and process.stdout is not None
        self._waiting = True
        # One that has ended has its reason on standard error, which is read below.
        with suppress(BrokenPipeError):
            process.stdin.write(json.dumps({"command": command, **request}) + "\n")
            process.stdin.flush()
        for line in process.stdout:
            answer: dict[str, Any] = json.loads(line)
            self._waiting = "event" in answer
            yield answer
            if not self._waiting:
                return
        assert process.stderr is not None
        words = process.stderr.read()
        code = process.wait()
        self.end()
        raise Ended(code, words)
