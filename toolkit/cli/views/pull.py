"""Show the progress of a pull: a live line on a terminal, else a line every few seconds."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import TextIO

import click

from toolkit.cli.terminal.columns import columns, cut
from toolkit.cli.terminal.output import folded_text, without_orders
from toolkit.cli.terminal.table import terminal_width
from toolkit.domain.quantity import format_seconds, format_size

LIVE_EVERY = 0.2
LINE_EVERY = 5.0


class PullProgress:
    """A pull's report on standard error; `clock` is in seconds."""

    def __init__(
        self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._clock = clock
        self._lock = threading.Lock()
        self._running: dict[str, int] = {}
        self._title = ""
        self._size = self._done = 0
        self._started = self._shown = 0.0
        self._line = ""

    def note(self, text: str) -> None:
        """Print a sentence."""
        with self._lock:
            self._print(text)

    def begin(self, title: str, files: int, size: int) -> None:
        """Print the number of files and their size."""
        with self._lock:
            self._title, self._size = title, size
            self._started = self._shown = self._clock()
            noun = "file" if files == 1 else "files"
            self._print(f"{title}: {files} {noun}, {format_size(size)}")

    def advance(self, path: str, size: int) -> None:
        """Count bytes, and show the sum from time to time."""
        with self._lock:
            self._running[path] = self._running.get(path, 0) + size
            self._done += size
            now = self._clock()
            if now - self._shown >= (LIVE_EVERY if self._live else LINE_EVERY):
                self._shown = now
                self._show(now)

    def file_done(self, path: str, size: int) -> None:
        """Print the file."""
        with self._lock:
            self._running.pop(path, None)
            self._print(f"  {path}  {format_size(size)}  verified")

    def end(self) -> None:
        """Clear the live line."""
        with self._lock:
            self._clear()

    def _show(self, now: float) -> None:
        text = without_orders(self._state(now))
        if not self._live:
            self._print(text)
            return
        width = terminal_width(errors=True) - 1
        self._clear()
        self._line = cut(text, width)
        click.echo(self._line, file=self._stream, nl=False)

    def _state(self, now: float) -> str:
        rate = self._done / max(now - self._started, 1e-6)
        left = max(self._size - self._done, 0) / rate if rate > 0 else 0.0
        share = 100 * self._done // self._size if self._size else 100
        current = max(self._running, key=lambda path: self._running[path], default="")
        others = f" +{len(self._running) - 1}" if len(self._running) > 1 else ""
        return (
            f"{self._title}  {share}%  {format_size(self._done)} of {format_size(self._size)}  "
            f"{format_size(int(rate))}/s  {format_seconds(left)} left  {current}{others}"
        ).rstrip()

    def _print(self, text: str) -> None:
        self._clear()
        shown = without_orders(text)
        click.echo(folded_text(shown, terminal_width(errors=True)), file=self._stream)

    def _clear(self) -> None:
        if self._line:
            click.echo("\r" + " " * columns(self._line) + "\r", file=self._stream, nl=False)
            self._line = ""
