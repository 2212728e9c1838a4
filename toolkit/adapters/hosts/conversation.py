"""One process on a host for all brief requests of a command: it has loaded what the next one needs."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from toolkit.adapters.hosts.dialog import Dialog, DialogEnded

_LOST_SINCE_SECONDS = 2
_END_SECONDS = 1
# An answer to a request that was sent ahead is of the moment for so many seconds.
_FRESH_SECONDS = 10


class Conversation:
    """Requests to one process that `begin` starts, one at a time."""

    def __init__(self, begin: Callable[[], Dialog]) -> None:
        self._begin = begin
        self._dialog: Dialog | None = None
        self._turn = threading.Lock()
        self._waiting = False
        # Whether the process got no request yet, apart from the one that was sent ahead.
        self._idle = True
        # The request that was sent ahead, and its time.
        self._ahead: tuple[dict[str, Any], float] | None = None

    def begin(self, command: str, request: Mapping[str, Any]) -> None:
        """Start the process and send it the request that will be the first; does nothing where it runs.

        So the process connects and answers while the caller does other work. `ask` returns that answer.
        """
        with self.turn() as mine:
            if mine and self._dialog is None:
                self._dialog, self._idle = self._begin(), True
                self._ahead = ({"command": command, **request}, time.monotonic())
                self._dialog.send(self._ahead[0])

    @contextmanager
    def turn(self) -> Iterator[bool]:
        """Say whether the caller may ask now; false while another thread asks."""
        mine = self._turn.acquire(blocking=False)
        try:
            yield mine
        finally:
            if mine:
                # An unread rest of an answer would be taken for the next answer.
                if self._waiting:
                    self.end()
                self._turn.release()

    def ask(self, command: str, request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the answers to a request. Raises Ended where the process does not give the last one."""
        begun, asked = self._dialog is None or self._idle, time.monotonic()
        try:
            yield from self._ask(command, request)
        except DialogEnded:
            # A process that answered before may have lost its link since; brief requests may be repeated. A link that
            # is lost during the request belongs to a host that is gone: to try again would take as long again.
            if begun or time.monotonic() - asked > _LOST_SINCE_SECONDS:
                raise
            yield from self._ask(command, request)

    def kill(self) -> None:
        """Kill the process, so that a request under way ends with Ended. Any thread may call it."""
        dialog = self._dialog
        if dialog is not None:
            dialog.kill()

    def forget(self) -> float:
        """Let go of the process; return the seconds that it may take to end.

        One that was asked nothing may still be connecting, and has nothing to lose.
        """
        self._dialog, self._waiting, self._ahead = None, False, None
        return 0 if self._idle else _END_SECONDS

    def end(self) -> None:
        """End the process, if there is one."""
        dialog, seconds = self._dialog, self.forget()
        if dialog is not None:
            dialog.end(seconds)

    def _ask(self, command: str, request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        dialog = self._dialog = self._dialog or self._begin()
        self._waiting, self._idle = True, False
        document, (ahead, sent) = {"command": command, **request}, self._ahead or ({}, 0.0)
        self._ahead = None
        try:
            if ahead != document or time.monotonic() - sent > _FRESH_SECONDS:
                if ahead:
                    deque(dialog.answers(), maxlen=0)
                dialog.send(document)
            for answer in dialog.answers():
                self._waiting = "event" in answer
                yield answer
        except DialogEnded:
            self.end()
            raise
