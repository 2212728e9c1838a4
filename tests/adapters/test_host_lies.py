"""A host that lies, or whose login prints something: each answer ends in an error of the tree, and nothing waits."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any

import pytest

from tests.fuzz.of_hosts import FACTS, complete
from toolkit.adapters.hosts import dialog as dialogs
from toolkit.adapters.hosts.dialog import Dialog, Ended
from toolkit.adapters.hosts.facts import facts_from_json, owner_from_json
from toolkit.domain.replicas.probe import LockOwner
from toolkit.errors import HostError


def talk(script: str, title: str = "gpu1") -> list[dict[str, Any]]:
    dialog = Dialog([sys.executable, "-c", script], title=title)
    try:
        return list(dialog.answers())
    finally:
        dialog.kill()
        dialog.end()


LINES = [
    ("print('Welcome to gpu1!')", "Expecting value"),
    ("print('[1]')", "neither an event nor a result"),
    ("print('{}')", "neither an event nor a result"),
    ("print('[' * 100000)", "deeper than 64 levels"),
    ("print('{\"result\": ' + '[' * 100 + ']' * 100 + '}')", "deeper than 64 levels"),
    ("print('{\"result\": NaN}')", "no finite number"),
    ('print(\'{"result": 1, "result": 2}\')', "stands twice"),
    ("import os; os.write(1, bytes([255, 10]))", "decode"),
]


@pytest.mark.parametrize(("script", "why"), LINES, ids=range(len(LINES)))
def test_a_line_that_is_no_answer_is_an_error_of_that_host(script: str, why: str) -> None:
    with pytest.raises(HostError, match=r"^gpu1 gives an answer that is none") as caught:
        talk(script)
    assert why in caught.value.message
    assert caught.value.hint


def test_a_line_without_an_end_is_not_read_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialogs, "LINE", 100_000)
    with pytest.raises(HostError, match="larger than 100000 bytes"):
        talk("import sys\nwhile True: sys.stdout.write('x' * 65536)")


def test_a_process_that_says_much_on_its_standard_error_does_not_wait_for_ever() -> None:
    """A pipe holds 64 KiB; the words at the end are those that count."""
    with pytest.raises(Ended) as caught:
        talk("import sys; sys.stderr.write('x' * 2**20 + 'the reason'); sys.exit(7)")
    assert caught.value.code == 7
    assert caught.value.words.endswith("the reason")
    assert len(caught.value.words) <= 2**16


def test_an_odd_name_of_a_file_is_shown_with_a_question_mark() -> None:
    assert talk('print(\'{"result": "a\\\\udcff"}\')') == [{"result": "a?"}]


ODD = [
    {"memory": "much"},
    {"memory": 2**70},
    {"memory": True},
    {"observed_at": None},
    {"os": ["Debian"]},
    {"engines": [1]},
    {"devices": [{"index": 0}]},
    {"devices": [{"index": "0", "name": "x", "memory": 1, "memory_free": 1}]},
    {"slots": [{"model": "tiny"}]},
    {"slots": 5},
    {"router": None},
    {"lock": {}},
    {"used_ports": [None]},
    {"routes": []},
]


@pytest.mark.parametrize("changed", ODD, ids=range(len(ODD)))
def test_odd_facts_are_an_error_of_that_host(changed: dict[str, Any]) -> None:
    facts = complete(FACTS)
    assert asdict(facts_from_json("gpu1", facts))["memory"] == 2**34
    with pytest.raises(HostError, match=r"^gpu1: its answer is not understood"):
        facts_from_json("gpu1", {**facts, **changed})


def test_an_odd_answer_is_quoted_in_part() -> None:
    with pytest.raises(HostError) as caught:
        facts_from_json("gpu1", {**complete(FACTS), "observed_at": "x" * 100_000})
    assert len(caught.value.message) < 400


@pytest.mark.parametrize(
    "odd", [{"pid": "x"}, {"pid": -1}, {"since": "x"}, {"since": [1]}, {"pid": 10**400}]
)
def test_an_odd_owner_of_a_lock_is_an_unknown_one(odd: dict[str, Any]) -> None:
    owner = {"actor": "a@b", "command": "deploy", "pid": 5, "since": 1000.5}
    assert owner_from_json(owner) == LockOwner("a@b", "deploy", 5, 1000.5)
    assert owner_from_json({**owner, **odd}) == LockOwner("a@b", "deploy", 0)
    assert owner_from_json({"since": 1e300}).since < 1e12
