"""What looks like a secret leaves no text that is kept or sent, and nothing in it commands a terminal."""

from __future__ import annotations

import pytest

from toolkit.domain.trail.discretion import without_secrets, words_without_secrets


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("upgrade tiny --yes", "upgrade tiny --yes"),
        ("tk-" + "A" * 43, "***"),
        ("--token=hf_" + "b" * 34, "--token=***"),
        ("postgresql://ann:pa55@db/x", "postgresql://***@db/x"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ("https://h/x?secret=abc&y=1", "https://h/x?secret=***&y=1"),
        ("tk-short is a name", "tk-short is a name"),
        ("a\x1b[31mred\nnew", "a [31mred new"),
        ("x" * 500, "x" * 400 + "..."),
    ],
)
def test_secrets_and_commands_are_taken_out(text: str, left: str) -> None:
    assert without_secrets(text) == left


def test_a_command_line_has_a_bound() -> None:
    assert len(words_without_secrets(["x"] * 1000)) == 200
