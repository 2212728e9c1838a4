"""One process on a host for a whole command: each dialog is a strand of it, for which the host forks.

To start ssh, sudo and Python takes as long as ten brief requests. `channel.py` of the host's side has the format.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from toolkit.adapters.hosts.dialog import Dialog
from toolkit.adapters.hosts.strand import Strand
from toolkit.domain.bounds import LINE
from toolkit.domain.outside import parse_json, text_of, whole

# A process that says nothing for so long is no longer asked to end a strand: it is ended. The holder of a lock gives a
# sign every few seconds.
_SILENCE_SECONDS = 30.0
_KILLED = -9
# The bytes of a line beside its text.
_PREFIX = 64
_NUMBER = re.compile(rb"[0-9]{1,18}")


class HostChannel:
    """The process of a host, which `begin` starts for its first strand, and anew where it has ended."""

    def __init__(self, begin: Callable[[], Dialog]) -> None:
        self._begin = begin
        self._guard, self._sending = threading.Lock(), threading.Lock()
        self._dialog: Dialog | None = None
        self._strands: dict[int, Strand] = {}
        self._count, self._heard = 0, 0.0

    def strand(self, name: str) -> Strand:
        """Begin a dialog with a command of the host's side."""
        with self._guard:
            begun = self._dialog is None or self._dialog.process.poll() is not None
            if self._dialog is None or begun:
                self._dialog, self._strands, self._heard = self._begin(), {}, time.monotonic()
            dialog, strands, self._count = self._dialog, self._strands, self._count + 1

            def write(data: bytes) -> None:
                with self._sending:
                    if not dialog.write(data):
                        raise BrokenPipeError

            strand = Strand(self._count, write, lambda: self._end_strand(dialog, strands, strand))
            strands[strand.number] = strand
            if begun:
                hear = threading.Thread(target=self._hear, args=(dialog, strands), daemon=True)
                hear.start()
        with suppress(BrokenPipeError):
            write(b"%d open %s\n" % (strand.number, name.encode()))
        return strand

    def hang_up(self) -> None:
        """Let the process end by itself, and do not wait for it: `end` does so."""
        if self._dialog is not None:
            self._dialog.close()

    def end(self, seconds: float = 1) -> None:
        """End the process and all strands; kill it if it runs on for `seconds`."""
        with self._guard:
            dialog, self._dialog = self._dialog, None
        if dialog is not None:
            dialog.end(seconds)

    def _end_strand(self, dialog: Dialog, strands: dict[int, Strand], strand: Strand) -> None:
        """Close a strand, or end the process where it is dead: it says nothing, or takes nothing."""
        dead = time.monotonic() - self._heard > _SILENCE_SECONDS
        if dead or not self._sending.acquire(timeout=_SILENCE_SECONDS):
            self._end_all(strands, _KILLED, f"it said nothing for {_SILENCE_SECONDS:.0f} s")
            dialog.kill()
            return
        self._sending.release()
        strand.close()

    def _hear(self, dialog: Dialog, strands: dict[int, Strand]) -> None:
        """Give each line of the process to its strand, until it ends."""
        # Another thread may close the pipe amid a read.
        with suppress(OSError, ValueError):
            while line := dialog.output.readline(LINE + _PREFIX):
                self._heard = time.monotonic()
                give(line, strands)
        dialog.end()
        self._end_all(strands, dialog.process.wait(), dialog.words())

    def _end_all(self, strands: dict[int, Strand], code: int, words: str) -> None:
        with self._guard:
            left = list(strands.values())
        for strand in left:
            strand.over(code, words)


def give(line: bytes, strands: dict[int, Strand]) -> None:
    """Give a line of the host's process to the strand that it names, or to all where it is none of a channel."""
    number, word, text = (*line.rstrip(b"\n").split(b" ", 2), b"", b"")[:3]
    known = _NUMBER.fullmatch(number) and word in (b"line", b"ended")
    if not known:
        # A line that the login prints. The dialog that waits for an answer tells of it.
        for each in list(strands.values()):
            each.hear(line)
        return
    # One that is gone may have been killed here.
    strand = strands.get(int(number))
    if strand and word == b"line":
        strand.hear(text + b"\n")
    elif strand:
        del strands[strand.number]
        strand.over(*_end_of(text))


def _end_of(text: bytes) -> tuple[int, str]:
    """Return the exit code and the last words of a process; or 1 and what a host says instead."""
    try:
        code, words = parse_json(text, LINE)
        return whole(code, "a code", least=-255), text_of(words, "words", LINE)
    except (TypeError, ValueError):
        return 1, text.decode(errors="replace")
