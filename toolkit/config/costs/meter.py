"""Read a file of meter readings: CSV with `at,host,kwh,devices`, a counter of kilowatt hours for each host.

`devices` are the counters of its devices where they have their own, such as `GPU-1a2b=100.5 GPU-3c4d=99`. The column
may be missing or empty.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from toolkit.config.text_file import in_turn, read_text
from toolkit.domain.costs.economics import STEP, Interval, Metered
from toolkit.errors import InputError

MAX_BYTES = 2**26
HEADER = ("at", "host", "kwh", "devices")
# Files from before devices had names, and those of other meters.
NARROW = HEADER[:3]
# A longer stretch between two readings is named: its energy counts, but nobody knows when in it it flowed.
LONG = 26 * 3600
# The clocks of two machines may differ by so much.
AHEAD = 3600
# A device draws no more, and a host has no more devices.
_KW = Decimal(2)
_DEVICES = 256
_KWH = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?")
_DEVICE = re.compile(r"([A-Za-z0-9._:-]{1,96})=([0-9]{1,12}(?:\.[0-9]{1,12})?)")
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

    Each device counts on its own. The energy of a stretch is not known where a counter falls or comes back, the devices
    change, or a counter rises by more than the devices draw: the stretch is left out, as if nothing had been read, and
    that is said. Raises InputError with the line for what is no reading, for a last line that was cut, for a reading
    that is not later than the one before of its host, and for one of a time that has not come: what would flow until
    then would count as measured.
    """
    if text and not text.endswith("\n"):
        raise _fault(path, text.count("\n") + 1, "the last line has no end: it was cut")
    parser = _Parser(path, now)
    # Spreadsheets write a mark of the encoding first.
    rows = list(_rows(path, text.removeprefix("\ufeff")))
    if not rows or tuple(rows[0][1]) not in (HEADER, NARROW):
        raise _fault(path, 1, "the first line is not `at,host,kwh`")
    for line, row in rows[1:]:
        parser.add(line, row)
    return Readings(tuple(parser.found), tuple(parser.notes), tuple(parser.last))


@dataclass(frozen=True, slots=True)
class Reading:
    """A reading of a counter: a line of the file. `at` is in seconds since the epoch, the rest as it is written."""

    at: int
    host: str
    kwh: str
    devices: str = ""


def reading_line(
    host: str, at: float, joules: float, counters: Mapping[str, float] | None = None
) -> Reading:
    """Return the reading of a counter of `joules`, the sum of the `counters` of devices by their names.

    `at` is in seconds since the epoch.
    """
    devices = sorted((counters or {}).items())
    return Reading(
        int(at),
        host,
        _written(joules),
        " ".join(f"{name}={_written(each)}" for name, each in devices),
    )


def _written(joules: float) -> str:
    return f"{Decimal(repr(joules)) / 3_600_000:.6f}"


def append_readings(path: Path, readings: Sequence[Reading], now: float) -> None:
    """Add readings to the file `path`, which is made where it is missing.

    Raises InputError, and writes nothing, where the file would not be one of readings, such as after a clock went back.
    `now` is in seconds since the epoch.
    """
    with in_turn(path):
        _append(path, readings, now)


def _append(path: Path, readings: Sequence[Reading], now: float) -> None:
    there = read_text(path, limit=MAX_BYTES) if path.exists() else ",".join(HEADER) + "\n"
    narrow = tuple(there.partition("\n")[0].removeprefix("\ufeff").split(",")) == NARROW
    lines = "".join(
        f"{datetime.fromtimestamp(each.at, UTC):%Y-%m-%dT%H:%M:%SZ},{each.host},{each.kwh}"
        + ("\n" if narrow and not each.devices else f",{each.devices}\n")
        for each in readings
    )
    parse_readings(path, there + lines, now)
    if not path.exists():
        lines = there + lines
    with path.open("a", encoding="utf-8") as file:
        file.write(lines)


@dataclass(frozen=True, slots=True)
class _Count:
    """A reading: a host's sum in kilowatt hours, and the counters of its devices where they are known."""

    at: int
    kwh: Decimal
    devices: Mapping[str, Decimal]


