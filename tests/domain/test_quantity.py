"""Sizes and durations as people read and write them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from toolkit.domain.quantity import (
    format_age,
    format_number,
    format_seconds,
    format_size,
    parse_size,
    part_of,
    stated_size,
    written_size,
)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0B", 0),
        ("16GiB", 16 * 2**30),
        ("15.2GB", 15_200_000_000),
        (" 500 MB ", 500_000_000),
        ("1.5KiB", 1536),
        ("2kB", 2000),
        ("1TB", 10**12),
        ("1TiB", 2**40),
    ],
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "16", "GiB", "-1GB", "16 gib", "1KB", "1e3B", "16GiB of it", "1.B"]
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size; write it like 16GiB or 500MB"):
        parse_size(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (1536, "1.54 kB"),
        (15_200_000_000, "15.2 GB"),
        (999_400, "999 kB"),
        (999_600, "1 MB"),
        (999_999_999, "1 GB"),
        (10**12, "1 TB"),
        (5 * 10**15, "5000 TB"),
    ],
)
def test_sizes_are_written(size: int, text: str) -> None:
    assert format_size(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (0.44, "0.4 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (38.2, "38 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (245, "4 min 05 s"),
        (3599.6, "1 h 00 min"),
        (7800, "2 h 10 min"),
    ],
)
def test_durations_are_written(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(30, "30 s"), (86_400, "24 h 00 min"), (172_800, "2 d"), (34.5 * 86_400, "34 d")],
)
def test_ages_are_told_in_days_from_two_days_on(seconds: float, text: str) -> None:
    assert format_age(seconds) == text


@pytest.mark.parametrize(
    ("written", "stated"),
    [
        ("3GiB", "3GiB (3.22 GB)"),
        ("1536MiB", "1536MiB (1.61 GB)"),
        ("1.5GiB", "1.5GiB (1.61 GB)"),
        ("1.50GiB", "1.50GiB (1.61 GB)"),
        (" 16 GB ", "16 GB"),
        ("16000MB", "16000MB (16 GB)"),
        ("0.1GiB", "0.1GiB (107 MB)"),
    ],
)
def test_a_size_keeps_the_unit_in_which_it_was_written(written: str, stated: str) -> None:
    size = parse_size(written)
    assert written_size(size) == written.replace(" ", "")
    assert stated_size(size) == stated_size(part_of(size, 1)) == stated


def test_a_size_that_nobody_wrote_gets_the_shortest_text() -> None:
    assert written_size(1536 * 2**20) == "1.5GiB"
    assert stated_size(part_of(parse_size("3GB"), 2)) == "1.5 GB"
    assert stated_size(123_456_789) == "123 MB"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0.00000012345", "0.000000123"),
        ("0.560", "0.560"),
        ("12.345", "12.3"),
        ("999.6", "1000"),
        ("1000", "1,000"),
        ("740313.4", "740,313"),
        ("3E+20", "300,000,000,000,000,000,000"),
    ],
)
def test_a_number_has_no_power_of_ten(value: str, text: str) -> None:
    assert format_number(Decimal(value), 3) == text
