"""Find what single requests used in the ledger of this host, by their ids."""

from __future__ import annotations

from collections.abc import Iterator

import last_lines
import use_ledger
from documents import parsed
from wire import Document

# Requests of one question, records of its answer, and bytes of the ledger that are read for it, from its end.
MOST_IDS, MOST_RECORDS = 1000, 4000
_BYTES = 2**25
# Hosts' clocks differ by less.
_SLACK = 60.0
_FIELDS = ("at", "model", "version", "release", "id", "in", "out", "end", "seconds")


def find(root: str, ids: list[str], since: float) -> Document:
    """Return {"records": [...]}: those of requests with one of `ids` that ended after `since`, in seconds of the epoch.

    A request's id may be the client's own, so several records can have the same; the newest come first.
    """
    wanted, found = set(ids[:MOST_IDS]), []
    for records in _from_the_end(root) if wanted else ():
        found += [each for each in records if each["id"] in wanted]
        earlier = records and max(each["at"] for each in records) < since - _SLACK
        if earlier or len(found) >= MOST_RECORDS:
            break
    return {"records": found[:MOST_RECORDS]}


def _from_the_end(root: str) -> Iterator[list[Document]]:
    """Yield the records of the ledger block by block, within the last `_BYTES`; the newest come first."""
    folder, left = f"{root}/{use_ledger.FOLDER}", _BYTES
    for number in reversed(use_ledger.files(folder)):
        for block in last_lines.blocks(use_ledger.opened(folder, number), left):
            left -= sum(len(line) + 1 for line in block)
            yield [record for record in map(_record, block) if record]
        if left <= 0:
            return


def _record(line: bytes) -> Document | None:
    try:
        found = parsed(line)
        return {name: found[name] for name in _FIELDS}
    except (ValueError, TypeError, KeyError):
        return None
