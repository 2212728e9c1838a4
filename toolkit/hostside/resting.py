"""What a host notes of sleeps: the mark of a slot whose engine has ended for one, and the sleeps that have ended here.

<root>/watch/asleep/PROGRAM    see `warmth.py`
<root>/watch/woken.json        see `warmth.py`
"""

from __future__ import annotations

import os

import doze
import processes
from directory import read_text
from documents import mapping
from wire import Document

PLACE = doze.ASLEEP
WOKEN = "woken.json"


def rests(root: str, program: str) -> bool:
    """Whether the engine of a slot has been ended for its sleep: what runs in its place waits, or will in a moment."""
    engine = read_text(os.path.join(root, *PLACE, program))
    if engine is None:
        return False
    pid = processes.state(root, program)["pid"]
    # A start takes a moment to find the mark. It is not the engine, which would seem to be up again.
    return not pid or processes.waits(pid) or engine not in ("", processes.identity(pid))


def woken(root: str) -> Document:
    """Return {MODEL: the name of its last sleep that has ended on this host}."""
    return mapping(read_text(os.path.join(root, "watch", WOKEN)))


def can_rest(root: str, program: str) -> bool:
    """Whether the start of a slot looks for the mark; one that an older toolkit wrote would start the engine again."""
    for name in ("start", "run"):
        text = read_text(os.path.join(root, "slots", program, name))
        if text is not None and os.path.join(*PLACE, program) in text:
            return True
    return False
