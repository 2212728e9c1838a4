"""A host keeps every head that it was given, for root alone, and forgets none because of a later one."""

from __future__ import annotations

import json
import stat
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.fuzz.parser import hostside

with hostside():
    audit_heads, open_deployment = import_module("audit_heads"), import_module("open_deployment")


def head(sequence: int, log: str = "a", digest: str = "b") -> dict[str, Any]:
    return {"log": log * 32, "machine": "ops:/h", "sequence": sequence, "digest": digest * 64}


def sequences(root: Path) -> list[int]:
    return [each["sequence"] for each in audit_heads.read(str(root))["heads"]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


def test_heads_are_added_also_where_a_log_begins_anew_or_is_shorter(root: Path) -> None:
    for each in (head(1), head(5), head(5), head(3), head(3, digest="c"), head(1, log="d")):
        assert audit_heads.keep(str(root), each) == {"kept": True}
    assert sequences(root) == [1, 5, 3, 3, 1]
    files = list((root / "audit").glob("*.json"))
    assert len(files) == 2
    assert {stat.S_IMODE(each.stat().st_mode) for each in files} == {0o600}


def test_a_host_without_heads_has_none(root: Path) -> None:
    assert audit_heads.read(str(root)) == {"heads": []}


def test_old_heads_are_thinned_out_and_the_first_and_the_last_stay(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_heads, "MOST_HEADS", 8)
    for number in range(40):
        audit_heads.keep(str(root), head(number), durable=False)
    found = sequences(root)
    assert len(found) <= 8
    assert (found[0], found[-1]) == (0, 39)


@pytest.mark.parametrize(
    "wrong",
    [{}, {"log": "../../etc/x"}, {"log": "A" * 32}, {"digest": "b"}, {"sequence": "1"}, {"machine": 1}],
    ids=str,
)  # fmt: skip
def test_what_is_no_head_is_refused_before_a_file_is_named_by_it(
    root: Path, wrong: dict[str, Any]
) -> None:
    given = {**head(1), **wrong} if wrong else {}
    with pytest.raises(ValueError):
        audit_heads.keep(str(root), given)
    assert not root.exists()


def test_a_damaged_file_has_no_heads_and_takes_new_ones(root: Path) -> None:
    audit_heads.keep(str(root), head(1))
    (root / "audit" / f"{'a' * 32}.json").write_text('{"log": 1}')
    assert sequences(root) == []
    audit_heads.keep(str(root), head(2))
    assert sequences(root) == [2]


def test_a_deployment_brings_the_head_of_its_log(root: Path) -> None:
    assert open_deployment.keep(str(root), {"rollout": "r"}, head(7)) == {"kept": True}
    assert sequences(root) == [7]
    assert json.loads((root / "deployment.json").read_text()) == {"rollout": "r"}
    assert open_deployment.keep(str(root), {"rollout": "s"}) == {"kept": True}
