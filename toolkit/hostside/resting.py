"""The mark of a sleeping slot: whether its engine has ended for it, and whether the slot's start looks for it.

<root>/watch/asleep/PROGRAM    see `warmth.py`
"""

from __future__ import annotations

import os

import doze
import processes
from directory import read_text

PLACE = doze.ASLEEP


def rests(root: str, program: str) -> bool:
    """Whether the engine of a slot has been ended for its sleep: what runs in its place waits, or will in a moment."""
    engine = read_text(os.path.join(root, *PLACE, program))
    if engine is None:
        return False
    pid = processes.state(root, program)["pid"]
    # A start takes a moment to find the mark. It is not the engine, which would seem to be up again.
    return not pid or processes.waits(pid) or engine not in ("", processes.identity(pid))


def can_rest(root: str, program: str) -> bool:
    """Whether the start of a slot looks for the mark; one that an older toolkit wrote would start the engine again."""
    for name in ("start", "run"):
        text = read_text(os.path.join(root, "slots", program, name))
        if text is not None and os.path.join(*PLACE, program) in text:
            return True
    return False
