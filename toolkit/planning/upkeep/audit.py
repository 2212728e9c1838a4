"""The content of an audit log, and whether it is whole: the chain of its lines, and the heads that hosts have seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from toolkit.domain.trail.audit import NOTHING_BEFORE, Event, KeptHead, Line, parse_line
from toolkit.errors import BusyError

# Gaps that a fault names.
_SHOWN = 20
_DIGESTS = ("plan", "registry", "lock", "fleet")


@dataclass(frozen=True, slots=True)
class LogFault:
    """A fault of the log. `line` counts from 1 in the file; 0 stands for what is no longer there."""

    line: int
    words: str


@dataclass(frozen=True, slots=True)
class Examined:
    """The log's lines that can be read, its faults, and the newest line that each host confirms, by sequence.

    `log` is its id, empty without a genesis. `torn` are the bytes of a line that was never finished.
    """

    log: str
    lines: tuple[Line, ...]
    faults: tuple[LogFault, ...]
    confirmed: Mapping[str, int]
    torn: int = 0


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One command in the log: the record of its intent or refusal, the one of its end if it has one, and the rest.

    `sequences` are those of its lines.
    """

    id: str
    intent: Mapping[str, Any]
    end: Mapping[str, Any] | None = None
    told: tuple[Mapping[str, Any], ...] = ()
    sequences: tuple[int, ...] = ()

    @property
    def outcome(self) -> str:
        """Its outcome in a word; a command without one was killed, or runs still."""
        if self.intent.get("event") == Event.REFUSED:
            busy = _mapping(self.intent.get("error")).get("kind") == BusyError.kind
            return BusyError.kind if busy else "refused"
        if self.intent.get("event") == Event.FOUND:
            return _text(self.intent.get("verdict"))
        return str(self.end.get("outcome", "")) if self.end else "no outcome"

    @property
    def person(self) -> Mapping[str, str]:
        """The person, see `toolkit/adapters/audit/who.py`."""
        return {name: str(value) for name, value in _mapping(self.intent.get("who")).items()}

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints. Values of another kind, which a changed log may have, count as absent."""
        intent, end = self.intent, self.end or {}
        digests = {name: _text(intent.get(name)) for name in _DIGESTS}
        error = _mapping(end.get("error", intent.get("error")))
        return {
            "id": self.id,
            "at": _number(intent.get("at")),
            "command": _text(intent.get("command")),
            "words": _texts(intent.get("words")),
            "who": dict(self.person),
            "reason": _text(intent.get("reason")),
            "model": _text(intent.get("model")),
            "releases": _texts(intent.get("releases")),
            "digests": {name: each for name, each in digests.items() if each},
            "outcome": self.outcome,
            "error": _known(error, ("kind", "message"), ("exit_code",)) if error else None,
            "seconds": _number(end.get("seconds")),
            "hosts": {
                name: _known(_mapping(each), ("outcome",), ("reason",))
                for name, each in _mapping(end.get("hosts")).items()
            },
            "gates": [
                {
                    **_known(each, ("host", "gate", "verdict", "reason")),
                    "figures": _list(each.get("figures")),
                }
                for each in map(_mapping, _list(end.get("gates")))
            ],
            "told": [_known(each, ("where", "outcome", "why", "of")) for each in self.told],
            "sequences": list(self.sequences),
        }


def examine(texts: Sequence[bytes], rest: bytes, heads: Iterable[KeptHead]) -> Examined:
    """Judge the lines `texts` of a log and the unfinished `rest`, by themselves and by the `heads` of hosts."""
    found = _Reading()
    for number, text in enumerate(texts, 1):
        found.take(number, text)
    found.judge_links()
    confirmed = found.judge_heads([each for each in heads if each.head.log == found.log])
    faults = tuple(sorted(found.faults, key=lambda each: each.line or len(texts) + 1))
    return Examined(found.log, tuple(found.lines.values()), faults, confirmed, len(rest))


def removed_logs(heads: Iterable[KeptHead], known: Iterable[str], machine: str) -> tuple[str, ...]:
    """Return in words the logs of `machine` that hosts have seen and that are not among the `known` ids."""
    there, gone = set(known), dict[str, KeptHead]()
    for each in heads:
        if each.head.machine == machine and each.head.log not in there:
            last = gone.get(each.head.log)
            if last is None or last.head.sequence < each.head.sequence:
                gone[each.head.log] = each
    return tuple(
        f"the log {log} of this machine is gone: {each.host} has seen {each.head.sequence + 1} lines of it"
        for log, each in gone.items()
    )


def entries(lines: Iterable[Line]) -> list[AuditEntry]:
    """Return the commands in the log, the oldest first."""
    found: dict[str, dict[str, Any]] = {}
    for line in lines:
        id = line.record.get("id")
        if not isinstance(id, str):
            continue
        one = found.setdefault(id, {"intent": {}, "end": None, "told": (), "sequences": ()})
        one["sequences"] = (*one["sequences"], line.sequence)
        if line.event in (Event.BEGIN, Event.REFUSED, Event.FOUND):
            one["intent"] = line.record
            if line.event == Event.FOUND:
                one["end"] = {"gates": [line.record]}
        elif line.event == Event.END:
            one["end"] = line.record
        elif line.event == Event.TOLD:
            one["told"] = (*one["told"], line.record)
    return [AuditEntry(id, **one) for id, one in found.items()]


def chosen(
    found: Iterable[AuditEntry], *, model: str = "", who: str = "", since: float = 0.0
) -> list[AuditEntry]:
    """Return the entries of a model, of a person by any of the names, and since a time in seconds since the epoch."""
    return [
        each
        for each in found
        if (not model or each.intent.get("model") == model)
        and (not who or who in map(str, each.person.values()))
        and (_number(each.intent.get("at")) or 0.0) >= since
    ]


def _number(value: Any) -> float | None:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _texts(value: Any) -> list[str]:
    return [each for each in _list(value) if isinstance(each, str)]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _known(
    found: Mapping[str, Any], texts: Sequence[str], more: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the fields `texts`, as texts, and those of `more` that are there."""
    return {name: _text(found.get(name)) for name in texts} | {
        name: found[name] for name in more if isinstance(found.get(name), (str, int))
    }


