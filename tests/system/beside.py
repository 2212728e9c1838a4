"""A command that runs beside a test. One that ends too early is what the test reports, not what it then waits for."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.system.waiting import until


class Command:
    """A command under way; what it says goes into the file `log`, so that it waits for no reader."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process, self._log, self._kept = process, log, ""

    @property
    def said(self) -> str:
        """All that it has said so far, on both streams."""
        return self._kept or self._log.read_text(errors="replace")

    def keep(self) -> None:
        """Keep what it has said beyond its file."""
        self._kept = self.said or "(nothing)"

    def goes_on(self) -> bool:
        """Return True while it runs; raises AssertionError with its words once it has ended."""
        code = self.process.poll()
        assert code is None, f"the command ended with {code}\n{self.said}"
        return True

    def says(self, words: str, seconds: float) -> None:
        """Return once it has said `words`; raises AssertionError where it ends before, or after `seconds`."""

        def look() -> str:
            # In this order: its last words may be these.
            ended, said = self.process.poll() is not None, self.said
            if ended and words not in said:
                self.goes_on()
            return said

        until(look, seconds, lambda said: words in said)

    def kill(self) -> None:
        """Kill it, where it has not ended; what it has said stays."""
        self.process.kill()
        self.process.wait()

    def end(self, seconds: float) -> int:
        """Return its exit code once it has ended by itself; raises AssertionError with its words after `seconds`."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the command goes on after {seconds} s\n{self.said}") from None


@contextmanager
def beside(
    argv: Sequence[str], environment: Mapping[str, str], directory: Path | None = None
) -> Iterator[Command]:
    """Run a command beside a test, in `directory` if given; one that runs at the end of the context is killed."""
    with tempfile.NamedTemporaryFile() as log:
        process = subprocess.Popen(
            argv, cwd=directory, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        command = Command(process, Path(log.name))
        try:
            yield command
        finally:
            command.kill()
            command.keep()
