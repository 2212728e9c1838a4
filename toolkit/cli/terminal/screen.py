"""A terminal that shows one frame after the other and takes single keys, and is as before in the end."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Any

import click

from toolkit.cli.terminal.columns import cut
from toolkit.cli.terminal.output import without_orders

# The terminal's second screen, without a cursor; and back (xterm's names: smcup, civis, cnorm, rmcup).
_BEGIN, _END = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_HOME, _LINE_END, _REST = "\x1b[H", "\x1b[K", "\x1b[J"


class Screen:
    """The terminal of standard output; keys come from standard input where that is a terminal too."""

    def __init__(self) -> None:
        self._descriptor = sys.stdin.fileno() if sys.stdin and sys.stdin.isatty() else None
        self._former: list[Any] | None = None

    def __enter__(self) -> Screen:
        if self._descriptor is not None:
            import termios
            import tty

            self._former = termios.tcgetattr(self._descriptor)
            # Keys come at once and are not shown; Ctrl-C stays a signal.
            tty.setcbreak(self._descriptor)
        self._write(_BEGIN)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._write(_END)
        if self._descriptor is not None and self._former is not None:
            import termios

            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._former)

    def draw(self, title: str, lines: Sequence[str], size: os.terminal_size) -> None:
        """Show `lines` under a title, in place of the former ones; what does not fit is counted."""
        room = max(size.lines - 3, 1)
        shown = [without_orders(line) for line in lines[:room]]
        if len(lines) > room:
            shown[-1] = f"... {len(lines) - room + 1} more lines: make the window taller"
        head = click.style(cut(f"{title}   q ends", size.columns), reverse=True)
        text = f"{_LINE_END}\r\n".join([head, "", *shown])
        self._write(f"{_HOME}{text}{_LINE_END}{_REST}")

    def keys(self, seconds: float) -> str:
        """Return the keys that are pressed until `seconds` have passed or there is one; empty where none is."""
        readable, _, _ = select.select(
            [] if self._descriptor is None else [self._descriptor], [], [], seconds
        )
        if not readable or self._descriptor is None:
            return ""
        read = os.read(self._descriptor, 64).decode(errors="replace")
        if not read:
            # Its terminal is gone.
            self._descriptor = None
        return read

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()
