"""Texts of models, engines and hosts on a terminal: none of them gives the terminal an order."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable

import pytest

from toolkit.cli import main
from toolkit.cli.commands.ask import _say
from toolkit.cli.terminal.output import note, print_json, print_json_line, say, say_whole, table
from toolkit.cli.terminal.screen import Screen
from toolkit.cli.views.pull import PullProgress
from toolkit.errors import ToolkitError

# The window's title, the clipboard, the line before, a bell, a line over this one, and a sequence of one character.
ORDERS = "\x1b]0;mine\x07 \x1b]52;c;cm0=\x07 \x1b[1A \a over\r \x9b2J"
SHOWN = r"\x1b]0;mine\x07 \x1b]52;c;cm0=\x07 \x1b[1A \x07 over\r \x9b2J"


class Terminal(io.StringIO):
    """What a terminal is given."""

    encoding = "utf-8"

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


def _print_error(text: str) -> None:
    main._print_error(ToolkitError(text, hint=text), as_json=False)


def test_an_error_shows_them_too(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = a_terminal(monkeypatch)
    main._print_error(ToolkitError(f"gpu-1 says {ORDERS}", hint=ORDERS), as_json=False)
    assert terminal.getvalue() == f"error: gpu-1 says {SHOWN}\nhint: {SHOWN}\n"


def test_a_hint_that_quotes_a_word_without_an_end_is_as_short_as_a_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = a_terminal(monkeypatch)
    _print_error(f"write it in brackets: [{'9' * 5000}]")
    assert all(len(line) < 200 for line in terminal.getvalue().splitlines())


def test_a_name_cannot_be_written_backwards(monkeypatch: pytest.MonkeyPatch) -> None:
    """`weights<202e>nosj.bin` would look like `weightsnib.json`."""
    terminal = a_terminal(monkeypatch)
    note("left out weights\u202enosj.bin and \u2066x\u2069, \u200f5 of \u200e3 \u061c4")
    assert terminal.getvalue() == (
        "left out weights\\u202enosj.bin and \\u2066x\\u2069, \\u200f5 of \\u200e3 \\u061c4\n"
    )


@pytest.mark.parametrize("end", ["\u2028", "\u2029", "\x85", "\x0b"])
def test_no_text_ends_a_line_in_another_way(monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    terminal = a_terminal(monkeypatch)
    note(f"a{end}error: b")
    assert terminal.getvalue().splitlines() == [f"a{ascii(end)[1:-1]}error: b"]


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


@pytest.mark.parametrize("show", [print_json, print_json_line])
def test_json_has_the_same_value_and_no_orders(
    monkeypatch: pytest.MonkeyPatch, show: Callable[[dict[str, str]], object]
) -> None:
    """JSON itself escapes the characters below the space alone; many terminals obey those from 0x80 on too."""
    terminal = a_terminal(monkeypatch)
    document = {"name": f"{ORDERS} \u202enosj.bin \u2028 \x7f ü"}
    show(document)
    said = terminal.getvalue()
    assert json.loads(said) == document
    assert all(each.isprintable() for each in said.replace("\n", "")) and "ü" in said


def test_a_frame_of_a_screen_has_the_screens_orders_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = a_terminal(monkeypatch)
    Screen().draw("top", [f"gpu-1 {ORDERS}"], os.terminal_size((200, 20)))
    assert f"gpu-1 {SHOWN}\x1b[K" in terminal.getvalue()


def test_the_progress_of_a_pull_gives_no_orders() -> None:
    terminal = Terminal()
    progress = PullProgress(terminal, lambda: 0.0)
    progress.begin(ORDERS, 1, 10)
    progress.note(ORDERS)
    progress.file_done(ORDERS, 10)
    assert terminal.getvalue().count(SHOWN) == 3
    assert "\x1b" not in terminal.getvalue()


@pytest.mark.parametrize(
    "show", [say, note, lambda text: table(["NAME"], [[text]]), lambda text: _print_error(text)]
)
def test_what_is_written_for_people_gives_no_orders_through_a_pipe(
    monkeypatch: pytest.MonkeyPatch, show: Callable[[str], object]
) -> None:
    """`toolkit status | head`, `watch toolkit status` and the log of a timer end on a terminal as well."""
    piped = io.StringIO()
    monkeypatch.setattr("sys.stdout", piped)
    monkeypatch.setattr("sys.stderr", piped)
    show(ORDERS)
    said = piped.getvalue()
    assert r"\x1b]0;mine" in said and r"\x9b2J" in said
    assert all(line.isprintable() for line in said.split("\n"))


def test_a_pipe_gets_the_answer_of_a_model_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    piped = io.StringIO()
    monkeypatch.setattr("sys.stdout", piped)
    _say(ORDERS)
    assert piped.getvalue() == ORDERS