@dataclass(slots=True)
class _Parser:
    path: Path
    now: float
    last: dict[str, _Count] = field(default_factory=dict)
    # Host -> by how much its sums fell: one later step may bring a lost amount back.
    fallen: dict[str, list[Decimal]] = field(default_factory=dict)
    found: list[Metered] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, line: int, row: list[str]) -> None:
        if len(row) not in (len(NARROW), len(HEADER)):
            raise _fault(self.path, line, f"{len(row)} values, not 3 or 4")
        at, host, counter = self._moment(line, row[0]), row[1], row[2]
        if not host or not host.isprintable() or len(host) > 128:
            raise _fault(self.path, line, "the reading has no host")
        if not _KWH.fullmatch(counter):
            raise _fault(self.path, line, f"{ascii(counter)[:40]} is no number of kilowatt hours")
        if at > self.now + AHEAD:
            raise _fault(
                self.path, line, f"the reading of {host} is of a time that has not come yet"
            )
        devices = self._devices(line, row[3]) if len(row) == len(HEADER) else {}
        now = _Count(at, Decimal(counter), devices)
        if host in self.last:
            self._between(line, host, self.last[host], now)
        self.last[host] = now

    def _between(self, line: int, host: str, before: _Count, now: _Count) -> None:
        """Add the energy between two readings of a host, or say why it is not known."""
        if now.at == before.at:
            raise _fault(self.path, line, f"a second reading of {host} for the same time")
        if now.at < before.at:
            raise _fault(
                self.path,
                line,
                f"the reading of {host} is not later than the one before: a clock went back",
            )
        hours = Decimal(now.at - before.at) / 3600
        why = _unknown(host, before, now, hours)
        if not why and not _named(before, now):
            why = self._came_back(host, _risen(before, now))
        if why:
            if not _named(before, now) and now.kwh < before.kwh:
                self.fallen.setdefault(host, []).append(before.kwh - now.kwh)
            words = f"{why}: the {hours:.1f} h before count as without a reading"
            self.notes.append(f"{self.path}:{line}: {words}")
            return
        if now.at - before.at > LONG:
            self.notes.append(f"{self.path}:{line}: {hours:.0f} h of {host} without a reading")
        self.found.append(Metered(host, Interval(before.at, now.at), _risen(before, now)))

    def _came_back(self, host: str, risen: Decimal) -> str:
        """Return the rise of a sum of unnamed counters where lost devices may be back, else nothing."""
        fallen = self.fallen.get(host, ())
        left = [each for each in fallen if each > risen]
        if len(left) == len(fallen):
            return ""
        self.fallen[host] = left
        return f"the counter of {host} rose by {risen} kWh, by no less than it fell before"

    def _devices(self, line: int, text: str) -> dict[str, Decimal]:
        found: dict[str, Decimal] = {}
        for each in text.split():
            counted = _DEVICE.fullmatch(each)
            if not counted:
                raise _fault(self.path, line, f"{ascii(each)[:40]} is no counter of a device")
            if counted[1] in found:
                raise _fault(self.path, line, f"two counters of the device {counted[1]!r}")
            found[counted[1]] = Decimal(counted[2])
        return found

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


def _unknown(host: str, before: _Count, now: _Count, hours: Decimal) -> str:
    """Return why nobody knows the energy between two readings; empty where it is known."""
    if _named(before, now):
        if before.devices.keys() != now.devices.keys():
            return f"the devices of {host} are others than before"
        for name, kwh in now.devices.items():
            if kwh < before.devices[name]:
                return f"the counter of {name} at {host} fell"
    elif now.kwh < before.kwh:
        # It began anew at 0, or is the sum of fewer devices: then most of it is older than the reading before.
        return f"the counter of {host} fell"
    number, risen = len(now.devices or before.devices) or _DEVICES, _risen(before, now)
    if risen > number * _KW * hours + STEP:
        return f"the counter of {host} rose by {risen} kWh, more than {number} devices draw"
    return ""


def _named(before: _Count, now: _Count) -> bool:
    return bool(before.devices and now.devices)


def _risen(before: _Count, now: _Count) -> Decimal:
    if _named(before, now):
        return sum((kwh - before.devices[name] for name, kwh in now.devices.items()), Decimal(0))
    return now.kwh - before.kwh


def _rows(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    # With their ends: a quoted value that goes on in the next line is not the two parts as one.
    reader = csv.reader(text.splitlines(keepends=True), strict=True)
    try:
        for row in reader:
            if row:
                yield reader.line_num, [each.strip() for each in row]
    except csv.Error as error:
        raise _fault(path, reader.line_num, f"no CSV: {error}") from None


def _fault(path: Path, line: int, message: str) -> InputError:
    return InputError(f"{path}:{line}: {message}", hint=_HINT)
