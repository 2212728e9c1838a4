"""Which line of an engine's log says why it failed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

# `(EngineCore pid=123) ERROR 11-22 10:17:27 [core.py:1510] `, either part alone too.
_PREFIX = re.compile(
    r"^(?:\([\w-]+(?: pid=\d+)?\) )?(?:(?P<level>[A-Z]+) \d\d-\d\d \d\d:\d\d:\d\d \[[^\]]*\] )?"
)
_EXCEPTION = re.compile(
    r"^(?:[A-Za-z_]\w*\.)*(?:[A-Z]\w*(?:Error|Exception|Interrupt|Exit|Warning)|Exception): \S"
)
_USAGE = re.compile(r"^[\w.-]+: error: \S")
# Exceptions that only say that another process had one.
_SECOND_HAND = (
    "See root cause above",
    "See stack trace",
    "Engine core initialization failed",
    "initialization failed due to an exception in a background process",
    "EngineDeadError",
)
# What the operating system did, which no traceback says.
_VIOLENT = re.compile(
    r"exited unexpectedly|died unexpectedly|Segmentation fault|Out of memory|oom-kill|^Killed\b"
)
_LIBRARY = re.compile(r"^Failed to import from vllm\._C: ")
_NOISE = re.compile(r"^\s*$|^nanobind: |^See https?://| - (?:leaked|\.\.\.)|^\s*\^+$")


def decisive_line(lines: Sequence[str]) -> str:
    """Return the engine's own words for the cause of its failure, without process, time and place.

    The cause comes before what followed from it: other processes' remarks about it, shutting down,
    leaks at exit. A log without any failure yields its last telling line, an empty one nothing.
    """
    told = list(_told(lines))
    causes = [text for text, _ in told if _is_cause(text)]
    if causes and "_OpNamespace" in causes[-1]:
        # A compiled part was not loaded, and why was only a warning, long before.
        causes += [text for text, _ in told if _LIBRARY.match(text)][-1:]
    violent = [text for text, _ in told if _VIOLENT.search(text)]
    errors = [text for text, level in told if level in ("ERROR", "CRITICAL")]
    rest = [text for text, _ in told]
    for candidates in (causes, violent, errors, rest):
        if candidates:
            return candidates[-1].strip()
    return ""


def _is_cause(text: str) -> bool:
    if any(words in text for words in _SECOND_HAND):
        return False
    return bool(_EXCEPTION.match(text) or _USAGE.match(text))


def _told(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield text and level of the lines that tell something, prefixes removed."""
    bare = [_split(line) for line in lines]
    for index, (text, level) in enumerate(bare):
        if _NOISE.search(text):
            continue
        if "validation error" in text and _EXCEPTION.match(text) and index + 1 < len(bare):
            # pydantic counts its errors in the first line and names them in the next.
            named = bare[index + 1][0].strip().removeprefix("Value error, ")
            yield f"ValidationError: {named}", level
            continue
        yield text, level


def _split(line: str) -> tuple[str, str]:
    found = _PREFIX.match(line)
    assert found is not None  # both parts are optional
    return line[found.end() :].rstrip(), found["level"] or ""
