"""Room for the inotify instances of many hosts: each systemd takes several, and the kernel counts all of root's."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SETTING = Path("/proc/sys/fs/inotify/max_user_instances")
# Holds the value to go back to; several runs of tests may need the room at once.
FORMER = Path("/run/toolkit-tests-inotify")
ENOUGH = 4096


@contextmanager
def room_for_watchers() -> Iterator[None]:
    """Raise the limit; the last run that needs it sets it back, also what a killed one has left."""
    with FORMER.open("a+") as former:
        fcntl.flock(former, fcntl.LOCK_SH)
        now = int(SETTING.read_text())
        if now < ENOUGH:
            former.truncate(0)
            former.write(f"{now}\n")
            former.flush()
            SETTING.write_text(f"{ENOUGH}\n")
        try:
            yield
        finally:
            with suppress(BlockingIOError):
                fcntl.flock(former, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if saved := FORMER.read_text().split():
                    SETTING.write_text(f"{saved[0]}\n")
                    former.truncate(0)
