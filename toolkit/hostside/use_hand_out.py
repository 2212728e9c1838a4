"""Hand out what is new in the ledger of this host: summed up, within bounds, from the place where the last part ended.

Nothing is noted here: who asks keeps the place. So several ops machines read one ledger, and none misses a thing.
"""

from __future__ import annotations

import os
import time
from typing import Any

import use_ledger
from documents import parsed
from tally import Tallies
from wire import Document

# Bytes of the ledger in one answer.
MOST_BYTES = 2**23


def hand_out(root: str, place: Document, most: int = MOST_BYTES) -> Document:
    """Return the sums of the lines from `place` on: {"ledger", "file", "offset"}.

    The answer is {"ledger", "start", "end", "rows", "runs", "refused", "before", "more"}, with what `Tallies` tells;
    `use_row.py` says what a row is.
    `start` is `place`, or the beginning of the ledger where `place` is of another one; `ledger` is empty where there is
    none. `before` says how many records came before, where the ledger does not hold on to `start`; else it is None.
    Where the ledger never had `place`, its disk was set back to an earlier state, `set_back` is there, and the part
    goes to the end with nothing in it: nothing here says which lines were handed out before. The caller knows by the
    numbers of the records: with {"last": {"PROGRAM/RUN": number}} in `place`, the answer has `after_last`, and of each
    run what came after its number. Counts of the router's log and refused lines have no number and are left out.
    Raises ValueError where nothing in the ledger says which one it is.
    """
    folder = os.path.join(root, use_ledger.FOLDER)
    known = use_ledger.files(folder)
    ledger = use_ledger.identity(folder)
    if known and not ledger:
        raise ValueError(
            "the ledger of this host has lost its first line; its watch writes another one"
        )
    last = place.get("last")
    if place["ledger"] != ledger:
        place = {"ledger": ledger, "file": 0, "offset": 0}
    sums = _Sums(last)
    file, offset, before, more = int(place["file"]), int(place["offset"]), None, False
    if known and file < known[0]:
        file, offset = known[0], 0
        before = int(use_ledger.first_line(folder, file).get("before", 0))
    set_back = _is_beyond(folder, known, file, offset)
    if set_back:
        file, offset = known[-1], _end(folder, known[-1])
    for number in known:
        if number < file or set_back:
            continue
        if number > file:
            file, offset = number, 0
        taken, size = _read(folder, number, offset, most, sums)
        offset, most = offset + taken, most - taken
        if most <= 0:
            more = offset < size or number != known[-1]
            break
    return {
        "ledger": ledger,
        "start": {"file": int(place["file"]), "offset": int(place["offset"])},
        "end": {"file": file, "offset": offset},
        "rows": [[*kind, *values] for kind, values in sums.rows.items()],
        "runs": list(sums.runs.values()),
        "refused": sums.refused,
        "before": before,
        "more": more,
        **({"set_back": True} if set_back else {}),
        **({} if last is None else {"after_last": True}),
        **sums.tallies.told(),
    }


def _is_beyond(folder: str, known: list[int], file: int, offset: int) -> bool:
    """Whether the ledger does not have the end of a line at this place; its first files may have been dropped."""
    if not known or file < known[0]:
        return False
    if file > known[-1]:
        return True
    if file not in known or not offset:
        return False
    with open(use_ledger.opened(folder, file), "rb") as opened:
        opened.seek(offset - 1)
        return opened.read(1) != b"\n"


def _end(folder: str, number: int) -> int:
    """Return the bytes of a file's whole lines."""
    with open(use_ledger.opened(folder, number), "rb") as opened:
        os.fsync(opened.fileno())
        return sum(len(line) for line in opened if line.endswith(b"\n"))


