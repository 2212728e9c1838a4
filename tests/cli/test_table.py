"""Tables fit their width: long cells go on below, and what fits nowhere becomes a list."""

from __future__ import annotations

import pytest

from tests.cli.shell import Shell
from toolkit.cli.terminal.table import has_colours, table_lines, terminal_width


@pytest.mark.parametrize(
    ("headers", "row", "width", "lines"),
    [
        (("A", "B"), ("one", "two"), 80, ["A    B", "one  two"]),
        (("A", "WORDS"), ("x", "a b c d e f g"), 10, ["A  WORDS", "x  a b c d", "   e f g"]),
        (("A", "HASH"), ("x", "0123456789"), 9, ["A  HASH", "x  012345", "   6789"]),
        (("AA", "BB"), ("123456", "12345678"), 10, ["AA  123456", "BB  123456", "    78"]),
        (("A", "IN"), ("x", "213,063,484"), 12, ["A   x", "IN  213,063,", "    484"]),
        (("A", "IN"), ("x 1", "213,063,484"), 16, ["A    IN", "x 1  213,063,484"]),
        (("A", "B"), ("", "two\nlines"), 80, ["A  B", "   two lines"]),
        (("A", "B", "C"), ("x", "y", ""), 80, ["A  B  C", "x  y"]),
    ],
)
def test_a_row_fits_its_width(
    headers: tuple[str, ...], row: tuple[str, ...], width: int, lines: list[str]
) -> None:
    assert table_lines(headers, [row], width) == lines


def test_no_line_is_wider_than_asked_and_no_word_is_lost() -> None:
    headers = ("HOST", "MODEL", "VERSION", "RELEASE", "STATE", "REASON")
    row = ("h" * 40, "m" * 50, "v" * 30, "#12", "serving, drifted", "because of this " * 9)
    for width in range(20, 200, 7):
        lines = table_lines(headers, [row, row], width)
        assert max(map(len, lines)) <= width
        letters = "".join("".join(lines).split())
        assert letters.count("h") >= 80
        assert letters.count("m") == 100


def test_cells_fold_between_words_where_that_is_enough() -> None:
    headers = ("HOST", "STATE", "MEMORY", "FILE")
    row = ("alpha", "serving", "20.4 MB", "/var/lib/toolkit/models/a-long-name")
    assert table_lines(headers[:3], [row[:3]], 22) == [
        "HOST   STATE    MEMORY",
        "alpha  serving  20.4",
        "                MB",
    ]
    # A path has to break; the words beside it need not.
    for width in range(34, 64):
        lines = table_lines(headers, [row], width)
        assert lines[1].startswith("alpha  serving  20.4"), lines


def test_a_number_is_never_cut_where_a_row_has_room_as_a_list() -> None:
    headers, row = ("KEY", "REQUESTS", "IN", "OUT"), ("ann", "95,072", "213,063,484", "43,419,198")
    for width in range(21, 60):
        assert {"95,072", "213,063,484", "43,419,198"} <= set(
            " ".join(table_lines(headers, [row], width)).split()
        ), width


def test_colours_do_not_move_columns() -> None:
    headers, rows = ("STATE", "SUBJECT"), [("ok", "disk"), ("fail", "memory")]
    plain = table_lines(headers, rows, 80)
    shown = table_lines(headers, rows, 80, colours=True)
    assert shown[1] == "\x1b[32mok\x1b[0m     disk"
    assert shown[2] == "\x1b[31mfail\x1b[0m   memory"
    assert plain == ["STATE  SUBJECT", "ok     disk", "fail   memory"]


@pytest.mark.parametrize(
    ("environment", "terminal", "colours"),
    [
        ({}, True, True),
        ({"NO_COLOR": "1"}, True, False),
        ({"NO_COLOR": ""}, True, True),
        ({"TERM": "dumb"}, True, False),
        ({}, False, False),
    ],
)
def test_colours_are_for_terminals_that_want_them(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], terminal: bool, colours: bool
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal, raising=False)
    assert has_colours() is colours


@pytest.mark.parametrize(("columns", "width"), [("100", 100), ("3", 20), (None, 100_000)])
def test_the_width_is_that_of_columns_and_a_pipe_keeps_rows_whole(
    monkeypatch: pytest.MonkeyPatch, columns: str | None, width: int
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns:
        monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr("sys.stdout.isatty", lambda: False, raising=False)
    assert terminal_width() == width


LONG = "a-model-with-a-name-as-long-as-a-name-of-the-registry-may-be-63"


@pytest.mark.parametrize("command", ["doctor", "registry list", "hosts"])
def test_no_table_is_wider_than_80_columns(shell: Shell, command: str) -> None:
    text = shell.registry.read_text().replace("  tiny:", f"  {LONG}:")
    shell.registry.write_text(text)
    shell.set("COLUMNS", "80")
    lines = shell(*command.split()).out.partition("\n\n")[0].splitlines()
    assert {"SUBJECT", "MODEL", "HOST"} & set(lines[0].split())
    assert max(len(line) for line in lines if ": " not in line) <= 80
