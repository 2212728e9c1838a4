"""The gaps in the access log of this host's router, in words for its readers.

The watch writes <root>/watch/unlogged as long as it cannot read the log, or the log has no lines of requests that the
router has answered: journald does not run, or it was started anew and the router still writes to the former one.
"""

from __future__ import annotations

import contextlib
import os

import router_socket
from directory import Directory, make_own, read_text

FOLDER, FILE = "watch", "unlogged"
SILENT = (
    "the journal has no line of what the router answers; where journald runs: systemctl restart %s"
)


def read(root: str) -> str:
    """Return, in words, the known gap of the log; empty without one."""
    return (read_text(os.path.join(root, FOLDER, FILE)) or "").strip()[:500]


def note(root: str, words: str) -> str:
    """Keep the gap of the log, empty for a whole log; return words where it has changed."""
    before = read(root)
    if words == before:
        return ""
    with Directory(make_own(root, FOLDER)) as opened:
        if words:
            opened.write(FILE, words + "\n", durable=False)
            return f"the router's log: {words}"
        opened.remove(FILE)
    return "the router's log can be read again"


class Answered:
    """Whether the router answered requests whose lines should have come by now."""

    def __init__(self, root: str) -> None:
        self._directory = os.path.join(root, "router")
        self._totals: list[int | None] = []
        self._lines = False
        self._lacks = read(root).startswith(SILENT.partition(";")[0])

    def lacks(self, lines: bool) -> bool:
        """Look once; `lines` says that the log had lines since the last look.

        An answer counts as it ends, like its line. So what was answered before the last look is in the log by now.
        Until the log has a line again, it lacks what is answered from now on.
        """
        total = None
        with contextlib.suppress(router_socket.RouterError):
            total = router_socket.answered(self._directory)
        seen, self._lines = lines or self._lines, lines
        self._totals = [*self._totals[-2:], total]
        known = [each for each in self._totals[:-1] if each is not None]
        answered = len(known) == 2 and known[1] > known[0]
        self._lacks = not lines and (self._lacks or (answered and not seen))
        return self._lacks
