"""The audit log: numbered lines, each with a digest over itself and the digest of the line before.

A line is one JSON object, `{"sequence", "previous", "digest", "record"}`. Its digest is the SHA-256 over these texts in
UTF-8, each after its length in bytes as eight bytes, big-endian:

    "toolkit audit 1", `previous`, the sequence in decimal, then for each field of `record`, ordered by name:
    the name, and the value as JSON with sorted keys and no blanks

The lengths make the text of a digest unambiguous: no two records share it. The first line, the genesis, has sequence 0,
64 zeros as `previous`, and the random id of the log in its record.

The chain shows a changed, a removed or a moved line. It cannot show a cut at the end, nor a log that was written anew:
whoever writes the log can compute digests. So hosts keep a `Head` of it, see `toolkit/hostside/audit_heads.py`.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from toolkit.domain.bounds import JSON_DEPTH, MIB, TEXT
from toolkit.domain.outside import parse_mapping, text_of, whole

_FORMAT = "toolkit audit 1"
NOTHING_BEFORE = "0" * 64
MOST_LINE = MIB


class Event(StrEnum):
    """The kinds of lines, the `event` of a record."""

    GENESIS = "genesis"
    BEGIN = "begin"
    END = "end"
    REFUSED = "refused"
    TOLD = "told"
    FOUND = "found"
    MENDED = "mended"


@dataclass(frozen=True, slots=True)
class Head:
    """A line of a log as a witness knows it: its `sequence` and `digest`, and the log's id.

    `machine` is the ops machine of the log, with its home.
    """

    log: str
    machine: str
    sequence: int
    digest: str

    def as_json(self) -> dict[str, Any]:
        """Return the form in which a host gets it."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True, slots=True)
class KeptHead:
    """A head that `host` keeps since `at`, in seconds since the epoch by the host's clock."""

    host: str
    head: Head
    at: float


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the log."""

    sequence: int
    previous: str
    digest: str
    record: Mapping[str, Any]

    @property
    def event(self) -> str:
        """The kind of the line."""
        return str(self.record.get("event", ""))

    @property
    def is_whole(self) -> bool:
        """Whether the digest is that of the line."""
        return self.digest == _digest(self.previous, self.sequence, self.record)

    @property
    def text(self) -> str:
        """The line as the file has it, with its end."""
        parts = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return json.dumps(parts, ensure_ascii=False, separators=(",", ":")) + "\n"

    def head(self, genesis: Line) -> Head:
        """Return the line's head in the log that begins with `genesis`."""
        log, machine = (str(genesis.record.get(name, "")) for name in ("log", "machine"))
        return Head(log, machine, self.sequence, self.digest)


def next_line(before: Line | None, record: Mapping[str, Any]) -> Line:
    """Return the line that follows `before`; None stands for the begin of a log."""
    sequence = before.sequence + 1 if before else 0
    previous = before.digest if before else NOTHING_BEFORE
    return Line(sequence, previous, _digest(previous, sequence, record), record)


def sound(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record with values alone that a line can hold: a number that is none becomes null, an object text.

    Of a record that is longer than a line may be, its short texts and its numbers are left, with `cut`.
    """
    found: dict[str, Any] = _sound(record, JSON_DEPTH - 8)
    if len(_json(found).encode(errors="replace")) > MOST_LINE // 2:
        kept = {name: value for name, value in found.items() if isinstance(value, (int, float))}
        texts = {name: value for name, value in found.items() if isinstance(value, str)}
        return {**kept, **{name: value[:TEXT] for name, value in texts.items()}, "cut": True}
    return found


def _sound(value: Any, depth: int) -> Any:
    if isinstance(value, Mapping) and depth:
        return {str(name): _sound(each, depth - 1) for name, each in value.items()}
    if isinstance(value, (list, tuple)) and depth:
        return [_sound(each, depth - 1) for each in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (str, int)) else str(value)


def parse_line(text: bytes | str) -> Line:
    """Return the line in `text`; raises ValueError where it has another form. Its digest may be wrong."""
    found = parse_mapping(text, MOST_LINE)
    if found.keys() != set(Line.__dataclass_fields__) or not isinstance(found["record"], dict):
        raise ValueError("not a line of an audit log")
    return Line(
        whole(found["sequence"], "sequence"),
        text_of(found["previous"], "previous", TEXT),
        text_of(found["digest"], "digest", TEXT),
        found["record"],
    )


def plan_digest(document: Mapping[str, Any]) -> str:
    """Return the SHA-256 in hex of a plan's JSON form."""
    return hashlib.sha256(_json(document).encode()).hexdigest()


def release_digest(document: Mapping[str, Any]) -> str:
    """Return the SHA-256 in hex of a release's JSON form, without what is only known of its abilities (`does`)."""
    return plan_digest({name: each for name, each in document.items() if name != "does"})


def _digest(previous: str, sequence: int, record: Mapping[str, Any]) -> str:
    texts = [_FORMAT, previous, str(sequence)]
    for name in sorted(record):
        texts += [name, _json(record[name])]
    summary = hashlib.sha256()
    for text in texts:
        data = text.encode(errors="replace")
        summary.update(len(data).to_bytes(8, "big") + data)
    return summary.hexdigest()


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
