"""Golden prompts are drafted from the serving release's answers, only where an operator asks for it."""

# One row of a table is one line, however long.
# ruff: noqa: E501

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.workflows.test_gates import OLD, Says, host
from toolkit.adapters.matching.matching import matching
from toolkit.config.golden.draft import read_requests
from toolkit.config.golden.reading import read_golden
from toolkit.domain.gates.golden import Expectation, GoldenPrompt, Range, ToolCall
from toolkit.domain.replicas.answers import Answer
from toolkit.errors import HostError, InputError, ToolkitError
from toolkit.planning.guard.drafts import drafts
from toolkit.planning.guard.kinds import Said
from toolkit.workflows.guard.record import record_golden
from toolkit.workflows.guard.replicas import serving_replica

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
    assert next(drafts(said)) == expect


def test_a_wider_draft_follows_a_narrow_one() -> None:
    call = ToolCall("w", {"a": 1})
    assert [*drafts([Said("", (call,))])] == [
        {"tool_call": {"name": "w", "arguments": {"a": 1}}},
        {"tool_call": {"name": "w"}},
    ]
    assert [*drafts([Said("Paris")])] == [
        {"exact": "Paris"},
        {"refusal": False, "length": {"least": 2, "most": 10}},
    ]


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
    said: list[str] = []
    with pytest.raises(InputError, match="exists already"):
        record_golden(host(answers), OLD, [{"prompt": "a"}], tmp_path / "golden.yaml", said.append)
    assert (said, (tmp_path / "golden.yaml").read_text()) == ([], "mine")


def test_a_prompt_without_an_answer_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"asked prompt 1, tiny #1 \(v1\) answered nothing"):
        record_golden(host(lambda *_: ""), OLD, [{"prompt": "a"}], tmp_path / "golden.yaml", silent)
    assert list(tmp_path.iterdir()) == []


def recorded(
    tmp_path: Path, asked: list[dict[str, Any]], says: Says, name: str = "golden.yaml"
) -> tuple[list[str], list[str], tuple[GoldenPrompt, ...]]:
    """Return the requests' contents, what is said, and the prompts of the file."""
    contents: list[str] = []
    notes: list[str] = []
    found = host(says)
    given = found.ask

    def ask(port: int, path: str, payload: Mapping[str, Any], timeout: float) -> Answer:
        contents.append(str(payload["messages"][-1]["content"]))
        return given(port, path, payload, timeout)

    found.ask = ask  # type: ignore[method-assign]
    try:
        count = record_golden(found, OLD, asked, tmp_path / name, notes.append)
    except ToolkitError:
        assert list(tmp_path.iterdir()) == []
        raise
    with matching() as fits:
        prompts = read_golden(tmp_path / name, fits)
    assert len(prompts) == count
    return contents, notes, prompts


@pytest.mark.parametrize(
    ("answer", "expect"),
    [
        ("12\u202f000\u00a0\u20ac", Expectation(exact="12\u202f000\u00a0\u20ac")),
        ("a\tb", Expectation(exact="a\tb")),
        ("\x1b[1mParis", Expectation(refusal=False, length=Range(4, 18))),
        ("a\x7fb", Expectation(refusal=False, length=Range(1, 6))),
        ('{"a\x85b": 1}', Expectation(refusal=False, length=Range(5, 20))),
        ("null", Expectation(exact="null")),
    ],
)
def test_each_answer_makes_a_file_that_gates_read(
    tmp_path: Path, answer: str, expect: Expectation
) -> None:
    _, _, (prompt,) = recorded(tmp_path, [{"prompt": "a"}], lambda *_: answer)
    assert prompt.expect == expect


def test_a_prompt_that_is_given_twice_is_asked_once(tmp_path: Path) -> None:
    asked = [{"prompt": "a"}, {"prompt": "b"}, {"name": "n", "prompt": "a", "max_tokens": 256}]
    contents, notes, prompts = recorded(tmp_path, asked, answers)
    assert contents == ["a"] * 3 + ["b"] * 3
    assert notes == [
        f"prompts and answers of tiny #1 (v1) are written to {tmp_path / 'golden.yaml'}, in plain text",
        "1 of 3 prompts stand there twice and are asked once",
    ]
    assert [each.payload["messages"][0]["content"] for each in prompts] == ["a", "b"]


