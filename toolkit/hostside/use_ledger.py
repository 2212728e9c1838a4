"""The ledger of a host: the records of all its replicas, in files of root alone that only grow.

    <root>/use/000001.jsonl      64 MiB each; beyond 64 of them the oldest goes
    <root>/use/carried.json      what was read of each replica's files, and the place in the ledger up to which it holds

The first line of a file is `{"ledger": ID, "file": 1, "before": records in all files before it}`. A line of a replica
is kept once, because records of a run are numbered: after a crash the ledger itself is read from the place that
`carried.json` names, and tells the last number of each run. So `carried.json` may be late, and is written once the
ledger is on the disk. The holder of the lock alone writes.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import time
from collections.abc import Iterator
from typing import Any

import use_periods
from directory import Directory, make_own, open_plain
from documents import parsed
from use_prices import PARTS, Prices
from wire import Document

FOLDER, STATE, LOCK = "use", "carried.json", ".lock"
FILE_BYTES = 64 * 2**20
MOST_FILES = 64
# Runs with a known last number. Beyond that, the program with most runs loses those that were quiet for longest.
MOST_RUNS = 4096
# Names with sums of use beside those of the ring, and the new ones that a program may bring in a month.
MOST_KEYS, MOST_NEW = 20_000, 1000
_ROOT_ONLY, _ROOT_FOLDER = 0o600, 0o700
_NAME = re.compile(r"[0-9]{6,12}\.jsonl\Z")
_BLOCK = 2**20


class Ledger:
    """The ledger below `root`. Between `held` and its end it is this process's to write."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.folder = os.path.join(root, FOLDER)
        self.id, self.file, self.size, self.records = "", 0, 0, 0
        # {"PROGRAM/RUN": number of its last record}, in the order of the last records.
        self.last: dict[str, int] = {}
        # {KEY: {day: [requests, tokens], month: [requests, tokens, cost in millionths of the currency, and its rest in
        # 10^-12]}} of all replicas, for the days and months of `use_periods.py`.
        self.spent: dict[str, dict[str, list[int]]] = {}
        # {"PROGRAM/FILE": what the carrier notes of a replica's file}
        self.sources: dict[str, Document] = {}
        # The newest line of the counts of requests, without its counts: see tally_log.py.
        self.log: Document = {}
        self._saved = (0, 0)
        self._handle = -1
        self._day = (-1, "")
        self._prices = Prices(root)
        # {(PROGRAM, month): names that it brought which the ring lacks}, and the month in which room was made for them.
        self._new: dict[tuple[str, str], int] = {}
        self._made_room = ""

    @contextlib.contextmanager
    def held(self, seconds: float) -> Iterator[None]:
        """Hold the lock, with the state of this moment. Raises TimeoutError after `seconds`, NotSafe or OSError."""
        make_own(self.root, FOLDER)
        if os.lstat(self.folder).st_mode & 0o007:
            os.chmod(self.folder, _ROOT_FOLDER)
        with Directory(self.folder) as opened, opened.locked(LOCK, seconds):
            self._prices.refresh()
            self._catch_up(opened)
            try:
                yield
            finally:
                self._close()

    def learn(self) -> None:
        """Make the state that of the files, where this process has not read them yet."""
        if not self.file and files(self.folder):
            with contextlib.suppress(TimeoutError), self.held(0.0):
                pass

    def append(self, lines: list[Document]) -> None:
        """Add lines, all with one call; those with a run and a number move the run's last number."""
        if not lines:
            return
        if self.size >= FILE_BYTES:
            self._begin(self.file + 1)
        text = "".join(json.dumps(each, separators=(",", ":")) + "\n" for each in lines).encode()
        self._write(text)
        for each in lines:
            self._note(each)

    def save(self) -> None:
        """Write down what was carried, once the ledger is on the disk."""
        if self._saved == (self.file, self.size):
            return
        if self._handle < 0:
            self._open()
        os.fsync(self._handle)
        for run in _surplus(self.last):
            del self.last[run]
        now = time.time()
        text = json.dumps(
            {
                "ledger": self.id,
                "file": self.file,
                "size": self.size,
                "records": self.records,
                "last": self.last,
                "spent": {name: _stated(each, now) for name, each in self.spent.items()},
                "sources": self.sources,
                "log": self.log,
            }
        )
        with Directory(self.folder) as opened:
            opened.write(STATE, text, _ROOT_ONLY, durable=True)
        self._saved = (self.file, self.size)

    @property
    def unsaved(self) -> int:
        """Bytes of the ledger that `carried.json` does not speak of; at least 1 where there are any."""
        return self.size - self._saved[1] if self.file == self._saved[0] else self.size

    def _catch_up(self, opened: Directory) -> None:
        """Make the state that of the files, whoever has written to them and wherever it was killed."""
        known = files(self.folder)
        # A file without its first line is none yet: a full disk may have kept nothing of it.
        whole = self.size and known and known[-1] == self.file
        if whole and _size(self.folder, self.file) == self.size:
            return
        opened.sweep()
        self.last, self.sources, self.spent, self.records, self.log = {}, {}, {}, 0, {}
        self.file, self.size, self._saved, self._new = 0, 0, (0, 0), {}
        named, state = identity(self.folder), _state(opened.read(STATE))
        self.id = named or (known and state and state["ledger"]) or secrets.token_hex(8)
        if not known:
            self._begin(1)
            return
        start, records = (known[0], 0), first_line(self.folder, known[0]).get("before", 0)
        fits = state and state["ledger"] == self.id and state["file"] in known
        if state and fits and state["size"] <= _size(self.folder, state["file"]):
            start, records = (state["file"], state["size"]), state["records"]
            self.last, self.sources = state["last"], state["sources"]
            self.spent, self.log = state["spent"], state["log"]
        self._saved, self.records = start, records
        for number in known[known.index(start[0]) :]:
            self.file, self.size = number, start[1] if number == start[0] else 0
            self._read_on()
        if not self.size:
            self._mark()
        elif not named:
            self._begin(self.file + 1)

    def _read_on(self) -> None:
        """Read the file from the known size on; cut off a half line at its end."""
        handle = open_plain(_path(self.folder, self.file))
        with open(handle, "rb") as file:
            file.seek(self.size)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self.size += len(line)
                self._note(_parsed(line) or {})
        if _size(self.folder, self.file) > self.size:
            os.truncate(_path(self.folder, self.file), self.size)

    def _note(self, line: Document) -> None:
        if "tally" in line:
            self.log = {name: value for name, value in line.items() if name != "tally"}
        if "n" not in line or "counters" in line:
            return
        self.records += 1
        name = f"{line['program']}/{line['run']}"
        # At the end of the mapping, because it is the one that was quiet for the shortest time.
        self.last.pop(name, None)
        self.last[name] = line["n"]
        self._spend(line)

    def _spend(self, line: Document) -> None:
        """Add a record to what its key used in the day and the month of the record."""
        key, number = line["key"], int(line["at"] // use_periods.DAY_SECONDS)
        if number != self._day[0]:
            self._day = (number, use_periods.of_day(line["at"]))
        day = self._day[1]
        month = day[:7]
        known = self.spent.get(key)
        if known is None:
            if not self._has_room(line):
                return
            known = self.spent[key] = {}
        if day not in known or month not in known:
            known.setdefault(day, [0, 0])
            known.setdefault(month, [0, 0, 0, 0])
            use_periods.bound(known, time.time())
        tokens = (line["in"] or 0) + (line["out"] or 0)
        for period in (day, month):
            if period in known:
                known[period][0] += 1
                known[period][1] += tokens
        if month in known:
            sums = known[month]
            more, sums[3] = divmod(sums[3] + self._prices.cost(line, day), PARTS)
            sums[2] += more

    def _has_room(self, line: Document) -> bool:
        """Whether the use of a name that is new here is summed up. A replica that was taken over may have invented it.

        Each name of the ring is, and a name of the ring never gives way. Of others only so many are: a key that another
        host has got earlier, and requests without a key.
        """
        if line["key"] in self._prices.names:
            return True
        month = use_periods.of_now(time.time())[1]
        brought = self._new.get((line["program"], month), 0)
        if brought >= MOST_NEW:
            return False
        if len(self.spent) >= MOST_KEYS and self._made_room != month:
            self._made_room = month
            for name, periods in list(self.spent.items()):
                if name not in self._prices.names and month not in periods:
                    del self.spent[name]
        if len(self.spent) >= MOST_KEYS:
            return False
        self._new[line["program"], month] = brought + 1
        return True

    def _begin(self, number: int) -> None:
        self._close()
        if self.file:
            # The records before a file reach the disk before the file does.
            handle = open_plain(_path(self.folder, self.file))
            os.fsync(handle)
            os.close(handle)
        self.file, self.size = number, 0
        mark = self._first_line()
        with Directory(self.folder) as opened:
            # Whole or not at all: records in a file without its first line belong to no ledger.
            opened.write(os.path.basename(_path(self.folder, number)), mark, _ROOT_ONLY)
            opened.sync()
        self.size = len(mark.encode())
        for old in files(self.folder)[:-MOST_FILES]:
            os.unlink(_path(self.folder, old))

    def _mark(self) -> None:
        self._write(self._first_line().encode())

    def _first_line(self) -> str:
        return json.dumps({"ledger": self.id, "file": self.file, "before": self.records}) + "\n"

    def _write(self, text: bytes) -> None:
        if self._handle < 0:
            self._open()
        view = memoryview(text)
        while view:
            view = view[os.write(self._handle, view) :]
        self.size += len(text)

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_APPEND
        self._handle = os.open(_path(self.folder, self.file), flags)

    def _close(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def files(folder: str) -> list[int]:
    """Return the numbers of the ledger's files in their order."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    return sorted(int(name.partition(".")[0]) for name in names if _NAME.match(name))


def first_line(folder: str, number: int) -> Document:
    """Return the first line of a file; an empty document where it is not there."""
    try:
        with open(open_plain(_path(folder, number)), "rb") as file:
            return _parsed(file.readline(_BLOCK)) or {}
    except OSError:
        return {}


def identity(folder: str) -> str:
    """Return the id of this ledger, empty where there is none yet."""
    marks = (first_line(folder, number).get("ledger", "") for number in files(folder))
    return next((each for each in marks if each), "")


def opened(folder: str, number: int) -> int:
    """Return a descriptor for reading a file of the ledger. Raises OSError."""
    return open_plain(_path(folder, number))


def _surplus(last: dict[str, int]) -> list[str]:
    """Return the runs beyond the bound: the first ones of the program that has most, again and again."""
    runs: dict[str, list[str]] = {}
    for name in reversed(last):
        runs.setdefault(name.partition("/")[0], []).append(name)
    return [max(runs.values(), key=len).pop() for _ in range(len(last) - MOST_RUNS)]


def _stated(periods: dict[str, list[int]], now: float) -> list[Any]:
    """Return the entry of a key in `carried.json`: day, month, the sums of both, and the sums of other periods.

    A watch of an older toolkit reads all but the last, and writes it no more.
    """
    day, month = use_periods.shown(periods, now)
    beside = {name: sums for name, sums in periods.items() if name not in (day, month)}
    return [day, month, *periods.get(day, [0] * 2), *periods.get(month, [0] * 4), beside]


def _state(text: Any) -> Document | None:
    """Return the content of `carried.json`; None where it cannot be read, and then the ledger itself has the state."""
    found = _parsed(text)
    if not found:
        return None
    try:
        return {
            "ledger": str(found["ledger"]),
            **{name: _whole(found[name]) for name in ("file", "size", "records")},
            "last": {name: _whole(each) for name, each in found["last"].items()},
            "sources": {name: dict(each) for name, each in found["sources"].items()},
            # An older toolkit wrote neither.
            "spent": {name: _taken(each) for name, each in found.get("spent", {}).items()},
            "log": dict(found.get("log", {})),
        }
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _whole(found: Any) -> int:
    if type(found) is not int:
        raise ValueError("no number")
    return found


def _taken(given: list[Any]) -> dict[str, list[int]]:
    """Return the sums of a key by period from what `_stated` returned, or an older toolkit: one without costs, too."""
    day, month, *sums = [*given[:8], 0, 0][:8]
    beside = given[8] if len(given) > 8 else {}
    found = {**beside, day: sums[:2], month: sums[2:]}
    return {period: list(map(_whole, used)) for period, used in found.items() if any(used)}


def _path(folder: str, number: int) -> str:
    return os.path.join(folder, f"{number:06d}.jsonl")


def _size(folder: str, number: int) -> int:
    try:
        return os.lstat(_path(folder, number)).st_size
    except FileNotFoundError:
        return -1


def _parsed(text: Any) -> Document | None:
    try:
        found = parsed(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
