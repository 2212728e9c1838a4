"""Patterns and schemas of golden prompts, whatever they are, are matched within their time."""

from __future__ import annotations

from typing import Any

import pytest

from tests.pace import Pace
from toolkit.adapters.matching.matching import matching
from toolkit.domain.gates.golden import Fit


def test_texts_fit_or_do_not() -> None:
    with matching() as fits:
        assert fits(Fit("It is Paris.", regex="P[a-z]+s")) == ""
        assert fits(Fit("It is Rome.", regex="P[a-z]+s")) == "no match"
        schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
        assert fits(Fit('{"n": 5}', json_schema=schema)) == ""
        assert fits(Fit('{"n": "5"}', json_schema=schema)) == "n: '5' is not of type 'integer'"
        assert fits(Fit("{}", json_schema=schema)) == "it: 'n' is a required property"
        assert str(fits(Fit("n = 5", json_schema=schema))).startswith("no JSON: ")


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("a" * 64 + "!", {"regex": "(a+)+$"}),
        ("a" * 5000, {"regex": ".*.*.*x"}),
        (f'"{"a" * 64}!"', {"json_schema": {"pattern": "(a+)+$"}}),
    ],
)
def test_what_runs_for_ever_ends_and_the_next_question_is_answered(
    text: str, pattern: dict[str, Any], pace: Pace
) -> None:
    started = pace()
    with matching(seconds=0.1) as fits:
        assert fits(Fit(text, **pattern)) is None
        assert fits(Fit("ok", regex="o")) == ""
    assert pace() - started < 10


def test_a_reference_to_elsewhere_is_not_fetched() -> None:
    with matching() as fits:
        fault = fits(Fit("1", json_schema={"$ref": "http://127.0.0.1:1/schema"}))
    assert fault is not None
    assert "Unresolvable" in fault


def test_nothing_is_started_where_nothing_is_asked() -> None:
    with matching() as fits:
        assert callable(fits)
