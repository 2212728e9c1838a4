"""Interrupt a program that a command has started once the command has ended, also by SIGKILL.

The kernel sends the signal, so nothing of the command must be left to send it. It is SIGHUP, by which a command is
interrupted once, however often it comes: what the command itself sends before its end does not count twice.
"""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable

SIGNAL = signal.SIGHUP
_PR_SET_PDEATHSIG = 1


def tied() -> Callable[[], None]:
    """Return what a child of this process calls before it executes its program (`preexec_fn`)."""
    parent, prctl = os.getpid(), ctypes.CDLL(None).prctl

    def tie() -> None:
        # A `nohup` before the command is for the command, and not for programs that end with it.
        signal.signal(SIGNAL, signal.SIG_DFL)
        prctl(_PR_SET_PDEATHSIG, int(SIGNAL), 0, 0, 0)
        if os.getppid() != parent:
            # It has ended already, and the kernel sends nothing any more.
            os.kill(os.getpid(), SIGNAL)

    return tie