@dataclass
class _Reading:
    """A log while it is judged: its lines by sequence, and the number of each in the file."""

    lines: dict[int, Line] = field(default_factory=dict)
    numbers: dict[int, int] = field(default_factory=dict)
    faults: list[LogFault] = field(default_factory=list)
    unread: int = 0
    highest: int = -1

    @property
    def log(self) -> str:
        """The id in the genesis."""
        first = self.lines.get(0)
        return str(first.record.get("log", "")) if first else ""

    def take(self, number: int, text: bytes) -> None:
        try:
            line = parse_line(text)
        except ValueError as error:
            self.unread += 1
            self._fault(number, f"it cannot be read, so it was changed or damaged: {error}")
            return
        if line.sequence in self.lines:
            self._fault(number, f"it repeats sequence {line.sequence}")
            return
        if not line.is_whole:
            self._fault(number, "it was changed: its digest is not that of its contents")
        if line.sequence < self.highest:
            self._fault(number, f"it was moved: sequence {line.sequence} follows {self.highest}")
        self.highest = max(self.highest, line.sequence)
        self.lines[line.sequence], self.numbers[line.sequence] = line, number

    def judge_links(self) -> None:
        """Find lines that are missing, and lines that do not follow the one before."""
        known_ones = [-1, *sorted(self.lines)]
        gaps = [(a + 1, b - 1) for a, b in pairwise(known_ones) if b > a + 1]
        # An unreadable line is not a missing one, though its number is unknown.
        if sum(b - a + 1 for a, b in gaps) > self.unread:
            shown = ", ".join(str(a) if a == b else f"{a} to {b}" for a, b in gaps[:_SHOWN])
            self._fault(0, f"lines were removed: sequence {shown}")
        for sequence, line in self.lines.items():
            before = self.lines.get(sequence - 1)
            known = before.digest if before else NOTHING_BEFORE if sequence == 0 else line.previous
            if line.previous != known and (before is None or before.is_whole):
                self._fault(
                    self.numbers[sequence],
                    "it does not follow the line before: one of the two was replaced",
                )

    def judge_heads(self, heads: Sequence[KeptHead]) -> dict[str, int]:
        """Compare with what hosts have seen; return the newest sequence that each host confirms."""
        confirmed: dict[str, int] = {}
        cut: dict[str, int] = {}
        other: dict[int, list[str]] = {}
        for each in heads:
            sequence, line = each.head.sequence, self.lines.get(each.head.sequence)
            if sequence > self.highest:
                cut[each.host] = max(sequence, cut.get(each.host, 0))
            elif line and line.digest == each.head.digest:
                confirmed[each.host] = max(sequence, confirmed.get(each.host, 0))
            elif line and each.host not in other.setdefault(sequence, []):
                other[sequence].append(each.host)
        if cut:
            hosts = ", ".join(f"{name} up to {sequence}" for name, sequence in cut.items())
            self._fault(
                0,
                f"lines were cut off after sequence {self.highest}: they were seen by {hosts}",
            )
        for sequence, names in other.items():
            self._fault(
                self.numbers[sequence],
                f"it is not the line that {', '.join(names)} saw: the log was written anew here or before",
            )
        return confirmed

    def _fault(self, line: int, words: str) -> None:
        self.faults.append(LogFault(line, words))
