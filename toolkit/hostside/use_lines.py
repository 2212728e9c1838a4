"""The lines that a replica writes about its use, checked: a replica may have been taken over, and write anything.

What is no record as below is refused by line. A line that is kept is made anew from what was checked, so that nothing
else gets on from the replica.

    {"run", "program", "model", "version", "release", "engine", "started"}      the first line of a file
    {"n", "at", "key", "model", "api", "id", "in", "cached", "out", "reasoning", "asked", "end", "seconds", "first"}
    {"counters": {"in", "out"}, "running": {"in", "out"}, "n", "open", "at"}
"""

from __future__ import annotations

import re
from typing import Any

import documents
from wire import Document

# Bytes of a line, and the largest number of tokens, seconds and records that a line may say.
LINE = 4096
TOKENS = 10**9
SECONDS = 10**7
NUMBER = 10**12
COUNTERS = 10**15
# Requests that one process works on at once.
OPEN = 10**6
ENDS = ("whole", "left", "failed", "refused")

_RUN = re.compile(r"[0-9a-f]{16}\Z")
_KEY = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9._-]{0,63}|-)\Z")
# Names of models and adapters, versions and engines, paths of an API, ids of requests.
_WORD = re.compile(r"[!-~]{1,200}\Z")
_WORDS = re.compile(r"[ -~]{0,200}\Z")


def parsed(line: bytes) -> Document | None:
    """Return the mapping in a line; None where there is none."""
    if len(line) > LINE:
        return None
    try:
        found = documents.parsed(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def head(line: Document, run: str, program: str) -> Document | None:
    """Return the first line of the file of `run`; None where it is of another run or program."""
    kept = {name: line.get(name) for name in ("run", "program", "version", "release", "engine")}
    sound = (
        _is(_RUN, kept["run"])
        and (kept["run"], kept["program"]) == (run, program)
        and _is(_WORD, kept["version"])
        and _whole(kept["release"], NUMBER)
        and _is(_WORDS, kept["engine"])
        and _number(line.get("started"), COUNTERS)
    )
    return {**kept, "started": float(line["started"])} if sound else None


def record(line: Document) -> Document | None:
    """Return the record in a line, None where it is none: see the module."""
    kept = {name: line.get(name) for name in ("n", "at", "key", "model", "api", "id")}
    counts = {name: line.get(name) for name in ("in", "cached", "out", "reasoning", "asked")}
    sound = (
        _whole(kept["n"], NUMBER, least=1)
        and _number(kept["at"], COUNTERS)
        and _is(_KEY, kept["key"])
        and _is(_WORD, kept["model"])
        and _is(_WORDS, kept["api"])
        and (kept["id"] is None or _is(_WORDS, kept["id"]))
        and all(each is None or _whole(each, TOKENS) for each in counts.values())
        and line.get("end") in ENDS
    )
    times = {name: line.get(name) for name in ("seconds", "first", "audio")}
    if not sound or not all(each is None or _number(each, SECONDS) for each in times.values()):
        return None
    if times["audio"] is None:
        del times["audio"]
    return {**kept, **counts, "end": line["end"], **times}


def counters(line: Document) -> Document | None:
    """Return the counters in a line, None where it has none."""
    groups = {name: line.get(name, {"in": 0, "out": 0}) for name in ("counters", "running")}
    sound = (
        all(
            isinstance(group, dict) and all(_whole(group.get(each), COUNTERS) for each in _BOTH)
            for group in groups.values()
        )
        and _whole(line.get("n"), NUMBER)
        and _whole(line.get("open"), OPEN)
        and _number(line.get("at"), COUNTERS)
    )
    if not sound:
        return None
    kept = {name: {each: group[each] for each in _BOTH} for name, group in groups.items()}
    return {**kept, "n": line["n"], "open": line["open"], "at": line["at"]}


_BOTH = ("in", "out")


def _is(form: re.Pattern[str], value: Any) -> bool:
    return isinstance(value, str) and form.match(value) is not None


def _whole(value: Any, most: int, *, least: int = 0) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _number(value: Any, most: int) -> bool:
    # A comparison with NaN is false.
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= most
