"""Read a file of meter readings: CSV with `at,host,kwh`, a counter of kilowatt hours for each host."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from toolkit.config.text_file import read_text
from toolkit.domain.costs.economics import Interval, Metered
from toolkit.errors import InputError

MAX_BYTES = 2**26
HEADER = ("at", "host", "kwh")
# A longer stretch between two readings is named: its energy counts, but nobody knows when in it it flowed.
LONG = 26 * 3600
# The clocks of two machines may differ by so much.
AHEAD = 3600
_KWH = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?")
_UNIX = re.compile(r"[0-9]{9,11}(\.[0-9]{1,9})?")
_HINT = "write lines like 2026-11-02T00:00:00Z,gpu1,1234.5 below the line at,host,kwh"


@dataclass(frozen=True, slots=True)
class Readings:
    """The energy between readings, remarks on them, and the hosts that have any."""

    metered: tuple[Metered, ...] = ()
    notes: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


def load_readings(path: Path, now: float) -> Readings:
    """Return the readings in the file `path`, as it is read at `now`; raises InputError with file and line."""
    return parse_readings(path, read_text(path, limit=MAX_BYTES, hint=_HINT), now)


def parse_readings(path: Path, text: str, now: float = math.inf) -> Readings:
    """Return the readings in `text`, the content of `path`.

    A counter that falls began anew at 0, which is said. Raises InputError with the line for what is no reading, for a
    last line that was cut, for a reading that is not later than the one before of its host, and for one of a time
    that has not come: what would flow until then would count as measured.
    """
    if text and not text.endswith("\n"):
        raise _fault(path, text.count("\n") + 1, "the last line has no end: it was cut")
    parser = _Parser(path, now)
    # Spreadsheets write a mark of the encoding first.
    rows = list(_rows(path, text.removeprefix("\ufeff")))
    if not rows or tuple(rows[0][1]) != HEADER:
        raise _fault(path, 1, "the first line is not `at,host,kwh`")
    for line, row in rows[1:]:
        parser.add(line, row)
    return Readings(tuple(parser.found), tuple(parser.notes), tuple(parser.last))


@dataclass(frozen=True, slots=True)
class Reading:
    """A reading of a counter: a line of the file. `at` is in whole seconds since the epoch, `kwh` as it is written."""

    at: int
    host: str
    kwh: str


def reading_line(host: str, at: float, joules: float) -> Reading:
    """Return the reading of a counter of `joules`."""
    return Reading(int(at), host, f"{Decimal(repr(joules)) / 3_600_000:.6f}")


def append_readings(path: Path, readings: Sequence[Reading], now: float) -> None:
    """Add readings to the file `path`, which is made where it is missing.

    Raises InputError, and writes nothing, where the file would not be one of readings, such as after a clock went back.
    """
    there = read_text(path, limit=MAX_BYTES) if path.exists() else ",".join(HEADER) + "\n"
    lines = "".join(
        f"{datetime.fromtimestamp(each.at, UTC):%Y-%m-%dT%H:%M:%SZ},{each.host},{each.kwh}\n"
        for each in readings
    )
    parse_readings(path, there + lines, now)
    if not path.exists():
        lines = there + lines
    with path.open("a", encoding="utf-8") as file:
        file.write(lines)


@dataclass(slots=True)
class _Parser:
    path: Path
    now: float
    last: dict[str, tuple[int, Decimal]] = field(default_factory=dict)
    found: list[Metered] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, line: int, row: list[str]) -> None:
        if len(row) != len(HEADER):
            raise _fault(self.path, line, f"{len(row)} values, not {len(HEADER)}")
        at, host, counter = self._moment(line, row[0]), row[1], row[2]
        if not host or not host.isprintable() or len(host) > 128:
            raise _fault(self.path, line, "the reading has no host")
        if not _KWH.fullmatch(counter):
            raise _fault(self.path, line, f"{ascii(counter)[:40]} is no number of kilowatt hours")
        if at > self.now + AHEAD:
            raise _fault(
                self.path, line, f"the reading of {host} is of a time that has not come yet"
            )
        kwh = Decimal(counter)
        if host in self.last:
            before, count = self.last[host]
            if at == before:
                raise _fault(self.path, line, f"a second reading of {host} for the same time")
            if at < before:
                raise _fault(
                    self.path,
                    line,
                    f"the reading of {host} is not later than the one before: a clock went back",
                )
            if kwh < count:
                self.notes.append(f"{self.path}:{line}: the counter of {host} began anew")
                count = Decimal(0)
            if at - before > LONG:
                self.notes.append(
                    f"{self.path}:{line}: {(at - before) / 3600:.0f} h of {host} without a reading"
                )
            self.found.append(Metered(host, Interval(before, at), kwh - count))
        self.last[host] = at, kwh

    def _moment(self, line: int, text: str) -> int:
        if _UNIX.fullmatch(text):
            return int(float(text))
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            raise _fault(self.path, line, f"{ascii(text)[:40]} is no time") from None
        if found.tzinfo is None:
            raise _fault(self.path, line, f"{ascii(text)[:40]} has no time zone")
        return int(found.timestamp())


def _rows(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(text.splitlines(), strict=True)
    try:
        for row in reader:
            if row:
                yield reader.line_num, [each.strip() for each in row]
    except csv.Error as error:
        raise _fault(path, reader.line_num, f"no CSV: {error}") from None


def _fault(path: Path, line: int, message: str) -> InputError:
    return InputError(f"{path}:{line}: {message}", hint=_HINT)
