"""One process on a host for a whole command of the ops machine: it forks for each dialog, and needs no further Python.

Each line in both directions begins with the number of a dialog and a word. The ops machine writes `3 open NAME` to
begin a dialog with the command NAME, `3 line TEXT` for a line of its standard input, and `3 close` to end that. It
reads `3 line TEXT` for a line of the dialog's standard output, and `3 ended [CODE, WORDS]`, with its standard error.

The end of this process or of its standard input ends those of all dialogs. It has no threads, since it forks. It
imports nothing once a dialog has begun and waits for none of them: a disk that does not answer holds up only those who
read it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import sys
from collections.abc import Callable

# The modules that nearly all commands need: each dialog has them without a look at a disk.
_FIRST = ("conversation", "observe")
_PIECE = 65536
# Milliseconds between two looks for the end of a process whose output goes on in a process that it left behind, and of
# one whose output has ended.
_LOOK, _SOON = 1000, 5


class _Dialog:
    """A process, and the ends of its pipes, -1 once closed; `unsent` waits for it to read."""

    def __init__(self, pid: int, into: int, output: int, errors: int) -> None:
        self.pid, self.into, self.output, self.errors = pid, into, output, errors
        self.unsent, self.line, self.words = b"", b"", b""
        self.closing = False

    def close(self) -> None:
        _close(self.into, self.output, self.errors)


def serve(run: Callable[[str], int]) -> None:
    """Pass lines on until standard input and all dialogs have ended, then end this process.

    In the process of each dialog `run` its command, and end it with what that returns.
    """
    for name in _FIRST:
        # Where it is damaged, the dialog says so.
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    # Memory of the modules that are loaded by now stays shared by all processes.
    gc.freeze()
    name = _Board().pass_on()
    code = run(name) if name else 0
    sys.stdout.flush()
    # Nothing is left to tidy up, and Python takes milliseconds to do so.
    os._exit(code)


class _Board:
    def __init__(self) -> None:
        self._dialogs: dict[bytes, _Dialog] = {}
        self._listening, self._heard = True, b""

    def pass_on(self) -> str:
        """Return "" once all has ended; in the process of a dialog return its command."""
        while self._listening or self._dialogs:
            ready = self._ready()
            for number, dialog in list(self._dialogs.items()):
                self._attend(number, dialog, ready)
            if 0 in ready:
                name = self._listen()
                if name:
                    return name
        return ""

    def _ready(self) -> set[int]:
        poll = select.poll()
        if self._listening:
            poll.register(0, select.POLLIN)
        for each in self._dialogs.values():
            # A pipe that has ended is always ready: `_hear` has closed it.
            for handle in (each.output, each.errors):
                if handle >= 0:
                    poll.register(handle, select.POLLIN)
            if each.unsent:
                poll.register(each.into, select.POLLOUT)
        soon = any(each.output < 0 for each in self._dialogs.values())
        return {handle for handle, _ in poll.poll(_SOON if soon else _LOOK)}

    def _listen(self) -> str:
        """Carry out the lines that have come; in the process of a new dialog return its command."""
        piece = os.read(0, _PIECE)
        if not piece:
            self._listening = False
            for each in self._dialogs.values():
                each.closing = True
                _feed(each)
        *lines, self._heard = (self._heard + piece).split(b"\n")
        for line in lines:
            number, word, text = (*line.split(b" ", 2), b"")[:3]
            if word == b"open":
                if self._begin(number):
                    return text.decode()
            elif number in self._dialogs:
                dialog = self._dialogs[number]
                dialog.closing = dialog.closing or word == b"close"
                dialog.unsent += text + b"\n" if word == b"line" else b""
                _feed(dialog)
        return ""

    def _begin(self, number: bytes) -> bool:
        """Fork; return whether this is the new process."""
        pipes: list[tuple[int, int]] = []
        try:
            pipes += [os.pipe() for _ in range(3)]
            pid = os.fork()
        except OSError as error:
            for each in pipes:
                _close(*each)
            _say_end(number, 1, str(error))
            return False
        (theirs, into), (output, said), (errors, words) = pipes
        if pid:
            _close(theirs, said, words)
            for handle in (into, output, errors):
                os.set_blocking(handle, False)
            self._dialogs[number] = _Dialog(pid, into, output, errors)
            return False
        for own, handle in enumerate((theirs, said, words)):
            os.dup2(handle, own)
        _close(theirs, said, words, into, output, errors)
        for other in self._dialogs.values():
            other.close()
        return True

    def _attend(self, number: bytes, dialog: _Dialog, ready: set[int]) -> None:
        if dialog.into in ready:
            _feed(dialog)
        if ready & {dialog.output, dialog.errors}:
            _hear(number, dialog)
        ended, status = os.waitpid(dialog.pid, os.WNOHANG)
        if ended:
            while _hear(number, dialog):
                pass
            if dialog.line:
                _say(number, b"line " + dialog.line)
            code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)
            _say_end(number, code, dialog.words.decode("utf-8", "replace"))
            dialog.close()
            del self._dialogs[number]


def _feed(dialog: _Dialog) -> None:
    """Write what the process takes, and close its standard input where that is all."""
    try:
        while dialog.unsent and dialog.into >= 0:
            dialog.unsent = dialog.unsent[os.write(dialog.into, dialog.unsent) :]
    except BlockingIOError:
        return
    except OSError:
        # It has ended, or reads no more.
        pass
    dialog.unsent = b""
    if dialog.closing:
        _close(dialog.into)
        dialog.into = -1


def _hear(number: bytes, dialog: _Dialog) -> int:
    """Pass on what the process has written; return the number of bytes."""
    said, words = _read(dialog.output), _read(dialog.errors)
    if said == b"":
        _close(dialog.output)
        dialog.output = -1
    if words == b"":
        _close(dialog.errors)
        dialog.errors = -1
    *lines, dialog.line = (dialog.line + (said or b"")).split(b"\n")
    for line in lines:
        _say(number, b"line " + line)
    dialog.words = (dialog.words + (words or b""))[-_PIECE:]
    return len(said or b"") + len(words or b"")


def _read(handle: int) -> bytes | None:
    """Return what can be read now: nothing at the end, None where there is none yet, or no more."""
    with contextlib.suppress(BlockingIOError):
        return os.read(handle, _PIECE) if handle >= 0 else None
    return None


def _say(number: bytes, text: bytes) -> None:
    rest = number + b" " + text + b"\n"
    while rest:
        rest = rest[os.write(1, rest) :]


def _say_end(number: bytes, code: int, words: str) -> None:
    _say(number, b"ended " + json.dumps([code, words]).encode())


def _close(*handles: int) -> None:
    for each in handles:
        if each >= 0:
            os.close(each)
