"""The heads of audit logs that this host has seen: the witness against a log that is cut off or written anew.

Each ops machine's log has one file in `<root>/audit/`, for root alone. A head is added and never replaced, so that a
log that was written anew cannot also rewrite what this host knows of the former one.
"""

from __future__ import annotations

import json
import os
import re
import time
from typing import Any

from directory import Directory, NotSafe, make_own
from documents import parsed
from wire import Document

FOLDER = "audit"
# Beyond this many, every second head of the older half goes: the first and the last ones stay.
MOST_HEADS = 1024
MOST_LOGS = 256
_MOST_MACHINE = 4096
_ROOT_ONLY = 0o600
_LOCK_SECONDS = 5.0
_LOG = re.compile(r"[0-9a-f]{32}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


def keep(root: str, head: Document, durable: bool = True) -> Document:
    """Add a head, `{"log", "machine", "sequence", "digest"}`; return {"kept"}, false where the disk takes nothing.

    Raises ValueError where it is no head.
    """
    if not _is_head(head):
        raise ValueError("not a head of an audit log")
    try:
        with Directory(make_own(root, FOLDER)) as folder, folder.locked(".lock", _LOCK_SECONDS):
            folder.sweep()
            name = head["log"] + ".json"
            known = _parsed(folder.read(name))
            if known is None and len(_names(folder)) >= MOST_LOGS:
                return {"kept": False}
            heads = known["heads"] if known else []
            seen = {"sequence": head["sequence"], "digest": head["digest"]}
            if heads and {key: heads[-1][key] for key in seen} == seen:
                return {"kept": True}
            kept = {
                "log": head["log"],
                "machine": head["machine"],
                "heads": _thinned([*heads, {**seen, "at": time.time()}]),
            }
            folder.write(name, json.dumps(kept) + "\n", _ROOT_ONLY, durable=durable)
            if durable:
                folder.sync()
    except (OSError, NotSafe):
        return {"kept": False}
    return {"kept": True}


def read(root: str) -> Document:
    """Return {"heads": [{"log", "machine", "sequence", "digest", "at"}]}, of all logs, each in the order it came."""
    found = []
    try:
        with Directory(os.path.join(root, FOLDER)) as folder:
            for name in sorted(_names(folder))[:MOST_LOGS]:
                kept = _parsed(folder.read(name)) or {"heads": []}
                of_log = {key: kept[key] for key in kept if key != "heads"}
                found += [{**of_log, **each} for each in kept["heads"]]
    except FileNotFoundError:
        pass
    return {"heads": found}


def _names(folder: Directory) -> list[str]:
    return [name for name in os.listdir(folder.path) if name.endswith(".json")]


def _thinned(heads: list[Document]) -> list[Document]:
    if len(heads) <= MOST_HEADS:
        return heads
    half = len(heads) // 2
    return heads[:half:2] + heads[half:]


def _parsed(text: str | None) -> Document | None:
    try:
        kept: Any = parsed(text)
        heads = kept["heads"]
        sound = all(
            _is_head({**each, "log": kept["log"], "machine": kept["machine"]})
            and isinstance(each["at"], (int, float))
            for each in heads
        )
    except (ValueError, TypeError, KeyError):
        return None
    return kept if sound else None


def _is_head(head: Any) -> bool:
    return (
        isinstance(head, dict)
        and isinstance(head.get("sequence"), int)
        and isinstance(head.get("machine"), str)
        and len(head["machine"]) <= _MOST_MACHINE
        and all(
            isinstance(head.get(name), str) and form.fullmatch(head[name]) is not None
            for name, form in (("log", _LOG), ("digest", _DIGEST))
        )
    )
