"""What looks like a secret leaves no text that is kept or sent, and nothing in it commands a terminal."""

from __future__ import annotations

import pytest

from tests.pace import Pace
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
        ("https://h/x?password=abc&y=1", "https://h/x?password=***&y=1"),
        ("PGPASSWORD=hunter2 psql", "PGPASSWORD=*** psql"),
        ("password='hunter 2' psql", "password=*** psql"),
        ('password="hunter 2"!x psql', "password=*** psql"),
        ("password=$ecret!", "password=***"),
        ("password='never closed", "password=***"),
        (
            "secret_key=abc AWS_SECRET_ACCESS_KEY=def x",
            "secret_key=*** AWS_SECRET_ACCESS_KEY=*** x",
        ),
        ('{"password": "a\\"b c", "port": 1}', '{"password": ***, "port": 1}'),
        ("{'token': 'abc'}", "{'token': ***}"),
        ("api_key=abc passwd=def passphrase=ghi", "api_key=*** passwd=*** passphrase=***"),
        ("password= and token: are fields", "password= and token: are fields"),
        ("Authorization:  Basic  YW5uOnBhNTU=", "Authorization:  Basic  ***"),
        ("postgresql://ann@db/x", "postgresql://ann@db/x"),
        ("postgresql://ann:pa55@word@db/x", "postgresql://***@db/x"),
        ("http://h:80/a@b and http://h:81", "http://h:80/a@b and http://h:81"),
        ("tk-short is a name", "tk-short is a name"),
        ("a\x1b[31mred\nnew", "a [31mred new"),
        ("x" * 500, "x" * 400 + "..."),
    ],
)
def test_secrets_and_commands_are_taken_out(text: str, left: str) -> None:
    assert without_secrets(text) == left


@pytest.mark.parametrize(
    "piece", [":", "@", '"', "'", "\\", "://", "token=", "bearer ", "a://b:", 'secret="']
)
def test_a_long_text_is_read_in_a_moment(piece: str, pace: Pace) -> None:
    for text in (piece * 60_000, f"://{piece * 60_000}", f'"token": "{piece * 60_000}'):
        without_secrets(text)
    assert pace() < 5.0


def test_a_command_line_has_a_bound() -> None:
    assert len(words_without_secrets(["x"] * 1000)) == 200
