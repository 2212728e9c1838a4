"""In a narrow terminal no line of any command is wider than that, those on standard error included.

What people copy and programs read stays as it is.
"""

from __future__ import annotations

import pytest

from tests.cli.shell import Prompt
from tests.cli.test_json import ON_FLEET, Fleet, no_network, on_this_machine
from toolkit.cli.terminal.table import folded_line
from toolkit.cli.views.changes import change_lines
from toolkit.domain.deployment.change import Change

__all__ = ["no_network"]

# Files and lines that go to others as they are.
WHOLE = (
    "ask", "logs", "bom", "export", "prove", "mirror", "metrics setup", "metrics show", "schedule run",
    "schedule install --to units --dry-run",
)  # fmt: skip


def wide(text: str, width: int) -> list[str]:
    """Return the lines that are too wide and have a place to fold at."""
    return [line for line in text.splitlines() if len(line) > width and len(line.split()) > 1]


@pytest.mark.parametrize("width", [40, 60])
def test_every_command_about_a_fleet_folds(
    prompt: Prompt, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    fleet = Fleet(prompt, monkeypatch, 3)
    prompt.set("COLUMNS", width)
    found: dict[str, list[str]] = {}
    for line in ON_FLEET:
        if "forget" in line:
            fleet.depart()
        if "ID" in line:
            entries = prompt("audit", "list", "--limit", "1", "--json").json()["entries"]
            line = line.replace("ID", entries[0]["id"])
        said = prompt(*line.split())
        assert said.code == 0, (line, said.out, said.err)
        lines = wide(said.err if line.startswith(WHOLE) else said.out + said.err, width)
        if lines:
            found[line] = lines
    assert found == {}


@pytest.mark.parametrize("width", [40, 60])
def test_every_command_of_this_machine_folds(
    prompt: Prompt, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    prompt.set("COLUMNS", width)
    found: dict[str, list[str]] = {}
    for line in on_this_machine(prompt, monkeypatch):
        said = prompt(*line.split())
        assert said.code == 0, (line, said.out, said.err)
        lines = wide(said.err if line.startswith(WHOLE) else said.out + said.err, width)
        if lines:
            found[line] = lines
    assert found == {}


LONG = "router_longest_answer_of_a_very_long_name"


@pytest.mark.parametrize(
    ("width", "lines"),
    [
        (
            80,
            [
                "  version  v1 -> v2",
                f"  {LONG}",
                "    - absent",
                "    + 10min",
                "  --limit  absent -> 512  [gpu1, gpu2]",
            ],
        ),
        (
            30,
            [
                "  version  v1 -> v2",
                f"  {LONG}",
                "    - absent",
                "    + 10min",
                "  --limit  [gpu1, gpu2]",
                "    - absent",
                "    + 512",
            ],
        ),
    ],
)
def test_a_long_name_takes_lines_of_its_own(width: int, lines: list[str]) -> None:
    changes = [
        Change("version", "v1", "v2"),
        Change(LONG, "", "10min"),
        Change("--limit", "", "512", hosts=("gpu1", "gpu2")),
    ]
    assert list(change_lines(changes, width)) == lines


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("short", 20, ["short"]),
        ("", 20, [""]),
        ("one two three four", 10, ["one two", "    three", "    four"]),
        ("  one two three", 10, ["  one two", "     three"]),
        ("  /var/lib/toolkit now", 10, ["  /var/lib/toolkit", "     now"]),
        ("see /var/lib/toolkit/models/x now", 12, ["see", "    /var/lib/toolkit/models/x", "    now"]),
        ("\x1b[1mone two three\x1b[0m", 8, ["\x1b[1mone two three\x1b[0m"]),
    ],
)  # fmt: skip
def test_a_line_folds_between_words(text: str, width: int, lines: list[str]) -> None:
    assert folded_line(text, width) == lines