def test_a_long_prompt_is_kept_as_it_is(tmp_path: Path) -> None:
    prompt = "it's " * 3000 + "over"
    tool = {"type": "function", "function": {"name": "w", "description": "word " * 9000}}
    _, _, (found,) = recorded(tmp_path, [{"prompt": prompt, "tools": [tool]}], answers)
    assert found.payload["messages"][0]["content"] == prompt
    assert found.payload["tools"] == [tool]


def test_the_time_limit_of_a_prompt_is_kept(tmp_path: Path) -> None:
    found = host(answers)
    limits: list[float] = []
    given = found.ask

    def ask(port: int, path: str, payload: Mapping[str, Any], timeout: float) -> Answer:
        limits.append(timeout)
        return given(port, path, payload, timeout)

    found.ask = ask  # type: ignore[method-assign]
    prompts = [{"prompt": "a", "timeout": "5s"}]
    record_golden(found, OLD, prompts, tmp_path / "golden.yaml", silent)
    assert limits == [5.0] * 3


def test_narrow_drafts_that_make_no_file_together_are_left_for_wide_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolkit.config.yaml_text.MAX_VALUES", 200)
    answer = json.dumps({f"key {number}": 1 for number in range(20)})
    asked = [{"prompt": f"p{number}"} for number in range(10)]
    _, _, prompts = recorded(tmp_path, asked, lambda *_: answer)
    assert len(prompts) == 10
    assert {each.expect.json_schema for each in prompts} == {None}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ([{"prompt": "a"}, {"prompt": "x" * 17_000}], "prompt 2: prompt: more than 16384 characters"),
        ([{"prompt": "a"}, {"prompt": "a\x1b"}], "prompt 2: a text with the control character '\\x1b'"),
        ([{"prompt": "a", "sampling": {"stop": "a\x85b"}}], "prompt 1: control character '\\x85'; this is no text file"),
        ([{"prompt": "a", "sampling": {"n": 2}}], "prompt 1: `n` asks for several answers in one"),
        ([{"messages": "hi"}], "prompt 1: messages: expected a list, not the text 'hi'"),
        ([{"prompt": "a", "sampling": {"stop": "x" * 25_000}}], "prompt 1: a line of 25006 characters"),
        ([{"name": "n", "prompt": "a"}, {"name": "n", "prompt": "b"}], "the prompts make no file of golden prompts: two prompts are called 'n'; the other in line 5"),
        ([{"prompt": f"p{number}"} for number in range(20)], "the prompts make no file of golden prompts: more than 200 values"),
    ],
)  # fmt: skip
def test_prompts_that_no_file_can_have_are_refused_before_they_are_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: list[dict[str, Any]], message: str
) -> None:
    monkeypatch.setattr("toolkit.config.yaml_text.MAX_VALUES", 200)

    def says(version: str, payload: Mapping[str, Any]) -> str:
        raise AssertionError(payload)

    with pytest.raises(InputError) as caught:
        recorded(tmp_path, asked, says)
    assert caught.value.message == message


def test_a_draft_is_no_jsonl(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is to be JSONL, and a draft is YAML"):
        recorded(tmp_path, [{"prompt": "a"}], answers, "golden.jsonl")


def test_a_call_of_a_tool_that_nobody_offered_is_nothing_to_expect(tmp_path: Path) -> None:
    call = {"function": {"name": "other", "arguments": "{}"}}
    message = {"choices": [{"message": {"content": None, "tool_calls": [call]}}]}
    found = host(answers)
    found.ask = lambda *_: Answer(200, json.dumps(message))  # type: ignore[method-assign]
    words = r"asked prompt 1, tiny #1 \(v1\) called a tool that the prompt does not have"
    with pytest.raises(HostError, match=words):
        record_golden(found, OLD, [{"prompt": "a"}], tmp_path / "golden.yaml", silent)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "p has 0 prompts, not 1 to 2000"),
        ("hi\n{\n", "p:2:2: no JSON: Expecting property name enclosed in double quotes"),
        ('{"promt": "a"}', "p:1: unknown field 'promt'"),
        ('{"%s": "a"}' % ("x" * 9000), f"p:1: unknown field '{'x' * 57}...'"),
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
        serving_replica([host(answers)], "tiny", ())
