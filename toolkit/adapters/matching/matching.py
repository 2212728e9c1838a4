"""Match patterns and schemas of golden prompts within a time, whatever they are."""

from __future__ import annotations

import json
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from toolkit.domain.bounds import MATCH_MEMORY, MATCH_SECONDS
from toolkit.domain.gates.golden import Fit, Fits

_PROGRAM = Path(__file__).with_name("matcher.py")


@contextmanager
def matching(seconds: float = MATCH_SECONDS) -> Iterator[Fits]:
    """Give a function that says whether a text fits a pattern or schema, within `seconds` each; see `Fits`."""
    process = _Process(seconds)
    try:
        yield process.fits
    finally:
        process.end()


class _Process:
    """The process of `matcher.py`, started when it is first needed and again after it was lost."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None

    def fits(self, fit: Fit) -> str | None:
        question: dict[str, Any] = {"text": fit.text}
        if fit.regex is not None:
            question["regex"] = fit.regex
        else:
            question["json_schema"] = fit.json_schema
        answer = self._asked(json.dumps(question).encode() + b"\n")
        return None if answer is None else answer.get("fault")

    def _asked(self, question: bytes) -> dict[str, Any] | None:
        if self._process is None:
            command = [sys.executable, "-I", str(_PROGRAM), str(self._seconds), str(MATCH_MEMORY)]
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        try:
            stdin, stdout = self._process.stdin, self._process.stdout
            assert stdin is not None and stdout is not None, "both are pipes"
            stdin.write(question)
            stdin.flush()
            # Far longer than the process allows itself: it may be starting on a busy machine.
            if not select.select([stdout], [], [], 10 * self._seconds + 30)[0]:
                raise TimeoutError
            answer: dict[str, Any] = json.loads(stdout.readline())
        except (OSError, ValueError):
            self.end()
            return None
        return answer

    def end(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    # The rest that was to be written to the ended process.
                    continue
        self._process = None
