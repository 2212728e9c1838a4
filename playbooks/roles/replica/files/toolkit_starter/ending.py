"""The end of a process, without the interpreter's own: as `multiprocessing` ends the processes that it forks."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import NoReturn


def run_and_end(run: Callable[[], object]) -> NoReturn:
    """Call `run`, then end this process with the exit code or the signal that the interpreter would end it with.

    Threads are waited for and the functions of `atexit` run. The interpreter is not torn down: that would free the
    objects of all loaded modules one by one, and copy the memory that the processes share. It takes an engine's process
    seconds of a processor, which the replica that serves in its place needs.
    """
    code = 1
    try:
        code = _code_of(run)
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    finally:
        for each in (sys.stdout, sys.stderr):
            # Standard output may be closed, or its reader gone.
            with contextlib.suppress(OSError, ValueError, AttributeError):
                each.flush()
        if code < 0:
            signal.signal(-code, signal.SIG_DFL)
            os.kill(os.getpid(), -code)
        os._exit(code)


def _code_of(run: Callable[[], object]) -> int:
    try:
        run()
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            return ended.code or 0
        sys.stderr.write(f"{ended.code}\n")
        return 1
    except BaseException as error:
        sys.excepthook(*sys.exc_info())
        return -signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
    return 0
