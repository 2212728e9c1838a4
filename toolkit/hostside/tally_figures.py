"""The counts of a host's ledger as counters for Prometheus: how requests ended, and how soon answers began.

The ledger is read on from a place, and the place and the counters up to it are written down together before they are
told. So each line counts once, and a counter never falls but to 0, where the ledger or this file is gone:

    <root>/watch/tallies.json    {"ledger", "file", "offset", "read", "counts": [[MODEL, VERSION, RELEASE, {}]]}

A host without this file begins at the end of its ledger.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator

import tally_names
import use_ledger
from directory import Directory, make_own, read_text
from documents import parsed
from exposition import heading, sample
from tally import FIRST, GAP, Tallies
from wire import Document

PLACE, FILE = "watch", "tallies.json"
# Bytes of the ledger that one look reads.
LOOK_BYTES = 2**22
# Models with their releases; of more, those go that were quiet for the longest time.
MOST_RELEASES = 60
_STATUS = re.compile(r"[0-9]{1,3}\Z")
# The name of a count -> the histogram, its words, its bounds in seconds.
_TIMES = (
    (
        "first",
        tally_names.FIRST_TOKEN,
        "Seconds until the first token of a stream, from when the replica had the request.",
        FIRST,
    ),
    (
        "gone",
        tally_names.LEFT_WAITING,
        "Seconds after which clients hung up that had got no token.",
        FIRST,
    ),
    (
        "gap",
        tally_names.BETWEEN_TOKENS,
        "Mean seconds between two tokens of a stream.",
        GAP,
    ),
)
_Labels = dict[str, str]


class TallyFigures:
    """Counts what the ledger of the host whose toolkit lies in `root` has."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._folder = os.path.join(root, use_ledger.FOLDER)
        self._ledger, self._file, self._offset = "", 0, 0
        self._read = 0.0
        # In the order of their last change.
        self._counts: dict[tuple[str, str, int], dict[str, int]] = {}
        self._known = False

    def look(self) -> None:
        """Read on in the ledger, within bounds, and write down what was read. Raises OSError or NotSafe."""
        if not self._known:
            self._recall()
        if self._read_on():
            self._keep()

    def lines(self, models: Iterable[str]) -> Iterator[str]:
        """Yield the lines of the figures in Prometheus's text format.

        `models` are those of this host's routes: each has its refusals of a sleeping model from 0 on, because
        Prometheus counts no first value of a counter.
        """
        name = tally_names.READ_SECONDS
        yield from heading(name, "Seconds of which this host has counted the requests.", "counter")
        yield sample(name, {}, self._read)
        name = tally_names.REQUESTS
        yield from heading(name, "Requests by how they ended, as the router's log says.", "counter")
        for labels, requests in self._ended(models):
            yield sample(name, labels, requests)
        for kind, name, words, bounds in _TIMES:
            yield from heading(name, words, "histogram")
            for who, counts in self._counts.items():
                if any(each.startswith(f"{kind}<=") for each in counts):
                    yield from _histogram(name, _labels(*who), kind, bounds, counts)

    def _ended(self, models: Iterable[str]) -> Iterator[tuple[_Labels, int]]:
        for who, counts in self._counts.items():
            for name, requests in counts.items():
                status, _, reason = name.partition(":")
                if _STATUS.match(status):
                    yield {**_labels(*who), "status": status, "reason": reason}, requests
        for model in models:
            if "503:model_asleep" not in self._counts.get((model, "", 0), {}):
                asleep = {"status": "503", "reason": "model_asleep"}
                yield {**_labels(model, "", 0), **asleep}, 0

    def _recall(self) -> None:
        """Take the counters that were written down, where they are those of this ledger."""
        text = read_text(os.path.join(self.root, PLACE, FILE))
        known = use_ledger.files(self._folder)
        ledger = use_ledger.identity(self._folder)
        try:
            found = parsed(text)
            if found["ledger"] != ledger or not known or found["file"] > known[-1]:
                raise ValueError("of another ledger")
            self._ledger, self._file, self._offset = (
                ledger,
                int(found["file"]),
                int(found["offset"]),
            )
            self._read = float(found["read"])
            self._counts = {
                (str(model), str(version), int(release)): dict(counts)
                for model, version, release, counts in found["counts"]
            }
        except (ValueError, TypeError, KeyError):
            self._begin(ledger, known)
        self._known = True

    def _begin(self, ledger: str, known: list[int]) -> None:
        """Begin at 0, at the end of the ledger."""
        self._ledger, self._read, self._counts = ledger, 0.0, {}
        self._file = known[-1] if known else 0
        self._offset = 0
        if known:
            with open(use_ledger.opened(self._folder, self._file), "rb") as file:
                self._offset = os.fstat(file.fileno()).st_size

    def _read_on(self) -> bool:
        """Add whole lines from the place on; return whether there were any."""
        known = use_ledger.files(self._folder)
        if not known:
            return False
        self._settle(known)
        tallies, most = Tallies(), LOOK_BYTES
        for number in known:
            if number < self._file or most <= 0:
                continue
            if number > self._file:
                self._file, self._offset = number, 0
            with open(use_ledger.opened(self._folder, number), "rb") as file:
                # Figures that Prometheus has read must not be gone after a power cut.
                os.fsync(file.fileno())
                if self._offset > os.fstat(file.fileno()).st_size:
                    self._begin(self._ledger, known)
                    return True
                file.seek(self._offset)
                for line in file:
                    if not line.endswith(b"\n") or most <= 0:
                        break
                    self._offset, most = self._offset + len(line), most - len(line)
                    _add(tallies, line)
        self._take(tallies)
        return most < LOOK_BYTES

    def _settle(self, known: list[int]) -> None:
        """Make the place one of this ledger, whose disk may have been set back to an earlier state."""
        if use_ledger.identity(self._folder) != self._ledger:
            # The first of this host begins with its first line.
            began = not self._ledger
            self._begin(use_ledger.identity(self._folder), [] if began else known)
        if self._file > known[-1]:
            self._begin(self._ledger, known)
        if self._file < known[0]:
            self._file, self._offset = known[0], 0

    def _take(self, tallies: Tallies) -> None:
        self._read += sum(tallies.watched.values())
        for (_, model, version, release), counts in tallies.rows.items():
            mine = self._counts.pop((model, version, release), {})
            for name, requests in counts.items():
                mine[name] = mine.get(name, 0) + requests
            self._counts[(model, version, release)] = mine
        while len(self._counts) > MOST_RELEASES:
            del self._counts[next(iter(self._counts))]

    def _keep(self) -> None:
        found = {
            "ledger": self._ledger,
            "file": self._file,
            "offset": self._offset,
            "read": round(self._read, 3),
            "counts": [[*who, counts] for who, counts in self._counts.items()],
        }
        with Directory(make_own(self.root, PLACE)) as opened:
            opened.write(FILE, json.dumps(found, separators=(",", ":")), durable=True)


def _add(tallies: Tallies, line: bytes) -> None:
    try:
        found: Document = parsed(line)
        if "tally" in found:
            tallies.add_log(found)
        elif "program" in found and "n" in found and "counters" not in found:
            tallies.add_record(found)
    except (ValueError, TypeError, KeyError, OverflowError):
        return  # a disk that has lost a block; `use_hand_out` counts it


def _labels(model: str, version: str, release: int) -> _Labels:
    return {"model": model, "version": version, "release": str(release or "")}


def _histogram(
    name: str, labels: _Labels, kind: str, bounds: tuple[float, ...], counts: dict[str, int]
) -> Iterator[str]:
    requests = 0
    for bound in bounds:
        requests += counts.get(f"{kind}<={bound:g}", 0)
        yield sample(f"{name}_bucket", {**labels, "le": f"{bound:g}"}, requests)
    requests += counts.get(f"{kind}<=inf", 0)
    yield sample(f"{name}_bucket", {**labels, "le": "+Inf"}, requests)
    yield sample(f"{name}_count", labels, requests)
