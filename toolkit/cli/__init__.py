"""The command line: parse, call, print."""

from __future__ import annotations

import sys
from types import TracebackType


def _end_quietly(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Say that Ctrl-C came before `main` listens for it: a traceback of modules that were loading helps nobody."""
    if issubclass(kind, KeyboardInterrupt):
        sys.stderr.write("interrupted\n")
    else:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _end_quietly
