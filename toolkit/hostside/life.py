"""Signs of life of a command, by which the ops machine tells a long one from a host that hangs.

A sign is an empty event, from a thread of its own. It is left out while a thread of the command stands still in an
uninterruptible wait: a disk that does not answer would look like work.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable

SECONDS = 10.0
_TASKS = "/proc/self/task"


def send(sign: Callable[[], None], seconds: float = SECONDS, tasks: str = _TASKS) -> None:
    """Call `sign` every `seconds`, until it raises OSError because nobody listens any more."""
    before: dict[str, str] = {}
    with contextlib.suppress(OSError):
        while True:
            time.sleep(seconds)
            now = waiting(tasks)
            if not before.items() & now.items():
                sign()
            before = now


def waiting(tasks: str) -> dict[str, str]:
    """Return the threads in an uninterruptible wait, each with the number of times that it began to wait."""
    found = {}
    for each in os.listdir(tasks):
        with contextlib.suppress(OSError), open(os.path.join(tasks, each, "status")) as status:
            facts = dict(line.split(":", 1) for line in status if ":" in line)
            waits = facts.get("voluntary_ctxt_switches", "").strip()
            if waits and facts.get("State", "").strip().startswith("D"):
                found[each] = waits
    return found
