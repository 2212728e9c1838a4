"""Texts of models, engines and hosts on a terminal: none of them gives the terminal an order."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest

from toolkit.cli import main
from toolkit.cli.commands.ask import _say
from toolkit.cli.terminal.output import note, say, say_whole
from toolkit.errors import ToolkitError

# The window's title, the clipboard, the line before, a bell, a line over this one, and a sequence of one character.
ORDERS = "\x1b]0;mine\x07 \x1b]52;c;cm0=\x07 \x1b[1A \a over\r \x9b2J"
SHOWN = r"\x1b]0;mine\x07 \x1b]52;c;cm0=\x07 \x1b[1A \x07 over\r \x9b2J"


class Terminal(io.StringIO):
    """What a terminal is given."""

    def isatty(self) -> bool:
        return True


def a_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Let results and errors go to a terminal; a fixture's streams would be those of its setup alone."""
    shown = Terminal()
    monkeypatch.setattr("sys.stdout", shown)
    monkeypatch.setattr("sys.stderr", shown)
    monkeypatch.setenv("COLUMNS", "200")
    return shown


@pytest.mark.parametrize("show", [say, say_whole, note, _say])
def test_a_text_shows_its_control_characters(
    monkeypatch: pytest.MonkeyPatch, show: Callable[[str], object]
) -> None:
    terminal = a_terminal(monkeypatch)
    show(ORDERS)
    assert terminal.getvalue().rstrip("\n") == SHOWN


def test_an_error_shows_them_too(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = a_terminal(monkeypatch)
    main._print_error(ToolkitError(f"gpu-1 says {ORDERS}", hint=ORDERS), as_json=False)
    assert terminal.getvalue() == f"error: gpu-1 says {SHOWN}\nhint: {SHOWN}\n"


def test_a_name_cannot_be_written_backwards(monkeypatch: pytest.MonkeyPatch) -> None:
    """`weights<202e>nosj.bin` would look like `weightsnib.json`."""
    terminal = a_terminal(monkeypatch)
    note("left out weights\u202enosj.bin and \u2066x\u2069")
    assert terminal.getvalue() == "left out weights\\u202enosj.bin and \\u2066x\\u2069\n"


def test_lines_tabs_and_colours_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = a_terminal(monkeypatch)
    _say("one\n\ttwo \x1b[32mgreen\x1b[0m und ü")
    assert terminal.getvalue() == "one\n\ttwo \x1b[32mgreen\x1b[0m und ü"


@pytest.mark.parametrize(
    "order", ["8", "0;8", "5", "7", "30", "40;30", "38;5;0", "48;2;0;0;0", "99999"]
)
def test_no_text_hides_what_follows(monkeypatch: pytest.MonkeyPatch, order: str) -> None:
    terminal = a_terminal(monkeypatch)
    note(f"an engine says \x1b[{order}mhidden")
    assert terminal.getvalue() == f"an engine says \\x1b[{order}mhidden\n"


def test_a_pipe_gets_the_text_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    piped = io.StringIO()
    monkeypatch.setattr("sys.stdout", piped)
    _say(ORDERS)
    assert piped.getvalue() == ORDERS
