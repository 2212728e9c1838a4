"""Each way to tamper with an audit log is found, and the line is named; a log as it was written has no fault."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from toolkit.domain.trail.audit import Head, KeptHead, Line, next_line, parse_line
from toolkit.planning.upkeep.audit import chosen, entries, examine, removed_logs

LOG, MACHINE = "a" * 32, "ops:/home/ops/.toolkit"


def made(count: int, log: str = LOG, by: str = "ann") -> list[Line]:
    """Return a log of `count` lines."""
    lines = [next_line(None, {"event": "genesis", "log": log, "machine": MACHINE})]
    for number in range(1, count):
        lines.append(
            next_line(lines[-1], {"event": "begin", "id": str(number), "who": {"user": by}})
        )
    return lines


def texts(lines: Sequence[Line]) -> list[bytes]:
    return [line.text.rstrip("\n").encode() for line in lines]


def seen(host: str, line: Line, log: str = LOG) -> KeptHead:
    """Return the head that a host has been given when `line` was the last."""
    return KeptHead(host, Head(log, MACHINE, line.sequence, line.digest), 100.0)


TEN = made(10)
HEADS = [seen("gpu1", TEN[4]), seen("gpu1", TEN[9]), seen("gpu2", TEN[7])]


def words(lines: Sequence[bytes], heads: Sequence[KeptHead] = HEADS) -> list[str]:
    return [f"{each.line}: {each.words}" for each in examine(lines, b"", heads).faults]


def test_a_log_as_it_was_written_has_no_fault() -> None:
    found = examine(texts(TEN), b"", HEADS)
    assert (found.faults, found.log, found.confirmed) == ((), LOG, {"gpu1": 9, "gpu2": 7})
    assert found.lines == tuple(TEN)


def test_no_log_at_all_has_no_fault() -> None:
    assert examine([], b"", []).faults == ()


def changed(lines: list[Line]) -> list[bytes]:
    found = texts(lines)
    found[3] = found[3].replace(b"ann", b"bob")
    return found


def changed_with_a_digest(lines: list[Line]) -> list[bytes]:
    forged = next_line(lines[2], {**lines[3].record, "who": {"user": "bob"}})
    return texts([*lines[:3], forged, *lines[4:]])


def damaged(lines: list[Line]) -> list[bytes]:
    return [*texts(lines[:3]), b'{"sequence": 3, "prev', *texts(lines[4:])]


def removed(lines: list[Line]) -> list[bytes]:
    return texts([*lines[:3], *lines[5:]])


def removed_first(lines: list[Line]) -> list[bytes]:
    return texts(lines[1:])


def cut_off(lines: list[Line]) -> list[bytes]:
    return texts(lines[:6])


def reordered(lines: list[Line]) -> list[bytes]:
    return texts([*lines[:3], lines[4], lines[3], *lines[5:]])


def repeated(lines: list[Line]) -> list[bytes]:
    return texts([*lines[:4], lines[3], *lines[4:]])


def rewritten(lines: list[Line]) -> list[bytes]:
    return texts(made(10, by="bob"))


def rewritten_from_a_line_on(lines: list[Line]) -> list[bytes]:
    found = lines[:6]
    while len(found) < 10:
        found.append(next_line(found[-1], {**lines[len(found)].record, "who": {"user": "bob"}}))
    return texts(found)


def lifted(lines: list[Line]) -> list[bytes]:
    return texts([*lines[:9], replace(lines[9], sequence=2**53)])


@pytest.mark.parametrize(
    ("tamper", "found"),
    [
        (changed, ["4: it was changed: its digest is not that of its contents"]),
        (
            changed_with_a_digest,
            ["5: it does not follow the line before: one of the two was replaced"],
        ),
        (
            damaged,
            ["4: it cannot be read, so it was changed or damaged: "
             "no JSON from line 1, column 17 on"],
        ),
        (removed, ["0: lines were removed: sequence 3 to 4"]),
        (removed_first, ["0: lines were removed: sequence 0"]),
        (
            cut_off,
            ["0: lines were cut off after sequence 5: they were seen by gpu1 up to 9, gpu2 up to 7"],
        ),
        (reordered, ["5: it was moved: sequence 3 follows 4"]),
        (repeated, ["5: it repeats sequence 3"]),
        (
            rewritten,
            [f"{line}: it is not the line that {host} saw: the log was written anew here or before"
             for line, host in ((5, "gpu1"), (8, "gpu2"), (10, "gpu1"))],
        ),
        (
            rewritten_from_a_line_on,
            [f"{line}: it is not the line that {host} saw: the log was written anew here or before"
             for line, host in ((8, "gpu2"), (10, "gpu1"))],
        ),
        (
            lifted,
            ["10: it was changed: its digest is not that of its contents",
             f"0: lines were removed: sequence 9 to {2**53 - 1}"],
        ),
    ],
    ids=lambda each: each.__name__ if callable(each) else "",
)  # fmt: skip
def test_tampering_is_named(tamper: Callable[[list[Line]], list[bytes]], found: list[str]) -> None:
    assert words(tamper(TEN)) == found


def test_without_hosts_a_cut_and_a_rewriting_are_not_seen() -> None:
    """The reason why hosts keep heads."""
    assert words(cut_off(TEN), []) == words(rewritten(TEN), []) == []


def test_a_part_of_a_line_is_no_fault_unless_a_host_has_seen_the_whole_line() -> None:
    found = examine(texts(TEN[:9]), b'{"sequence": 9', [HEADS[0]])
    assert (found.faults, found.torn) == ((), 14)
    assert examine(texts(TEN[:9]), b'{"sequence": 9', HEADS).faults


def test_a_log_that_is_gone_is_named_by_what_hosts_have_seen() -> None:
    new = made(2, log="b" * 32)
    assert examine(texts(new), b"", HEADS).faults == ()
    assert removed_logs(HEADS, ["b" * 32], MACHINE) == (
        f"the log {LOG} of this machine is gone: gpu1 has seen 10 lines of it",
    )
    assert removed_logs(HEADS, [LOG], MACHINE) == ()
    # The log of another ops machine is not here, of course.
    assert removed_logs(HEADS, ["b" * 32], "ops2:/home/ops/.toolkit") == ()


def test_no_two_records_share_the_text_of_their_digest() -> None:
    """Without lengths these fields would run into each other."""
    records: list[dict[str, Any]] = [
        {"ab": "c"},
        {"a": "bc"},
        {"a": "b", "c": ""},
        {"a": 1},
        {"a": "1"},
    ]
    assert len({next_line(None, each).digest for each in records}) == len(records)


@pytest.mark.parametrize(
    "record",
    [{"text": "Zeile \udcff \u2028 \x00"}, {"at": 0.1, "deep": {"b": [1, None], "a": "ä"}}],
)
def test_a_line_is_the_same_once_it_is_read(record: dict[str, Any]) -> None:
    line = next_line(None, record)
    assert parse_line(line.text.encode(errors="replace").rstrip(b"\n")).is_whole


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        json.dumps({"sequence": -1, "previous": "", "digest": "", "record": {}}).encode(),
    ],
)
def test_what_is_no_line_is_a_value_error(text: bytes) -> None:
    with pytest.raises(ValueError):
        parse_line(text)


def test_the_lines_of_a_command_are_one_entry() -> None:
    lines = [next_line(None, {"event": "genesis"})]
    for record in (
        {
            "event": "begin",
            "id": "x",
            "at": 5.0,
            "model": "tiny",
            "who": {"user": "ops", "login": "ann"},
        },
        {"event": "begin", "id": "y", "at": 6.0, "model": "big", "who": {"user": "ops"}},
        {"event": "end", "id": "x", "outcome": "done"},
        {"event": "refused", "id": "z", "at": 7.0, "model": "tiny", "who": {"user": "bob"}},
        {
            "event": "found",
            "id": "g",
            "at": 8.0,
            "model": "big",
            "host": "gpu1",
            "gate": "bake",
            "verdict": "failed",
        },
    ):
        lines.append(next_line(lines[-1], record))
    found = entries(lines)
    assert [(each.id, each.outcome, each.sequences) for each in found] == [
        ("x", "done", (1, 3)), ("y", "no outcome", (2,)), ("z", "refused", (4,)),
        ("g", "failed", (5,)),
    ]  # fmt: skip
    assert [each.id for each in chosen(found, model="tiny")] == ["x", "z"]
    assert [each.id for each in chosen(found, who="ann")] == ["x"]
    assert [each.id for each in chosen(found, since=5.5)] == ["y", "z", "g"]
    assert [(each["host"], each["gate"]) for each in found[3].as_json()["gates"]] == [
        ("gpu1", "bake")
    ]
