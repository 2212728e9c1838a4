"""Readings of meters: the energy between them, and each fault with its line."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
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


def test_a_stretch_in_which_a_counter_fell_is_a_gap_and_is_said_and_so_is_a_long_one() -> None:
    """Nobody knows whether the counter began anew at 0, or is the sum of fewer ones: 3 kWh is no energy."""
    text = (
        HEAD
        + "2026-11-02T00:00:00Z,a,500\n2026-11-02T12:00:00+01:00,a,3\n2026-11-05T00:00:00Z,a,4\n"
    )
    found = parse_readings(Path("m.csv"), text)
    (only,) = found.metered
    assert (only.kwh, only.span.seconds) == (1, 61 * HOUR)
    assert found.notes == (
        "m.csv:3: the counter of a fell: the 11.0 h before count as without a reading",
        "m.csv:4: 61 h of a without a reading",
    )


def lines(*readings: str) -> str:
    """Return a file with a reading of g for each hour."""
    rows = (f"2026-11-02T{hour:02}:00:00Z,g,{each}\n" for hour, each in enumerate(readings))
    return "at,host,kwh,devices\n" + "".join(rows)


@pytest.mark.parametrize(
    ("readings", "kwh", "why"),
    [
        # Each of two devices on its own: 1.5 + 0.5 kWh, then 1 + 0.
        (("30,b=20 a=10", "32,a=11.5 b=20.5", "33,a=12.5 b=20.5"), "2.0 1.0", ()),
        # One of three is gone for a reading. In the hour in which it was there at both ends it counts again.
        (
            ("6000,a=1000 b=2000 c=3000", "3002,a=1001 b=2001", "6005,a=1001.5 b=2001.5 c=3002",
             "6007,a=1002 b=2002.5 c=3002.5"),
            "2.0",
            (
                "m.csv:3: the devices of g are others than before: the 1.0 h before count as without a reading",
                "m.csv:4: the devices of g are others than before: the 1.0 h before count as without a reading",
            ),
        ),
        # A device was replaced by one that counted more: the sum rises.
        (
            ("30,a=10 b=20", "60,a=11 c=49"),
            "",
            ("m.csv:3: the devices of g are others than before: the 1.0 h before count as without a reading",),
        ),
        # A counter that began anew is hidden by what the other one counted: 0.1 + 13 kWh are more than 0.2 + 12.
        (
            ("12.2,a=0.2 b=12", "13.1,a=0.1 b=13"),
            "",
            ("m.csv:3: the counter of a at g fell: the 1.0 h before count as without a reading",),
        ),
        # Two devices draw 4 kW at most, 4 kWh in an hour, and a counter may have steps of 1 kWh: 5 are allowed.
        (("30,a=10 b=20", "35,a=15 b=20"), "5", ()),
        (
            ("30,a=10 b=20", "35.1,a=15 b=20.1"),
            "",
            ("m.csv:3: the counter of g rose by 5.1 kWh, more than 2 devices draw: "
             "the 1.0 h before count as without a reading",),
        ),
        # The names of devices are known of one reading alone: the sums count, as of a file without names.
        (("30", "32,a=12 b=20", "33,a=12.5 b=20.5"), "2 1.0", ()),
        # Without names: a device with 100 of 800 kWh is gone for two readings, and what it counted is no energy.
        (
            ("800", "701", "708", "816", "824"),
            "7 8",
            (
                "m.csv:3: the counter of g fell: the 1.0 h before count as without a reading",
                "m.csv:5: the counter of g rose by 108 kWh, by no less than it fell before: "
                "the 1.0 h before count as without a reading",
            ),
        ),
        # A counter that began anew at 0 passes its former value step by step.
        (
            ("5", "2", "4", "6", "8"),
            "2 2 2",
            ("m.csv:3: the counter of g fell: the 1.0 h before count as without a reading",),
        ),
        # Without names, 256 devices are the most that a host has: 512 kWh in an hour, and one.
        (("1", "514"), "513", ()),
        (
            ("1", "514.1"),
            "",
            ("m.csv:3: the counter of g rose by 513.1 kWh, more than 256 devices draw: "
             "the 1.0 h before count as without a reading",),
        ),
    ],
)  # fmt: skip
def test_devices_count_each_on_its_own(
    readings: tuple[str, ...], kwh: str, why: tuple[str, ...]
) -> None:
    found = parse_readings(Path("m.csv"), lines(*readings))
    assert " ".join(str(each.kwh) for each in found.metered) == kwh
    assert found.notes == why


def test_a_file_from_before_devices_had_names_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "readings.csv"
    path.write_text(HEAD + "2025-11-02T00:00:00Z,a,1.000000\n")
    for hour, joules in ((1, 5_400_000.0), (2, 7_200_000.0)):
        line = reading_line("a", 1_762_041_600.0 + hour * HOUR, joules, {"x": joules})
        append_readings(path, [line], math.inf)
    assert path.read_text().splitlines()[2:] == [
        "2025-11-02T01:00:00Z,a,1.500000,x=1.500000",
        "2025-11-02T02:00:00Z,a,2.000000,x=2.000000",
    ]
    found = load_readings(path, math.inf)
    assert [each.kwh for each in found.metered] == [Decimal("0.5"), Decimal("0.5")]
    assert found.notes == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "m.csv:1: the first line is not `at,host,kwh`"),
        ("at,kwh\n", "m.csv:1: the first line is not `at,host,kwh`"),
        (HEAD + "2026-11-02T00:00:00Z,a,5", "m.csv:2: the last line has no end: it was cut"),
        (HEAD + "2026-11-02T00:00:00Z,a\n", "m.csv:2: 2 values, not 3 or 4"),
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
        (HEAD + "1000000000,a,5,x=5,7\n", "m.csv:2: 5 values, not 3 or 4"),
        (HEAD + "1000000000,a,5,x\n", "m.csv:2: 'x' is no counter of a device"),
        (HEAD + "1000000000,a,5,x=-1\n", "m.csv:2: 'x=-1' is no counter of a device"),
        (HEAD + "1000000000,a,5,x=2 x=3\n", "m.csv:2: two counters of the device 'x'"),
        (HEAD + '1000000000,"a,5\n', "m.csv:2: no CSV: unexpected end of data"),
        (HEAD + '1000000000,"a\nb",5\n', "m.csv:3: the reading has no host"),
        (HEAD + '1000000000,a,"5\n1"\n', "m.csv:3: '5\\n1' is no number of kilowatt hours"),
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
    two = {"GPU-2": 1_800_000.0, "GPU-1": 3_600_000.0}
    append_readings(path, [reading_line("a", 1_762_045_200.0, 5_400_000.0, two)], math.inf)
    assert path.read_text() == (
        "at,host,kwh,devices\n"
        "2025-11-02T00:00:00Z,a,1.000000,\n"
        "2025-11-02T01:00:00Z,a,1.500000,GPU-1=1.000000 GPU-2=0.500000\n"
    )
    assert [each.kwh for each in load_readings(path, math.inf).metered] == [Decimal("0.5")]
    before = path.read_text()
    with pytest.raises(InputError, match="a clock went back"):
        append_readings(path, [reading_line("a", 1_762_041_600.0, 9.0)], math.inf)
    assert path.read_text() == before


def test_commands_that_add_readings_at_once_write_one_file(tmp_path: Path) -> None:
    path, many = tmp_path / "readings.csv", 16

    def add(number: int) -> None:
        append_readings(path, [reading_line(f"h{number}", 1_762_041_600.0, 9.0)], math.inf)

    with ThreadPoolExecutor(many) as pool:
        list(pool.map(add, range(many)))
    assert path.read_text().startswith("at,host,kwh,devices\n")
    assert len(load_readings(path, math.inf).hosts) == many


def test_a_file_of_something_else_gets_no_readings(tmp_path: Path) -> None:
    path = tmp_path / "costs.yaml"
    path.write_text("currency: EUR\n")
    with pytest.raises(InputError, match="the first line is not"):
        append_readings(path, [reading_line("a", 1_762_041_600.0, 9.0)], math.inf)
    assert path.read_text() == "currency: EUR\n"
