"""What stays on a terminal after a command, of all that it wrote."""

from __future__ import annotations

import pytest

from tests.walk.terminal import seen


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("one\r\ntwo\r\n", "one\ntwo"),
        ("one\r\r\ntwo\r\r\n", "one\ntwo"),
        ("no end of line\r", "no end of line"),
        ("10 %\r20 %\rdone\r\n", "done"),
        ("\x1b[32mok\x1b[0m\r\n", "ok"),
        ("", ""),
    ],
)
def test_colours_and_lines_written_over_are_gone(said: str, left: str) -> None:
    assert seen(said) == left