def _read(folder: str, number: int, offset: int, most: int, sums: _Sums) -> tuple[int, int]:
    """Sum up whole lines from `offset` on; return their bytes and the size of the file."""
    taken = 0
    with open(use_ledger.opened(folder, number), "rb") as file:
        # Records that an ops machine has got must not be gone here after a power cut.
        os.fsync(file.fileno())
        size = os.fstat(file.fileno()).st_size
        file.seek(offset)
        for line in file:
            if not line.endswith(b"\n") or taken >= most:
                break
            taken += len(line)
            sums.add(line)
    return taken, size


class _Sums:
    """Sums over lines; where `last` has numbers of runs, over those alone that are numbered and came after them."""

    def __init__(self, last: dict[str, int] | None) -> None:
        self._last = last
        self.rows: dict[tuple[Any, ...], list[Any]] = {}
        self.runs: dict[tuple[str, str], Document] = {}
        self.refused = 0
        self.tallies = Tallies()
        self._days: dict[int, str] = {}

    def add(self, line: bytes) -> None:
        try:
            found = parsed(line)
            if self._last is not None and not _is_after(found, self._last):
                return
            if "refused" in found:
                self.refused += found["refused"]
            elif "tally" in found:
                self.tallies.add_log(found)
            elif "program" in found:
                self._add(found)
        except (ValueError, TypeError, KeyError, OverflowError):
            self.refused += 1  # a disk that has lost a block

    def _add(self, found: Document) -> None:
        name = (found["program"], found["run"])
        run = self.runs.get(name)
        if run is None:
            run = self.runs[name] = _run(*name)
        run["version"], run["release"] = found["version"], found["release"]
        if "begin" in found:
            run["engine"], run["started"] = found["engine"], found["started"]
        elif "counters" in found:
            running = found["running"]
            run["counted"] = {
                "asked": found["counters"]["in"],
                "tokens_out": found["counters"]["out"],
                "records_asked": run["asked"] + running["in"],
                "records_out": run["tokens_out"] + running["out"],
                "open": found["open"],
                "at": found["at"],
            }
        else:
            self._add_record(run, found)
            self.tallies.add_record(found)

    def _add_record(self, run: Document, found: Document) -> None:
        number, asked, out = found["n"], found["asked"], found["out"]
        if run["records"]:
            run["missing"] += number - run["last"] - 1
        else:
            run["first"] = number
        run["last"] = number
        run["records"] += 1
        unknown = asked is None or out is None
        run["asked"] += asked or 0
        run["tokens_out"] += out or 0
        run["unknown"] += unknown
        kind = (
            self._day(found["at"]),
            found["key"],
            found["model"],
            found["program"].rpartition("-")[0],
            found["version"],
            found["release"],
            found["end"],
        )
        row = self.rows.get(kind)
        if row is None:
            row = self.rows[kind] = [0, 0, 0, 0, 0, 0, 0.0]
        row[0] += 1
        row[1] += found["in"] or 0
        row[2] += found["cached"] or 0
        row[3] += out or 0
        row[4] += found["reasoning"] or 0
        row[5] += found["in"] is None or out is None
        row[6] += found.get("audio") or 0.0

    def _day(self, at: float) -> str:
        number = int(at // 86400)
        day = self._days.get(number)
        if day is None:
            day = self._days[number] = time.strftime("%Y-%m-%d", time.gmtime(number * 86400))
        return day


def _is_after(found: Document, last: dict[str, int]) -> bool:
    """Whether a line is of a run without a number in `last`, or came after that number."""
    if "program" not in found or "refused" in found:
        return False
    number = last.get(f"{found['program']}/{found['run']}")
    return number is None or found.get("n", 0) > number


def _run(program: str, run: str) -> Document:
    """Return an empty part of a run; `engine` and `started` are known where the part has the run's beginning."""
    return {
        "program": program,
        "run": run,
        "model": program.rpartition("-")[0],
        "version": "",
        "release": 0,
        "engine": "",
        "started": 0.0,
        "first": 0,
        "last": 0,
        "records": 0,
        "missing": 0,
        "asked": 0,
        "tokens_out": 0,
        "unknown": 0,
        "counted": None,
    }
