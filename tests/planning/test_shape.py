"""The form of answers: which keys are gone, and what of that is allowed."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.planning.facts import release
from toolkit.domain.gates.golden import Expectation, GoldenPrompt
from toolkit.domain.gates.guard import Shape
from toolkit.domain.gates.kind import Kind
from toolkit.domain.gates.verdict import Verdict
from toolkit.domain.registry.release_parts import Check
from toolkit.domain.replicas.answers import Answer
from toolkit.planning.guard.shape import judge_shape, keys_of, questions_of, wrong_in


def keys(*values: Any) -> frozenset[str]:
    if len(values) == 1:
        return keys_of(Answer(200, json.dumps(values[0])))
    return keys_of(Answer(200, events=tuple(map(json.dumps, values))))


def test_keys_are_paths_whatever_the_values() -> None:
    value = {"id": 1, "choices": [{"message": {"content": None}}, {"index": 1}], "usage": {}}
    assert keys(value) == {
        "id",
        "choices",
        "choices.message",
        "choices.message.content",
        "choices.index",
        "usage",
    }


def test_the_events_of_a_stream_count_together() -> None:
    first, second = (
        {"choices": [{"delta": {"role": "a"}}]},
        {"choices": [{"delta": {"content": "b"}}]},
    )
    assert keys(first, second) == {
        "choices",
        "choices.delta",
        "choices.delta.role",
        "choices.delta.content",
    }


@pytest.mark.parametrize("text", ["", "[]", "no", '{"a": ', "[" * 9000])
def test_what_is_no_mapping_has_no_keys(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        keys_of(Answer(200, text))


OLD = keys({"id": 1, "choices": [{"message": {"content": "", "reasoning_content": ""}}]})
RENAMED = keys({"id": 1, "choices": [{"message": {"content": "", "reasoning": ""}}]})
MORE = keys(
    {"id": 1, "choices": [{"message": {"content": "", "reasoning_content": ""}}], "tier": {"a": 1}}
)
BARE = keys({"id": 1})
GONE = "a chat: choices.message.reasoning_content gone"
NEW = "a chat: new choices.message.reasoning"


@pytest.mark.parametrize(
    ("allow", "new", "verdict", "reason"),
    [
        ([], OLD, Verdict.PASSED, ""),
        ([], RENAMED, Verdict.FAILED, f"{GONE}; {NEW}"),
        (["choices.message.reasoning_content"], RENAMED, Verdict.PASSED, NEW),
        (["choices.message"], RENAMED, Verdict.PASSED, NEW),
        (["choices.mess"], RENAMED, Verdict.FAILED, f"{GONE}; {NEW}"),
        (["*"], RENAMED, Verdict.PASSED, NEW),
        # a client passes over what it does not know
        ([], MORE, Verdict.PASSED, "a chat: new tier, tier.a"),
        # what lies below a key that is gone needs no words of its own
        ([], BARE, Verdict.FAILED, "a chat: choices gone"),
    ],
)  # fmt: skip
def test_a_key_that_is_gone_fails_unless_it_is_allowed(
    allow: list[str], new: frozenset[str], verdict: Verdict, reason: str
) -> None:
    result = judge_shape(
        Shape(tuple(allow)), {"a chat": new, "only new": BARE}, {"a chat": OLD, "only old": OLD}, {}
    )
    assert (result.gate, result.verdict, result.reason) == ("shape", verdict, reason)
    assert [each.name for each in result.figures] == [
        "keys of answers",
        "keys that are gone",
        "keys that are new",
        "values that cannot be",
    ]


@pytest.mark.parametrize(
    ("allow", "verdict", "reason"),
    [
        (
            [],
            Verdict.FAILED,
            "a chat: another; a chat: wrong; a chat: new choices.message.reasoning",
        ),
        (["model"], Verdict.FAILED, "a chat: wrong; a chat: new choices.message.reasoning"),
        (
            ["model", "choices.finish_reason"],
            Verdict.PASSED,
            "a chat: new choices.message.reasoning",
        ),
        (["*"], Verdict.PASSED, "a chat: new choices.message.reasoning"),
    ],
)
def test_a_value_that_cannot_be_fails_unless_its_key_is_allowed(
    allow: list[str], verdict: Verdict, reason: str
) -> None:
    wrong = {"a chat": {"model": "another", "choices.finish_reason": "wrong"}}
    allowed = Shape((*allow, "choices.message.reasoning_content"))
    result = judge_shape(allowed, {"a chat": RENAMED}, {"a chat": OLD}, wrong)
    assert (result.verdict, result.reason) == (verdict, reason)


def test_the_values_of_a_stream_are_held_to_the_request() -> None:
    first = {"model": "tiny", "choices": [{"delta": {"content": "b"}, "finish_reason": None}]}
    last = {"model": "tiny", "choices": [{"delta": {}, "finish_reason": "eos"}]}
    answer = Answer(200, events=tuple(map(json.dumps, (first, last))))
    assert wrong_in({"model": "tiny"}, answer).keys() == {"choices.finish_reason"}
    assert wrong_in({"model": "sql"}, answer).keys() == {"choices.finish_reason", "model"}


def asked(*kinds: str, prompts: tuple[GoldenPrompt, ...] = ()) -> list[str]:
    held = replace(release(1), checks=tuple(Check("hi", kind=kind) for kind in kinds))
    return [
        f"{each.way}{' *' if each.payload.get('stream') else ''}"
        for each in questions_of(held, prompts)
    ]


def test_a_model_is_asked_as_its_checks_and_golden_prompts_are() -> None:
    assert asked() == asked("chat") == ["a chat", "a chat as a stream *"]
    assert asked("embedding", "embedding") == ["an embedding"]
    assert asked("completion", "rerank") == [
        "a completion",
        "a completion as a stream *",
        "a rerank",
    ]
    assert asked("transcription") == ["a transcription"]
    tools = GoldenPrompt("t", "x:1", Kind.CHAT, {"messages": [], "tools": []}, Expectation())
    plain = GoldenPrompt("p", "x:2", Kind.CHAT, {"messages": []}, Expectation())
    both = [
        "a chat",
        "a chat as a stream *",
        "a chat with tools",
        "a chat with tools as a stream *",
    ]
    assert asked("chat", prompts=(plain, tools, tools)) == both
