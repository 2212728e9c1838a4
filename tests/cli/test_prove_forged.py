"""No field, byte or line of evidence can be changed, whoever changes it."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.cli.evidence_site import ID, checked, fleet, head_of, logged, place_of, proved
from tests.cli.test_json import Fleet
from toolkit.adapters.audit.log import AuditLog
from toolkit.check_evidence import NotEvidence, check, digest_of, line_digest
from toolkit.cli.commands.prove import CHECKER
from toolkit.planning.evidence.proof import evidence_text
from toolkit.planning.upkeep.audit import examine

__all__ = ["fleet"]


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield the path and the value of each field that is no list and no object, and of each empty one."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for name, each in items:
        if isinstance(each, (dict, list)) and each:
            yield from leaves(each, (*path, name))
        else:
            yield (*path, name), each


def flipped(value: Any) -> Any:
    """Return another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return ("0" if value[:1] != "0" else "1") + value[1:]
    if isinstance(value, (int, float)):
        return value + 1
    return "0"


def with_value(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    found = copy.deepcopy(document)
    place = found
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    return found


def is_found(document: Any, head: tuple[int, str] | None) -> bool:
    try:
        return check(evidence_text(document).encode(), head).wrong
    except NotEvidence:
        return True


def test_each_field_that_is_changed_is_found(fleet: Fleet) -> None:
    logged(fleet)
    told = proved(fleet, f"prove --request-id {ID}")
    document = json.loads(place_of(fleet).read_text())
    assert not is_found(document, None)
    fields = list(leaves(document))
    assert len(fields) > 150
    missed = [
        path
        for path, value in fields
        if not is_found(with_value(document, path, flipped(value)), None)
        # The last digest is that of the head: it is found by whoever has the head.
        and not is_found(with_value(document, path, flipped(value)), head_of(told))
    ]
    assert missed == []


def test_each_field_that_is_left_out_is_found(fleet: Fleet) -> None:
    proved(fleet)
    document = json.loads(place_of(fleet).read_text())
    for path, _ in leaves(document):
        found = copy.deepcopy(document)
        place = found
        for name in path[:-1]:
            place = place[name]
        del place[path[-1]]
        assert is_found(found, None), path


def test_each_byte_that_is_changed_is_found(fleet: Fleet) -> None:
    told = proved(fleet)
    data = place_of(fleet).read_bytes()
    # Each byte of a part, and every 37th of the rest: a check takes a millisecond.
    for at in (*range(400), *range(400, len(data), 37), len(data) - 1):
        for other in (data[at] ^ 1, 32):
            if other == data[at]:
                continue
            changed = data[:at] + bytes([other]) + data[at + 1 :]
            try:
                assert check(changed, head_of(told)).wrong, at
            except NotEvidence:
                continue
    for changed in (data + b"\n", data[:-1], b" " + data, b"", b"[]\n"):
        with pytest.raises(NotEvidence):
            check(changed, None)


def test_evidence_that_was_written_anew_has_another_head(fleet: Fleet) -> None:
    """Whoever has the toolkit can compute all digests anew; the head that others keep is what stops that."""
    told = proved(fleet)
    document = json.loads(place_of(fleet).read_text())
    forged = with_value(document, ("content", "release", "revision"), "f" * 40)
    content, lines = forged["content"], forged["lines"]
    body = {name: each for name, each in content["release"].items() if name != "does"}
    content["release_digest"] = digest_of(body)
    for host in content["hosts"]:
        for slot in host["slots"]:
            slot["release_digest"] = content["release_digest"]
    lines[-1]["record"]["plan"] = digest_of(content)
    for number, line in enumerate(lines):
        record = line["record"]
        if "release_digests" in record:
            record["release_digests"] = dict.fromkeys(
                record["release_digests"], content["release_digest"]
            )
        line["previous"] = lines[number - 1]["digest"] if number else line["previous"]
        line["digest"] = line_digest(line["previous"], line["sequence"], record)
    assert not is_found(forged, None)
    found = check(evidence_text(forged).encode(), head_of(told))
    assert [words for kind, words in found.lines if kind == "WRONG"] == [
        f"its head is {lines[-1]['sequence']}:{lines[-1]['digest']} and not "
        f"{told['head']}: another log, or one written anew"
    ]


def recorded(document: Any) -> Any:
    """Return a document whose last line names its content, as whoever has the toolkit can write it."""
    found = copy.deepcopy(document)
    line = found["lines"][-1]
    line["record"]["plan"] = digest_of(found["content"])
    line["digest"] = line_digest(line["previous"], line["sequence"], line["record"])
    return found


def wrong(document: Any) -> list[str]:
    found = check(evidence_text(document).encode(), None)
    return [words for kind, words in found.lines if kind == "WRONG"]


def test_the_files_of_another_host_are_no_evidence_for_an_answer(fleet: Fleet) -> None:
    slot = logged(fleet)
    proved(fleet, f"prove --request-id {ID}")
    document = json.loads(place_of(fleet).read_text())
    label, own = slot.split(".")
    assert [each["label"] for each in document["content"]["hosts"]] == [label]
    other = f"elsewhere.{own}"
    for part in ("answer", "logged"):
        document["content"][part]["slot"] = other
    assert wrong(recorded(document)) == [
        f"slot {other} answered, and no files were hashed on its host, elsewhere"
    ]
    # A file of an older toolkit does not say it.
    for host in document["content"]["hosts"]:
        del host["label"]
    found = check(evidence_text(recorded(document)).encode(), None)
    assert not found.wrong
    words = f"nothing here says whether files were hashed on the host of slot {other}"
    assert ("note", words) in found.lines


def test_a_slot_without_a_host_is_one_of_the_router_that_logged_it(fleet: Fleet) -> None:
    logged(fleet, slot="green")
    proved(fleet, f"prove --request-id {ID}")
    document = json.loads(place_of(fleet).read_text())
    assert wrong(document) == []
    document["content"]["logged"]["host"] = "elsewhere"
    assert wrong(recorded(document)) == [
        "slot green answered, and no files were hashed on its host, elsewhere"
    ]


def test_a_slot_that_has_another_release_by_now_is_named(fleet: Fleet) -> None:
    slot = logged(fleet)
    proved(fleet, f"prove --request-id {ID}")
    document = json.loads(place_of(fleet).read_text())
    words = f"slot {slot} answered, and runs this release no more"
    assert ("note", words) not in check(evidence_text(document).encode(), None).lines
    document["content"]["hosts"][0]["slots"][0]["slot"] = "other"
    found = check(evidence_text(recorded(document)).encode(), None)
    assert ("note", words) in found.lines
    assert not found.wrong


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_terminal_that_lacks_a_letter_changes_no_verdict(fleet: Fleet, encoding: str) -> None:
    proved(fleet)
    document = json.loads(place_of(fleet).read_text())
    document["content"]["licence"]["reason"] = "gepr\u00fcft \u65e5"
    place_of(fleet).write_text(evidence_text(recorded(document)))
    done = subprocess.run(
        [sys.executable, str(CHECKER), str(place_of(fleet))],
        capture_output=True, env={"PYTHONIOENCODING": encoding}, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (3, b"")
    assert b"\\u65e5\n" in done.stdout


def test_no_text_of_the_file_can_begin_a_line_or_hide_one(fleet: Fleet) -> None:
    proved(fleet)
    document = json.loads(place_of(fleet).read_text())
    reason = "mit\nok     its head is the one that was given\nIt holds.\x1b[8m\u202e"
    document["content"]["licence"]["reason"] = reason
    place_of(fleet).write_text(evidence_text(recorded(document)))
    found = checked(place_of(fleet))
    assert found.code == 3
    assert (
        "\nok     licence: mit\\nok     its head is the one that was given\\nIt holds.\\x1b[8m\\u202e\n"
        in found.out
    )
    document["format"] = "\x1b[2Jtoolkit"
    place_of(fleet).write_text(evidence_text(document))
    assert "\x1b" not in checked(place_of(fleet)).err


@pytest.mark.parametrize("word", ["Infinity", "-Infinity", "NaN"])
def test_a_number_without_an_end_is_none(word: str) -> None:
    line = {"digest": "", "previous": "", "record": {}, "sequence": float(word)}
    document = {"content": {}, "format": "toolkit evidence 1", "lines": [line]}
    text = json.dumps(document, indent=1, sort_keys=True) + "\n"
    with pytest.raises(NotEvidence, match=f"{word} is no number"):
        check(text.encode(), None)


def test_half_a_letter_in_the_place_of_a_question_mark_is_found(fleet: Fleet) -> None:
    """The log's digests take the one for the other."""
    assert fleet("stop tiny --yes --reason why?").code == 0
    assert fleet("deploy tiny@v2 --yes --reason why?").code == 0
    proved(fleet)
    text = place_of(fleet).read_text()
    assert "why?" in text
    assert checked(place_of(fleet)).code == 3
    place_of(fleet).write_text(text.replace("why?", "why\\ud800"))
    found = checked(place_of(fleet))
    assert (found.code, found.out) == (2, "")


def test_lists_that_are_nested_too_deeply_are_no_evidence_and_no_heads(tmp_path: Path) -> None:
    """From which depth on depends on the version of Python, and on the place in the file."""
    deep = tmp_path / "deep.json"
    for depth in (900, 980, 984, 988, 992, 996, 2000, 100_000):
        record = f'{{"a": {"[" * depth}{"]" * depth}}}'
        line = f'{{"digest": "", "previous": "", "record": {record}, "sequence": 1}}'
        text = f'{{"content": {{}}, "format": "toolkit evidence 1", "lines": [{line}]}}'
        with pytest.raises(NotEvidence):
            check(text.encode(), None)
        with suppress(RecursionError):
            text = json.dumps(json.loads(text), indent=1, sort_keys=True) + "\n"
        deep.write_text(text)
        assert checked(deep).code == 2
    line = {"digest": "", "previous": "", "record": {}, "sequence": 1}
    document = {"content": {}, "format": "toolkit evidence 1", "lines": [line]}
    (tmp_path / "evidence.json").write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
    assert checked(tmp_path / "evidence.json", "--head", deep).code == 2


def test_a_file_without_an_end_is_no_evidence_and_no_heads(tmp_path: Path) -> None:
    endless = Path("/dev/zero")
    found = checked(endless)
    assert (found.code, found.err) == (2, "/dev/zero: it is larger than 64 MiB\n")
    line = {"digest": "", "previous": "", "record": {}, "sequence": 1}
    document = {"content": {}, "format": "toolkit evidence 1", "lines": [line]}
    (tmp_path / "evidence.json").write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
    assert checked(tmp_path / "evidence.json", "--head", endless).code == 2


def test_lines_that_are_moved_or_taken_out_are_found(fleet: Fleet) -> None:
    proved(fleet)
    document = json.loads(place_of(fleet).read_text())
    lines = document["lines"]
    assert len(lines) > 2
    for others in (lines[:-1], lines[:1] + lines[2:], [*reversed(lines)], [lines[0], *lines], []):
        assert is_found({**document, "lines": others}, None)


def test_the_script_computes_what_the_toolkit_computes(fleet: Fleet) -> None:
    for line in examine(*AuditLog(fleet.prompt.place / "home").read(), ()).lines:
        assert line_digest(line.previous, line.sequence, dict(line.record)) == line.digest
