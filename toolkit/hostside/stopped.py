"""Let the router and the supervisord of this host go on where somebody has stopped them (SIGSTOP): nobody else would.

A stopped router keeps its connections open, so its clients wait for as long as it is stopped, and a stopped supervisord
starts nothing. To end them would lose what they hold; a process that goes on loses nothing. Whom a debugger holds is in
another state. A process of another user may have any words that it likes: it only goes on, too.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable

import processes

# Seconds from one look to the next; one that is stopped in two looks in a row goes on.
EACH = 3.0


class Stopped:
    """The stopped processes of the toolkit in `root`."""

    def __init__(self, root: str) -> None:
        self._words = {
            os.path.join(root, "router", "haproxy.cfg"): "the router",
            os.path.join(root, "router", "bodies.cfg"): "the router's process for large bodies",
            os.path.join(root, "supervisor", "supervisord.conf"): "supervisord",
        }
        self._before: set[str] = set()

    def look(self) -> list[str]:
        """Look once; return what was done, in words."""
        done, before = [], self._before
        self._before = set()
        for name in filter(str.isdecimal, os.listdir("/proc")):
            pid = int(name)
            if not processes.is_stopped(pid):
                continue
            words = next(filter(None, map(self._words.get, processes.command_line(pid))), "")
            identity = processes.identity(pid)
            self._before |= {identity} if words else set()
            if words and identity in before:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
                    done.append(f"{words} was stopped and goes on: process {pid}")
        return done

    def keep_looking(self, say: Callable[[str], None]) -> None:
        """Look until this process ends; a thread of the watch does so, because its other looks wait for the router."""
        while True:
            time.sleep(EACH)
            # A process may end at any moment of a look.
            with contextlib.suppress(OSError):
                for words in self.look():
                    say(words)
