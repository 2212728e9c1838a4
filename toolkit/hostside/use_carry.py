"""Carry the use that replicas write down into the ledger of the host.

A replica's process writes to `<root>/caches/PROGRAM/use/RUN.jsonl`, then `RUN.1.jsonl` and so on. The directory is that
replica's, so nothing in it is followed or believed: names are opened relative to it, only regular files with one name
are read, lines are checked (`use_lines.py`), and each look reads a bounded part of each replica's files. A half line
waits for its rest.
"""

from __future__ import annotations

import contextlib
import sys
import time

import use_lines
from directory import NotSafe
from use_ledger import Ledger
from use_sources import MOST_NAMES, Source, sources, whole_lines
from wire import Document

# Bytes that one look reads of one replica.
LOOK_BYTES = 2**19
# Pairs of key and model in one run. More pairs than that are a replica's invention and are refused.
MOST_PAIRS = 10_000
# The state of the carrier is saved after so many seconds, or bytes of the ledger.
SAVE_SECONDS, SAVE_BYTES = 5.0, 2**22
# An earlier time means that the machine's clock was not set yet.
_EARLIEST = 1_700_000_000


class Carrier:
    """Carries the use of the host whose toolkit lies in `root`."""

    def __init__(self, root: str) -> None:
        self.root, self.ledger = root, Ledger(root)
        # {PROGRAM: its run that was read last, and the pairs of this run}
        self._pairs: dict[str, tuple[str, set[tuple[str, str]]]] = {}
        self._saved = time.monotonic()
        self._seen: dict[str, tuple[int, int]] = {}

    def look(self) -> list[str]:
        """Carry what is new, within bounds; return nothing, for the log of the watch."""
        seen = {
            f"{each.program}/{each.name}": (each.inode, each.size) for each in sources(self.root)
        }
        if seen == self._seen and not self._due():
            return []
        # Another process that carries holds the lock: the next look goes on.
        with contextlib.suppress(TimeoutError), self.ledger.held(0.0):
            whole = self._carry()
            self._seen = seen if whole else {}
            if self._due():
                self._save()
        return []

    def all(self, program: str, seconds: float = 30.0) -> None:
        """Carry what one replica has, for up to `seconds`, and write it down.

        Raises TimeoutError, NotSafe or OSError.
        """
        with self.ledger.held(seconds):
            until = time.monotonic() + seconds
            while not self._carry(program) and time.monotonic() < until:
                pass
            self._save()

    def _due(self) -> bool:
        unsaved = self.ledger.unsaved
        late = time.monotonic() - self._saved >= SAVE_SECONDS
        return unsaved > 0 and (late or unsaved >= SAVE_BYTES)

    def _save(self) -> None:
        self.ledger.save()
        self._saved = time.monotonic()

    def _carry(self, only: str = "") -> bool:
        """Read on in each replica's files; return whether nothing is left."""
        left: dict[str, int] = {}
        unfinished: set[tuple[str, str]] = set()
        there = set()
        for source in sources(self.root):
            there.add(f"{source.program}/{source.name}")
            # The numbers of a run go on over its files, so the next file waits for the end of this one.
            if only not in ("", source.program) or (source.program, source.run) in unfinished:
                continue
            budget = left.setdefault(source.program, LOOK_BYTES)
            left[source.program] -= self._read(source, budget)
            if self._offset(source) < source.size and left[source.program] <= 0:
                unfinished.add((source.program, source.run))
        for gone in set(self.ledger.sources) - there:
            del self.ledger.sources[gone]
        return not unfinished

    def _offset(self, source: Source) -> int:
        known = self.ledger.sources.get(f"{source.program}/{source.name}", {})
        return int(known.get("offset", 0)) if known.get("inode") == source.inode else 0

    def _read(self, source: Source, budget: int) -> int:
        """Carry whole lines of a file; return the number of bytes that were read."""
        offset = self._offset(source)
        if budget <= 0 or offset == source.size:
            return 0
        name = f"{source.program}/{source.name}"
        known = self.ledger.sources.get(name, {})
        if offset > source.size or not offset:
            known, offset = {}, 0
        data = source.read(offset, max(budget, use_lines.LINE + 1))
        known = {**known, "inode": source.inode}
        lines, used = whole_lines(data, known)
        if lines:
            self.ledger.append(self._kept(source, known, lines))
        self.ledger.sources[name] = {**known, "offset": offset + used}
        return len(data)

    def _kept(self, source: Source, known: Document, lines: list[bytes]) -> list[Document]:
        """Return the lines of the ledger for lines of a file, whose first line goes into `known`."""
        run = f"{source.program}/{source.run}"
        if len(self._pairs) > MOST_NAMES:
            self._pairs.clear()
        last, pairs = self._pairs.get(source.program, ("", set()))
        if last != source.run:
            pairs = set()
        self._pairs[source.program] = (source.run, pairs)
        return _Sieve(source, known, self.ledger.last.get(run, 0), pairs).kept(lines)


class _Sieve:
    """Takes the lines of one file, and keeps what is a record that the ledger does not have: after number `last`."""

    def __init__(
        self, source: Source, known: Document, last: int, pairs: set[tuple[str, str]]
    ) -> None:
        self._source, self._known, self._last, self._pairs = source, known, last, pairs
        self._of_run = {"run": source.run, "program": source.program}
        self._now = time.time()

    def kept(self, lines: list[bytes]) -> list[Document]:
        """Return the lines of the ledger."""
        kept: list[Document] = []
        refused = self._known.pop("refused", 0)
        for line in lines:
            if not line.strip():
                continue  # what follows a line that a full disk has cut
            found = use_lines.parsed(line)
            try:
                kept += self._line(found)
            except ValueError:
                refused += 1
        return [*kept, {"refused": refused, **self._of_run}] if refused else kept

    def _line(self, found: Document | None) -> list[Document]:
        """Return nothing or one line of the ledger; raises ValueError for what is no line of a replica."""
        if found is None:
            raise ValueError
        if "head" not in self._known:
            self._known["head"] = head = use_lines.head(
                found, self._source.run, self._source.program
            )
            return [{"begin": True, **_sound(head)}]
        head = _sound(self._known["head"])
        release = {"version": head["version"], "release": head["release"]}
        if "counters" in found:
            counters = _sound(use_lines.counters(found))
            known = counters["n"] < self._last
            return [] if known else [{**counters, **self._of_run, **release}]
        record = self._record(_sound(use_lines.record(found)))
        return [{**record, **self._of_run, **release}] if record else []

    def _record(self, record: Document) -> Document | None:
        """Return a record that is new, at a time that can be."""
        if record["n"] <= self._last:
            return None
        pair = (record["key"], record["model"])
        if pair not in self._pairs and len(self._pairs) >= MOST_PAIRS:
            raise ValueError
        self._pairs.add(pair)
        self._last = record["n"]
        # A clock that was not set yet, or has been put back since.
        if not _EARLIEST <= record["at"] <= self._now + 1:
            record["at"] = round(self._now, 3)
        return record


def _sound(found: Document | None) -> Document:
    if found is None:
        raise ValueError
    return found


def main(arguments: list[str]) -> int:
    """Carry all there is of one replica before its home is removed; `arguments` are the root and the program."""
    root, program = arguments
    try:
        Carrier(root).all(program)
    except (OSError, NotSafe, TimeoutError) as error:
        sys.stderr.write(f"its use was not carried: {error}\n")
        return 1
    return 0
