"""Golden prompts are drafted from the serving release's answers, only where an operator asks for it."""

# One row of a table is one line, however long.
# ruff: noqa: E501

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.workflows.test_gates import OLD, host
from toolkit.adapters.matching.matching import matching
from toolkit.config.golden.draft import read_requests
from toolkit.config.golden.reading import read_golden
from toolkit.domain.gates.golden import Expectation, Range, ToolCall
from toolkit.errors import HostError, InputError
from toolkit.planning.guard.drafts import drafted
from toolkit.planning.guard.kinds import Said
from toolkit.workflows.guard.record import record_golden
from toolkit.workflows.guard.serving import serving_place

LONG = "In the year 1789 the people of Paris stormed the Bastille."


def silent(_: str) -> None:
    """Nobody listens."""


@pytest.mark.parametrize(
    ("said", "expect"),
    [
        ([Said("Paris"), Said(" Paris\n")], {"exact": "Paris"}),
        ([Said("Paris"), Said("Paris.")], {"refusal": False, "length": {"least": 2, "most": 12}}),
        ([Said(LONG)], {"refusal": False, "length": {"least": 29, "most": 116}}),
        ([Said('{"a": 1, "b": 2}'), Said('{"b": 3}')], {"json_schema": {"type": "object", "required": ["b"]}}),
        ([Said("I'm sorry, but I can't help with such a request."), Said("I cannot help with that.")], {"refusal": True}),
        ([Said("", (ToolCall("w", {"a": 1}),)), Said("", (ToolCall("w", {"a": 1}),))], {"tool_call": {"name": "w", "arguments": {"a": 1}}}),
        ([Said("", (ToolCall("w", {"a": 1}),)), Said("", (ToolCall("w", {"a": 2}),))], {"tool_call": {"name": "w"}}),
    ],
)  # fmt: skip
def test_a_draft_expects_what_all_answers_had(said: list[Said], expect: dict[str, Any]) -> None:
    assert drafted(said) == expect


def answers(version: str, payload: Mapping[str, Any]) -> str:
    return LONG if "tell" in str(payload["messages"]) else "Paris"


def test_a_recorded_file_can_be_read_and_only_by_its_owner(tmp_path: Path) -> None:
    asked = read_requests(
        "p",
        'capital: of "France"?\n\n{"prompt": "tell me", "system": "at length", "max_tokens": 9}\n',
    )
    output = tmp_path / "golden.yaml"
    assert record_golden(host(answers), OLD, asked, output, silent) == 2
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    assert '# answered: "Paris"\n' in output.read_text("utf-8")
    with matching() as fits:
        first, second = read_golden(output, fits)
    assert first.payload["messages"] == [{"role": "user", "content": 'capital: of "France"?'}]
    assert first.expect == Expectation(exact="Paris")
    assert second.payload["messages"][0] == {"role": "system", "content": "at length"}
    assert second.expect == Expectation(refusal=False, length=Range(29, 116))


def test_a_file_that_exists_is_kept(tmp_path: Path) -> None:
    (tmp_path / "golden.yaml").write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        record_golden(host(answers), OLD, [{"prompt": "a"}], tmp_path / "golden.yaml", silent)
    assert (tmp_path / "golden.yaml").read_text() == "mine"


def test_a_prompt_without_an_answer_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"asked prompt 1, tiny #1 \(v1\) answered nothing"):
        record_golden(host(lambda *_: ""), OLD, [{"prompt": "a"}], tmp_path / "golden.yaml", silent)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "p has 0 prompts, not 1 to 2000"),
        ("hi\n{\n", "p:2: no JSON: "),
        ('{"promt": "a"}', "p:1: unknown field 'promt'"),
        ('{"system": "a"}', "p:1: no `prompt` and no `messages`"),
        ("hi\n" * 2001, "p has 2001 prompts, not 1 to 2000"),
    ],
)
def test_prompts_that_are_none_are_refused(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read_requests("p", text)
    assert caught.value.message.startswith(message)


def test_a_model_that_nobody_serves_cannot_be_recorded() -> None:
    with pytest.raises(InputError, match="tiny serves on none of these hosts"):
        serving_place([host(answers)], "tiny", ())
