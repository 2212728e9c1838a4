"""Find what single requests used in the ledger of this host, by their ids."""

from __future__ import annotations

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
    wanted, found, left = set(ids[:MOST_IDS]), [], _BYTES
    folder = f"{root}/{use_ledger.FOLDER}"
    for number in reversed(use_ledger.files(folder)) if wanted else ():
        for block in last_lines.blocks(use_ledger.opened(folder, number), left):
            newest = float("-inf")
            for line in block:
                left -= len(line) + 1
                record = _record(line)
                if record:
                    newest = max(newest, record["at"])
                    if record["id"] in wanted:
                        found.append(record)
            if float("-inf") < newest < since - _SLACK or len(found) >= MOST_RECORDS:
                return {"records": found[:MOST_RECORDS]}
        if left <= 0:
            break
    return {"records": found}


def _record(line: bytes) -> Document | None:
    try:
        found = parsed(line)
        return {name: found[name] for name in _FIELDS}
    except (ValueError, TypeError, KeyError):
        return None
