"""Read the log of a replica, or follow that of the one that serves from slot to slot as its traffic moves."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator

from toolkit.adapters.hosts.port import HostPort
from toolkit.errors import HostError

LOOK = 3.0
# Lines that wait for a slow terminal; a replica that writes more waits itself no more than its host's side does.
_WAITING = 1000


def follow_model(
    host: HostPort, model: str, lines: int, tell: Callable[[str], None], seconds: float = LOOK
) -> Iterator[str]:
    """Yield the last `lines` lines of the serving replica of `model`, then new ones, until the caller stops.

    Every `seconds` the host is asked which slot serves. Where that is another one, `tell` gets a line about it, and the
    new slot's log follows. A log that ends is followed no more: the iterator ends where the slot stays the same.
    Raises HostError where the host does not answer.
    """
    slot = _serving(host, model) or _any(host, model)
    feed = _Feed(host, f"{model}-{slot}", lines)
    while True:
        try:
            line = feed.next(seconds)
        except queue.Empty:
            line = ""
        else:
            if line is not None:
                yield line
                continue
        now = _serving(host, model)
        if now and now != slot:
            tell(f"the traffic of {model} moved from {slot} to {now}, whose log follows")
            slot = now
            feed.drop()
            feed = _Feed(host, f"{model}-{slot}", lines)
        elif line is None:
            return


def latest_log(
    host: HostPort, program: str, lines: int, tell: Callable[[str], None]
) -> Iterator[str]:
    """Yield the last `lines` lines of a replica's latest start that has said anything.

    A supervisor starts a replica that crashed once more, and a start that is ended before its first word leaves an
    empty log; the reason of the crash is in the log of the start before, which `tell` says then. Raises HostError where
    the host does not answer.
    """
    empty = True
    for line in host.logs(program, lines, follow=False):
        empty = False
        yield line
    if empty:
        for number, line in enumerate(host.logs(program, lines, follow=False, previous=True)):
            if not number:
                tell(
                    f"the latest start of {program} has said nothing; this is the log of the start before"
                )
            yield line


def _serving(host: HostPort, model: str) -> str:
    serving = host.observe().serving_slot(model)
    return serving.slot if serving else ""


def _any(host: HostPort, model: str) -> str:
    from toolkit.workflows.fleet.status import log_slot

    return log_slot(host, model)


class _Feed:
    """The lines of one log, read by a thread, so that the caller can look elsewhere while none comes."""

    def __init__(self, host: HostPort, program: str, lines: int) -> None:
        self._lines: queue.Queue[str | HostError | None] = queue.Queue(_WAITING)
        self._dropped = threading.Event()
        read = threading.Thread(target=self._read, args=(host, program, lines), daemon=True)
        read.start()

    def next(self, seconds: float) -> str | None:
        """Return the next line, None at the end of the log; raises queue.Empty where none comes for `seconds`."""
        found = self._lines.get(timeout=seconds)
        if isinstance(found, HostError):
            raise found
        return found

    def drop(self) -> None:
        """End the reading with the next line of the log."""
        self._dropped.set()

    def _read(self, host: HostPort, program: str, lines: int) -> None:
        try:
            for line in host.logs(program, lines, follow=True):
                if not self._put(line):
                    return
            self._put(None)
        except HostError as error:
            self._put(error)

    def _put(self, item: str | HostError | None) -> bool:
        while not self._dropped.is_set():
            try:
                self._lines.put(item, timeout=1)
            except queue.Full:
                continue
            return True
        return False
