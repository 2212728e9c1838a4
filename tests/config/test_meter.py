"""Readings of meters: the energy between them, and each fault with its line."""

from __future__ import annotations

import math
from decimal import Decimal
from pathlib import Path

import pytest

from toolkit.config.costs.meter import append_readings, load_readings, parse_readings, reading_line
from toolkit.domain.costs.economics import Interval, Metered
from toolkit.errors import InputError

HEAD = "at,host,kwh\n"
HOUR = 3600


def test_the_energy_between_readings_is_what_the_counter_went_up_by() -> None:
    text = (
        HEAD + "1000000000,a,5\n1000003600,b,1.5\n\n2001-09-09T02:46:40Z,a,5.25\n1000007200,b,1.5\n"
    )
    found = parse_readings(Path("m.csv"), text)
    assert found.metered == (
        Metered("a", Interval(10**9, 10**9 + HOUR), Decimal("0.25")),
        Metered("b", Interval(10**9 + HOUR, 10**9 + 2 * HOUR), Decimal(0)),
    )
    assert found.notes == ()


def test_a_file_from_a_spreadsheet_begins_with_a_mark_and_is_read() -> None:
    text = HEAD + "1000000000,a,5\n1000003600,a,6\n"
    assert parse_readings(Path("m.csv"), f"\ufeff{text}") == parse_readings(Path("m.csv"), text)


def test_a_counter_that_began_anew_and_a_long_gap_are_said() -> None:
    text = (
        HEAD
        + "2026-11-02T00:00:00Z,a,500\n2026-11-02T12:00:00+01:00,a,3\n2026-11-05T00:00:00Z,a,4\n"
    )
    found = parse_readings(Path("m.csv"), text)
    assert [each.kwh for each in found.metered] == [3, 1]
    assert found.notes == (
        "m.csv:3: the counter of a began anew",
        "m.csv:4: 61 h of a without a reading",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "m.csv:1: the first line is not `at,host,kwh`"),
        ("at,kwh\n", "m.csv:1: the first line is not `at,host,kwh`"),
        (HEAD + "2026-11-02T00:00:00Z,a,5", "m.csv:2: the last line has no end: it was cut"),
        (HEAD + "2026-11-02T00:00:00Z,a\n", "m.csv:2: 2 values, not 3"),
        (HEAD + "2026-11-02T00:00:00,a,5\n", "m.csv:2: '2026-11-02T00:00:00' has no time zone"),
        (HEAD + "yesterday,a,5\n", "m.csv:2: 'yesterday' is no time"),
        (HEAD + "2026-11-02T00:00:00Z,,5\n", "m.csv:2: the reading has no host"),
        (HEAD + "2026-11-02T00:00:00Z,a,-5\n", "m.csv:2: '-5' is no number of kilowatt hours"),
        (HEAD + "2026-11-02T00:00:00Z,a,nan\n", "m.csv:2: 'nan' is no number of kilowatt hours"),
        (HEAD + "1000000000,a,5\n999999999,a,6\n",
         "m.csv:3: the reading of a is not later than the one before: a clock went back"),
        (HEAD + "1000000000,a,5\n1000000000,a,5\n", "m.csv:3: a second reading of a for the same time"),
        (HEAD + "1000000000,a,5\n2000003601,a,6\n",
         "m.csv:3: the reading of a is of a time that has not come yet"),
        (HEAD + '1000000000,"a,5\n', "m.csv:2: no CSV: unexpected end of data"),
    ],
)  # fmt: skip
def test_a_fault_has_its_line(text: str, message: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_readings(Path("m.csv"), text, now=2_000_000_000)
    assert refused.value.message == message
    assert refused.value.hint


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.csv does not exist"):
        load_readings(tmp_path / "absent.csv", math.inf)


def test_readings_are_added_to_a_file(tmp_path: Path) -> None:
    path = tmp_path / "readings.csv"
    append_readings(path, [reading_line("a", 1_762_041_600.9, 3_600_000.0)], math.inf)
    append_readings(path, [reading_line("a", 1_762_045_200.0, 5_400_000.0)], math.inf)
    assert (
        path.read_text()
        == HEAD + "2025-11-02T00:00:00Z,a,1.000000\n2025-11-02T01:00:00Z,a,1.500000\n"
    )
    assert [each.kwh for each in load_readings(path, math.inf).metered] == [Decimal("0.5")]
    before = path.read_text()
    with pytest.raises(InputError, match="a clock went back"):
        append_readings(path, [reading_line("a", 1_762_041_600.0, 9.0)], math.inf)
    assert path.read_text() == before


def test_a_file_of_something_else_gets_no_readings(tmp_path: Path) -> None:
    path = tmp_path / "costs.yaml"
    path.write_text("currency: EUR\n")
    with pytest.raises(InputError, match="the first line is not"):
        append_readings(path, [reading_line("a", 1_762_041_600.0, 9.0)], math.inf)
    assert path.read_text() == "currency: EUR\n"
