"""What hints about a schedule say: what may stand in a place, and where the names are listed."""

from __future__ import annotations

from collections.abc import Mapping

from toolkit.config.yaml_text import Where

EXAMPLE = "docs/scheduling.md has an example"
# The command that lists the names that are too many for a hint.
LISTED = {"time zone": "timedatectl list-timezones", "model": "toolkit registry list"}
_A_WINDOW = "{days: [tue, thu], from: 02:00, for: 3h}"
# Shorter values that may replace a mapping or a list, by the path of keys; `*` is any name.
_WRITTEN: Mapping[Where, str] = {
    (): f"write `windows: {{night: {_A_WINDOW}}}`",
    ("windows",): f"write `windows: {{night: {_A_WINDOW}}}`",
    ("windows", "*"): f"write the window like {_A_WINDOW}",
    ("windows", "*", "days"): "write `days: [tue, thu]`",
    ("windows", "*", "dates"): "write `dates: [2026-12-01]`",
    ("blackouts",): "write `blackouts: [2026-12-24, 2026-12-30..2027-01-02]`",
    ("models",): "write `models: {my-model: {policy: auto}}`",
    ("models", "*"): "write it like {policy: auto, soak: 3d}",
    ("models", "*", "windows"): "write `windows: [night]`, with names from `windows:` above",
    ("warm",): "write `warm: {my-model: {days: [mon, fri], from: 08:00, for: 10h}}`",
    ("warm", "*"): "write it like {days: [mon, fri], from: 08:00, for: 10h}",
    ("warm", "*", "days"): "write `days: [mon, fri]`",
    ("warm", "*", "dates"): "write `dates: [2026-12-01]`",
    ("warm", "*", "in_turn_with"): "write `in_turn_with: [other-model]`",
}


def example_of(where: Where) -> str:
    """Return what to write in the place of a mapping or a list."""
    return _WRITTEN[tuple("*" if place == 1 else key for place, key in enumerate(where))]


def in_words(seconds: float) -> str:
    """Return a duration as a schedule has it."""
    if seconds % 86_400 == 0 and seconds:
        return f"{seconds / 86_400:g}d"
    return f"{seconds / 60:g}min"
