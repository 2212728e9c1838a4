"""One form for every moment that a person reads."""

from __future__ import annotations

import ast
import time
from pathlib import Path

import pytest

from toolkit.domain.moment import moment_text

ROOT = Path(__file__).parents[2] / "toolkit"
# What shows times in the zone of its reader or its file, and says so.
OTHERWISE = {
    # A schedule's windows are of the zone that its file names, which stands behind each of its times.
    "planning/upkeep/windows.py",
    "cli/views/schedule.py",
    # A page has one zone, UTC, and names it once.
    "cli/views/report/parts.py",
    "cli/views/report/charts.py",
    # Documents and files of others, with the forms that these demand.
    "planning/evidence/bom.py",
    "config/costs/meter.py",
    "adapters/mirror/source.py",
    "adapters/store/store.py",
    "workflows/use/collect.py",
}


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York"])
def test_a_moment_is_in_utc_and_says_so_whatever_the_machines_zone_is(
    zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert moment_text(1_796_086_800.9) == "2026-12-01 01:00:00 UTC"
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("at", "shown"),
    [
        (0, "1970-01-01 00:00:00 UTC"),
        (-62_000_000_000, "0005-04-19 09:46:40 UTC"),
        (1e300, "?"),
        (float("nan"), "?"),
        (float("inf"), "?"),
        (-1e12, "?"),
    ],
)
def test_a_moment_beyond_all_years_is_a_question_mark(at: float, shown: str) -> None:
    assert moment_text(at) == shown


def test_no_other_place_writes_a_moment_in_a_form_of_its_own() -> None:
    """Local time is printed nowhere, and UTC only by the one function or by a place with a reason."""
    found = set()
    for path in ROOT.rglob("*.py"):
        name = path.relative_to(ROOT).as_posix()
        if name.startswith("hostside/") or name == "domain/moment.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if _formats_a_time(node):
                found.add(name)
    assert found <= OTHERWISE


def _formats_a_time(node: ast.AST) -> bool:
    if isinstance(node, ast.FormattedValue) and node.format_spec is not None:
        return "%H" in ast.unparse(node.format_spec)
    return isinstance(node, ast.Attribute) and node.attr in {"strftime", "localtime", "ctime"}
