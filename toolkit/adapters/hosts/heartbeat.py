"""The sign of life of the ops machine that keeps a host's deployment lock."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from toolkit.adapters.hosts.dialog import Dialog
from toolkit.domain.bounds import LINE

# The holder on the host ends after so much silence: a link or an ops machine may die without a word, and sshd may take
# hours to notice. Several signs fit in, so that a busy ops machine loses no lock.
SILENCE_SECONDS = 30.0
_SIGNS = 8
# No lock is lost before that many seconds after the last moment in which its holder here was at work.
FIRST_LOSS = SILENCE_SECONDS - SILENCE_SECONDS / _SIGNS


class Heartbeat:
    """Whether the holder of a lock still hears the ops machine: it answers each sign with a line.

    A sign that was written may still lie in a buffer of this machine, so only answered ones count, from when they were
    sent. The holder hears each of them later, so this machine knows of a lost lock before anybody else can take it.
    """

    def __init__(self, dialog: Dialog, silence: float) -> None:
        self._dialog, self._silence = dialog, silence
        self._last = _now()
        self._unanswered: deque[float] = deque()
        self._broken = False
        self._over = threading.Event()

    @property
    def lost(self) -> bool:
        """Whether the holder has ended, or has heard nothing for so long that it ends."""
        # The clock counts on while this machine sleeps, and while a person has stopped the command.
        late = _now() - self._last > self._silence
        return self._broken or late or self._dialog.process.poll() is not None

    def beat(self) -> None:
        """Send signs until `end`, or until the holder is gone."""
        while not self._over.wait(self._silence / _SIGNS):
            self._unanswered.append(_now())
            if self.lost or not self._dialog.write(b"\n"):
                self._broken = True
                return

    def hear(self) -> None:
        """Read the answers until the process ends."""
        # The process's end closes the pipe, maybe amid a read.
        with suppress(OSError, ValueError):
            while self._dialog.output.readline(LINE + 1) and self._unanswered:
                self._last = self._unanswered.popleft()
        self._broken = True

    def end(self) -> None:
        """Send no more signs."""
        self._over.set()


@contextmanager
def beating(dialog: Dialog, silence: float) -> Iterator[Heartbeat]:
    """Send signs of life to the holder of a lock, and hear its answers, from threads, within this context.

    `silence` is in seconds: the holder gives up after so many without a sign.
    """
    made = Heartbeat(dialog, silence)
    beat = threading.Thread(target=made.beat, daemon=True)
    beat.start()
    # Ends with the process of the dialog, which may be deaf for long.
    threading.Thread(target=made.hear, daemon=True).start()
    try:
        yield made
    finally:
        made.end()
        beat.join()


def _now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
