"""JSON lines to and from a process: how one is started, asked and ended."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from typing import IO, Any

from toolkit.adapters.hosts.strand import Strand
from toolkit.adapters.interruption import Interruption
from toolkit.domain.bounds import LINE, TEXT
from toolkit.domain.excerpt import brief, escaped
from toolkit.domain.outside import parse_json, shown
from toolkit.errors import HostError

_END_SECONDS = 5
# The seconds between two looks at a process that must not be silent for long.
_TICK_SECONDS = 1.0
# The bytes of a process's standard error that are kept.
_SAID = 2**16
# The parts of an answer, and what each is.
_PARTS = {"event": dict, "result": dict, "error": str, "hint": str}


class DialogEnded(Exception):
    """The process ended without its last answer. `words` are those on its standard error."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(code, words)
        self.code, self.words = code, words


Failure = Callable[[int, str], Exception]


class Dialog:
    """A process that runs `argv`, or a strand of one. `failure` makes the error of one that ends without an answer.

    It gets `first` on its standard input before all else.
    """

    def __init__(
        self,
        argv: Sequence[str] | Strand,
        failure: Failure = DialogEnded,
        title: str = "",
        first: bytes = b"",
    ) -> None:
        self._failure, self._title = failure, title
        self.process = argv if isinstance(argv, Strand) else _started(argv)
        assert self.process.stdin and self.process.stdout
        self.input, self.output = self.process.stdin, self.process.stdout
        # Whether an answer is waited for, whether a document is sent, how many lines have come, and in words a silence
        # that was too long.
        self._waits, self._sends, self._heard, self._silent = False, False, 0, ""
        # Read as it comes: a process that writes more than a pipe holds would wait for ever.
        self._said = b""
        self._listening = threading.Thread(target=self._listen, daemon=True)
        if not isinstance(self.process, Strand):
            self._listening.start()
        self.write(first)

    def send(self, document: Mapping[str, Any]) -> None:
        """Write one JSON line. A process that has ended ignores it; its answers say why it ended."""
        self._sends = True
        try:
            self.write(json.dumps(dict(document)).encode() + b"\n")
        finally:
            self._sends = False

    def write(self, data: bytes | memoryview) -> bool:
        """Write bytes; return false where the process or the connection has ended."""
        try:
            self.input.write(data)
            self.input.flush()
        except (BrokenPipeError, ValueError):
            return False
        return True

    def answers(self) -> Iterator[dict[str, Any]]:
        """Yield the answers to a request: any number of events, then a result or an error.

        An empty event is a sign of life, and is not yielded. Raises HostError where the process ends before or prints
        what is no answer.
        """
        while line := self._line():
            try:
                answer = parse_answer(line)
            except ValueError as error:
                raise HostError(
                    f"{self._title or 'a host'} gives an answer that is none: {error}",
                    hint="look at what prints there at a login: ssh HOST true",
                ) from None
            if answer.get("event") == {}:
                continue
            yield answer
            if "event" not in answer:
                return
        raise self._failure(self.process.wait(), self._silent or self.words())

    @contextmanager
    def bounded(self, seconds: float) -> Iterator[None]:
        """Kill the process where it says nothing for `seconds`, within this context, while a line is waited for.

        It takes a document that is sent, too, within that time; data by `write` has none.
        """
        over = threading.Event()
        watch = threading.Thread(target=self._bound, args=(seconds, over), daemon=True)
        watch.start()
        try:
            yield
        finally:
            over.set()
            watch.join()

    def words(self) -> str:
        """Return the last words on the standard error of a process that has ended."""
        if isinstance(self.process, Strand):
            return self.process.words
        # A process that it left behind may still have the pipe.
        self._listening.join(_END_SECONDS)
        return self._said.decode(errors="replace")

    @property
    def pipe(self) -> IO[bytes]:
        """The standard output of a process, as bytes; a strand has lines alone."""
        assert not isinstance(self.output, Strand)
        return self.output

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield the events of a request, then {"result": ...}; raises HostError where it has an error."""
        for answer in self.answers():
            if "error" in answer:
                raise refusal(self._title, answer)
            yield answer.get("event", answer)

    def _line(self) -> bytes:
        self._waits = True
        try:
            return self.output.readline(LINE + 1)
        finally:
            self._waits = False
            self._heard += 1

    def _bound(self, seconds: float, over: threading.Event) -> None:
        # Looks are counted, not a clock's seconds: while a person has stopped the command, nobody listens.
        silent, heard = 0, self._heard
        while not over.wait(_TICK_SECONDS):
            silent = silent + 1 if (self._waits or self._sends) and heard == self._heard else 0
            heard = self._heard
            if silent * _TICK_SECONDS > seconds:
                self._silent = f"it said nothing for {seconds:.0f} s"
                self.kill()
                return

    def _listen(self) -> None:
        """Read the standard error to its end; its last part is what a failure says."""
        errors = self.process.stderr
        assert errors
        with suppress(OSError):
            while piece := os.read(errors.fileno(), _SAID):
                self._said = (self._said + piece)[-_SAID:]

    def close(self) -> None:
        """End the process's standard input."""
        with suppress(BrokenPipeError):
            self.input.close()

    def kill(self) -> None:
        """End the process at once. Any thread may call it."""
        self.process.kill()

    def end(self, seconds: float = _END_SECONDS) -> None:
        """Close the standard input, and kill the process if it runs on for `seconds`."""
        self.close()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            self.process.wait()
        self.words()
        self.output.close()
        if self.process.stderr:
            self.process.stderr.close()


def _started(argv: Sequence[str]) -> subprocess.Popen[bytes]:
    pipe = subprocess.PIPE
    # In a session of its own: Ctrl-C in a terminal would end it too, and with it the lock that an undo needs.
    return subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True)


def parse_answer(line: bytes) -> dict[str, Any]:
    """Return one answer of a process: an event, a result or an error. Raises ValueError where it is none."""
    answer = parse_json(line, LINE, repair=True)
    if not isinstance(answer, dict) or not answer.keys() & {"event", "result", "error"}:
        raise ValueError("neither an event nor a result nor an error")
    for name, kind in _PARTS.items():
        if not isinstance(answer.get(name, kind()), kind):
            raise ValueError(f"its {name} is {shown(answer[name])}")
    return {
        each: brief(part, TEXT) if isinstance(part, str) else part for each, part in answer.items()
    }


@contextmanager
def running(
    argv: Sequence[str] | Strand,
    interruption: Interruption | None,
    failure: Failure = DialogEnded,
    title: str = "",
    first: bytes = b"",
) -> Iterator[Dialog]:
    """Have a dialog as `Dialog` describes, and end it when the context is left; `interruption` kills it."""
    if interruption is not None:
        interruption.check()
    dialog = Dialog(argv, failure, title, first)
    try:
        with interruption.ending(dialog.kill) if interruption is not None else nullcontext():
            yield dialog
    finally:
        dialog.end()


def refusal(title: str, answer: Mapping[str, Any]) -> HostError:
    """Return the error in an answer: a further line of it stands deeper, so that none looks like the toolkit's own."""
    words = "\n    ".join(escaped(each) for each in answer["error"].splitlines())
    return HostError(f"{title}: {words}", hint=escaped(answer.get("hint", "")))
