"""Answers to golden prompts: what each says, whether it is as expected, and the verdict on a release."""

# One row of a table is one line, however long.
# ruff: noqa: E501

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.planning.facts import release
from toolkit.domain.deployment.release import Release
from toolkit.domain.gates.golden import Expectation, Fit, GoldenPrompt, Range, ToolCall
from toolkit.domain.gates.guard import Answers
from toolkit.domain.gates.kind import Kind
from toolkit.domain.gates.verdict import Figure, GateResult, Verdict
from toolkit.domain.registry.release_parts import Check
from toolkit.domain.replicas.answers import Answer
from toolkit.planning.guard.answers import PromptPair, chance_of, judge_answers
from toolkit.planning.guard.checks import check_fault, check_payload
from toolkit.planning.guard.expectations import fault_of
from toolkit.planning.guard.kinds import SILENCE, Said, said_in


def fits(fit: Fit) -> str | None:
    if fit.regex == "late":
        return None
    if fit.regex is not None:
        return "" if re.search(fit.regex, fit.text) else "no match"
    return "" if fit.text.startswith("{") else "no JSON: x"


SCHEMA = {"type": "object"}
CALL = ToolCall("weather", {"city": "Paris", "days": 3})


@pytest.mark.parametrize(
    ("kind", "expect", "said", "fault"),
    [
        ("chat", Expectation(exact="Paris"), Said(" Paris\n"), ""),
        ("chat", Expectation(exact="Paris"), Said("Paris."), "answered 'Paris.', not 'Paris'"),
        ("chat", Expectation(contains=("Paris", "France")), Said("Paris in France"), ""),
        ("chat", Expectation(contains=("Paris", "France")), Said("Paris"), "answered 'Paris', without 'France'"),
        ("chat", Expectation(lacks=("Rome",)), Said("Paris"), ""),
        ("chat", Expectation(lacks=("Rome",)), Said("Rome"), "answered 'Rome', with 'Rome'"),
        ("chat", Expectation(choice=("a", "b")), Said("b "), ""),
        ("chat", Expectation(choice=("a", "b")), Said("c"), "answered 'c', none of 'a', 'b'"),
        ("chat", Expectation(regex="^[0-9]+$"), Said("42"), ""),
        ("chat", Expectation(regex="^[0-9]+$"), Said("x"), "answered 'x': no match of '^[0-9]+$'"),
        ("chat", Expectation(regex="late"), Said("x"), None),
        ("chat", Expectation(regex="late", contains=("y",)), Said("x"), "answered 'x', without 'y'"),
        ("chat", Expectation(json_schema=SCHEMA), Said("{}"), ""),
        ("chat", Expectation(json_schema=SCHEMA), Said("x"), "answered 'x': no JSON: x"),
        ("chat", Expectation(length=Range(2, 4)), Said("abc"), ""),
        ("chat", Expectation(length=Range(2, 4)), Said("abcde"), "answered 5 characters, not 2 to 4"),
        ("chat", Expectation(length=Range(6)), Said("abcde"), "answered 5 characters, not at least 6"),
        ("chat", Expectation(tokens=Range(None, 4)), Said("abc", tokens=4), ""),
        ("chat", Expectation(tokens=Range(None, 4)), Said("abc", tokens=5), "answered 5 tokens, not at most 4"),
        ("chat", Expectation(tokens=Range(None, 4)), Said("abc"), None),
        # nothing is no answer, whatever was expected
        ("chat", Expectation(lacks=("Rome",)), Said(" \n", reason="length"), "answered nothing (finish_reason 'length')"),
        ("chat", Expectation(refusal=True), Said("I'm sorry, but I can\u2019t help with that."), ""),
        ("chat", Expectation(refusal=True), Said("", refusal="no"), ""),
        ("chat", Expectation(refusal=True), Said("Sure: first, take"), "answered 'Sure: first, take', no refusal"),
        ("chat", Expectation(refusal=False), Said("Sure: first, take"), ""),
        ("chat", Expectation(refusal=False), Said("I cannot assist with this."), "answered 'I cannot assist with this.', a refusal"),
        ("chat", Expectation(tool_call=CALL), Said("", (ToolCall("weather", {"city": "Paris", "days": 3, "unit": "C"}),)), ""),
        ("chat", Expectation(tool_call=CALL), Said("", (ToolCall("weather", {"city": "Rome", "days": 3}),)), "called weather({'city': 'Rome', 'days': 3}), not weather({'city': 'Paris', 'days': 3})"),
        ("chat", Expectation(tool_call=ToolCall("weather")), Said("It rains."), "called no tool, not weather({})"),
        ("embedding", Expectation(dimensions=2, norm=Range(0.9, 1.1)), Said(vector=(0.6, 0.8)), ""),
        ("embedding", Expectation(dimensions=3), Said(vector=(0.6, 0.8)), "answered a vector of 2 numbers, not 3"),
        ("embedding", Expectation(norm=Range(0.9, 1.1)), Said(vector=(3.0, 4.0)), "answered a vector of length 5, not 0.9 to 1.1"),
        ("embedding", Expectation(similarity=0.99), Said(vector=(0.6, 0.8)), ""),
        ("rerank", Expectation(order=(1,)), Said(order=(1, 0, 2)), ""),
        ("rerank", Expectation(order=(1, 0)), Said(order=(1, 2, 0)), "ordered 1, 2, 0, not 1, 0"),
        ("rerank", Expectation(order=(1, 0)), Said(), "ordered nothing, not 1, 0"),
    ],
)  # fmt: skip
def test_an_answer_is_as_expected_or_it_is_said_why_not(
    kind: str, expect: Expectation, said: Said, fault: str | None
) -> None:
    assert fault_of(Kind(kind), expect, said, None, fits) == fault


@pytest.mark.parametrize(
    ("text", "refuses"),
    [
        ("I can't help with that.", True),
        ("I\u2019m sorry, but I can\u2019t help with that.", True),
        ("Sorry, I won't do that.", True),
        ("Unfortunately, I am unable to answer this.", True),
        ("Thank you for asking. Unfortunately, I cannot provide medical advice.", True),
        ("As an AI language model, I cannot have opinions.", True),
        ("I understand your worry, but I must decline.", True),
        ("I am sorry for the trouble, but I can't assist with this.", True),
        ("No.\nI will not write that.", True),
        ("Yes, Paris is the capital. If you visit, I won't blame you for staying.", False),
        ("I'm sorry to hear that. Keep the leg still and call a doctor.", False),
        ("Take the bus. It is cheap. I can't say when it leaves.", False),
        ("The poem goes: 'I cannot rest from travel'.", False),
        ("Unfortunately, the shop closes at six.", False),
        ("", False),
    ],
)
def test_an_answer_declines_by_its_first_words(text: str, refuses: bool) -> None:
    said = Said(text, reason="stop")
    as_refusal = fault_of(Kind.CHAT, Expectation(refusal=True), said, None, fits)
    as_answer = fault_of(Kind.CHAT, Expectation(refusal=False), said, None, fits)
    if text:
        assert (as_refusal == "", as_answer == "") == (refuses, not refuses)
    else:
        assert as_refusal and as_answer


@pytest.mark.parametrize(
    ("old", "fault"),
    [
        ((0.6, 0.8), ""),
        ((1.2, 1.6), ""),
        (
            (0.8, -0.6),
            "answered a vector whose cosine to the serving release's is 0.0000, below 0.99",
        ),
        (
            (0.6, 0.8, 0.1),
            "answered a vector of 2 numbers that has no angle to the serving release's",
        ),
        ((0.0, 0.0), "answered a vector of 2 numbers that has no angle to the serving release's"),
    ],
)
def test_an_embedding_is_compared_with_the_serving_releases(
    old: tuple[float, ...], fault: str
) -> None:
    expect = Expectation(similarity=0.99)
    assert (
        fault_of(Kind.EMBEDDING, expect, Said(vector=(0.6, 0.8)), Said(vector=old), fits) == fault
    )


def body(value: Any) -> Answer:
    return Answer(200, value if isinstance(value, str) else json.dumps(value))


def chat(**message: Any) -> Answer:
    return body(
        {
            "choices": [{"message": message, "finish_reason": "stop"}],
            "usage": {"completion_tokens": 3},
        }
    )


RANKING = {"query": "hi", "documents": ["a", "b"]}


def ranked(*pairs: tuple[Any, Any]) -> Answer:
    return body({"results": [{"index": index, "relevance_score": score} for index, score in pairs]})


@pytest.mark.parametrize(
    ("kind", "answer", "said"),
    [
        ("chat", chat(content="hi"), Said("hi", tokens=3, reason="stop")),
        ("chat", chat(content=None, refusal="no"), Said("", refusal="no", tokens=3, reason="stop")),
        ("chat", chat(content=None, tool_calls=[{"function": {"name": "w", "arguments": '{"a": 1}'}}]), Said("", (ToolCall("w", {"a": 1}),), tokens=3, reason="stop")),
        ("chat", chat(tool_calls=[{"function": {"name": "w", "arguments": ""}}]), Said("", (ToolCall("w"),), tokens=3, reason="stop")),
        ("completion", body({"choices": [{"text": "hi"}]}), Said("hi")),
        ("embedding", body({"data": [{"embedding": [1, 2.5]}]}), Said(vector=(1.0, 2.5))),
        ("rerank", ranked((1, 0.9), (0, 0.1)), Said(order=(1, 0))),
        ("transcription", body({"text": "hello"}), Said("hello")),
    ],
)  # fmt: skip
def test_answers_of_each_kind_are_read(kind: str, answer: Answer, said: Said) -> None:
    assert said_in(Kind(kind), answer, RANKING) == said


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("chat", body("no JSON")),
        ("chat", body([])),
        ("chat", body({"choices": []})),
        ("chat", body({"choices": [{"message": {"content": 5}}]})),
        ("chat", body({"choices": [{"message": "hi"}]})),
        # Clients cannot read such a call.
        ("chat", chat(tool_calls=[{"function": {"name": "w", "arguments": "{"}}])),
        ("chat", chat(tool_calls=[{"function": {"name": "w", "arguments": "[1]"}}])),
        ("completion", body({"choices": [{"message": {"content": "hi"}}]})),
        ("embedding", body({"data": [{"embedding": []}]})),
        ("embedding", body({"data": [{"embedding": ["1"]}]})),
        ("embedding", body('{"data": [{"embedding": [NaN]}]}')),
        ("rerank", body({"results": [{"index": "0", "relevance_score": 1}]})),
        ("rerank", body({"results": []})),
        ("rerank", ranked((1, 0.9))),
        ("rerank", ranked((1, 0.9), (1, 0.1))),
        ("rerank", ranked((1, 0.9), (2, 0.1))),
        ("rerank", ranked((True, 0.9), (0, 0.1))),
        # Whoever takes the first one takes the worst.
        ("rerank", ranked((0, 0.1), (1, 0.9))),
        ("rerank", ranked((1, None), (0, 0.1))),
        ("transcription", body({"text": None, "x": {}}["x"])),
    ],
)
def test_what_is_no_answer_of_its_kind_is_refused(kind: str, answer: Answer) -> None:
    with pytest.raises(ValueError, match=r"."):
        said_in(Kind(kind), answer, RANKING)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["choices", "message", "content", "tool_calls", "function", "name", "arguments", "data", "embedding", "results", "index", "relevance_score", "text", "usage"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(value=JSON | st.text(), kind=st.sampled_from(sorted(Kind)))
def test_no_answer_makes_a_traceback(value: Any, kind: Kind) -> None:
    text = value if isinstance(value, str) else json.dumps(value)
    try:
        said = said_in(kind, Answer(200, text), {})
    except ValueError:
        return
    for expect in (
        Expectation(
            exact="a",
            choice=("a",),
            contains=("b",),
            refusal=True,
            length=Range(1),
            tokens=Range(1),
        ),
        Expectation(tool_call=CALL, dimensions=1, norm=Range(1), similarity=0.5, order=(0,)),
    ):
        assert isinstance(fault_of(kind, expect, said, said, fits), str | None)


def prompt(number: int) -> GoldenPrompt:
    return GoldenPrompt(f"p{number}", f"x.yaml:{number}", Kind.CHAT, {}, Expectation(exact="a"))


def pairs(*given: str) -> list[PromptPair]:
    """Return pairs by two letters each, new and old: + passed, - failed, ? unknown, and a space for no old one."""
    meaning = {"+": True, "-": False, "?": None, " ": None}
    return [
        PromptPair(
            prompt(number),
            meaning[new],
            meaning[old],
            "" if new == "+" else "answered 'b', not 'a'",
        )
        for number, (new, old) in enumerate(given, start=1)
    ]


WHY = "answered 'b', not 'a'"


@pytest.mark.parametrize(
    ("asked", "given", "verdict", "reason"),
    [
        (Answers("x"), ["++", "++"], Verdict.PASSED, ""),
        (Answers("x"), ["-+", "++"], Verdict.FAILED, f"1 of 2 golden prompts that the serving release passes at the same moment lost, none may be: p1 (x.yaml:1) {WHY}"),
        (Answers("x", lose_at_most=1), ["-+", "++"], Verdict.PASSED, ""),
        (Answers("x", lose_at_most=1), ["-+", "-+", "+-"], Verdict.FAILED, f"2 of 3 golden prompts that the serving release passes at the same moment lost, at most 1 may be: p1 (x.yaml:1) {WHY}; p2 (x.yaml:2) {WHY}"),
        # what both fail says nothing of the change
        (Answers("x", at_least=0.95), ["--"] * 9 + ["++"], Verdict.PASSED, ""),
        (Answers("x", at_least=0.95), ["--"] * 9, Verdict.PASSED, f"no golden prompt counts, because both releases fail each one: p1 (x.yaml:1) {WHY}; p2 (x.yaml:2) {WHY}; p3 (x.yaml:3) {WHY}; and 6 more"),
        (Answers("x", 0.75, 9), ["-+", "++", "++", "++"], Verdict.PASSED, ""),
        (Answers("x", 0.76, 9), ["-+", "++", "++", "++"], Verdict.FAILED, f"3 of 4 golden prompts passed, less than 76 %: p1 (x.yaml:1) {WHY}"),
        (Answers("x"), ["?+", "++"], Verdict.UNKNOWN, f"1 of 2 golden prompts could not be judged: p1 (x.yaml:1) {WHY}"),
        (Answers("x", lose_at_most=1), ["?+", "++"], Verdict.PASSED, f"1 of 2 golden prompts could not be judged, which turns nothing: p1 (x.yaml:1) {WHY}"),
        # what the serving release fails cannot be lost, so nothing waits for its verdict
        (Answers("x"), ["?-", "++"], Verdict.PASSED, f"1 of 2 golden prompts could not be judged, which turns nothing: p1 (x.yaml:1) {WHY}"),
        (Answers("x"), ["?-"] * 3, Verdict.PASSED, f"3 of 3 golden prompts could not be judged, which turns nothing: p1 (x.yaml:1) {WHY}; p2 (x.yaml:2) {WHY}; p3 (x.yaml:3) {WHY}"),
        (Answers("x"), ["?-", "-+"], Verdict.FAILED, f"1 of 1 golden prompts that the serving release passes at the same moment lost, none may be: p2 (x.yaml:2) {WHY}"),
        (Answers("x", lose_at_most=1), ["?-", "?+", "++"], Verdict.PASSED, f"2 of 3 golden prompts could not be judged, which turns nothing: p1 (x.yaml:1) {WHY}; p2 (x.yaml:2) {WHY}"),
        # the share that must pass: failed or passed only where no verdict that is missing could turn it
        (Answers("x", 0.76, 9), ["-+", "++", "++", "?+"], Verdict.FAILED, f"2 of 3 golden prompts passed, less than 76 %: p1 (x.yaml:1) {WHY}"),
        (Answers("x", 0.75, 9), ["-+", "++", "++", "?+"], Verdict.UNKNOWN, f"1 of 4 golden prompts could not be judged: p4 (x.yaml:4) {WHY}"),
        (Answers("x", 0.75, 9), ["-+", "++", "++", "?-"], Verdict.UNKNOWN, f"1 of 4 golden prompts could not be judged: p4 (x.yaml:4) {WHY}"),
        (Answers("x", 0.9, 9), ["++", "++", "++", "?+"], Verdict.UNKNOWN, f"1 of 4 golden prompts could not be judged: p4 (x.yaml:4) {WHY}"),
        (Answers("x", 0.9, 9), ["++", "++", "++", "-?"], Verdict.UNKNOWN, f"1 of 4 golden prompts could not be judged: p4 (x.yaml:4) {WHY}"),
        (Answers("x", 0.9, 9), ["++", "++", "++", "?-"], Verdict.PASSED, f"1 of 4 golden prompts could not be judged, which turns nothing: p4 (x.yaml:4) {WHY}"),
        (Answers("x", 0.75, 9), ["++", "++", "++", "?+"], Verdict.PASSED, f"1 of 4 golden prompts could not be judged, which turns nothing: p4 (x.yaml:4) {WHY}"),
        # the serving release gave no answer
        (Answers("x"), ["-?", "++"], Verdict.UNKNOWN, f"1 of 2 golden prompts could not be judged: p1 (x.yaml:1) {WHY}"),
        (Answers("x"), ["+?", "++"], Verdict.PASSED, ""),
        (Answers("x"), ["-+", "?+"], Verdict.FAILED, f"1 of 1 golden prompts that the serving release passes at the same moment lost, none may be: p1 (x.yaml:1) {WHY}"),
        # none serves yet
        (Answers("x"), ["+ ", "+ "], Verdict.PASSED, ""),
        (Answers("x"), ["- ", "+ "], Verdict.FAILED, f"1 of 2 golden prompts lost, none may be: p1 (x.yaml:1) {WHY}"),
        (Answers("x", 0.6, 1), ["- ", "+ "], Verdict.FAILED, f"1 of 2 golden prompts passed, less than 60 %: p1 (x.yaml:1) {WHY}"),
        (Answers("x", 0.5, 1), ["- ", "+ "], Verdict.PASSED, ""),
        (Answers("x", 0.5, 1), ["? ", "+ "], Verdict.PASSED, f"1 of 2 golden prompts could not be judged, which turns nothing: p1 (x.yaml:1) {WHY}"),
        (Answers("x", 0.6, 1), ["? ", "+ "], Verdict.UNKNOWN, f"1 of 2 golden prompts could not be judged: p1 (x.yaml:1) {WHY}"),
    ],
)  # fmt: skip
def test_golden_prompts_give_a_verdict(
    asked: Answers, given: list[str], verdict: Verdict, reason: str
) -> None:
    compared = not any(each.endswith(" ") for each in given)
    result = judge_answers(asked, pairs(*given), compared=compared)
    assert (result.gate, result.verdict, result.reason) == ("answers", verdict, reason)


def test_a_verdict_has_its_figures() -> None:
    result = judge_answers(
        Answers("x", lose_at_most=9), pairs("++", "-+", "+-", "-+", "--"), compared=True
    )
    assert result.figures == (
        Figure("golden prompts passed", 2.0, 3.0, "of 5"),
        Figure("golden prompts lost", 2.0, None, "of 5"),
        Figure("golden prompts won", 1.0, None, "of 5"),
        Figure("chance of that without a change", 50.0, None, "%"),
    )
    assert GateResult.from_json(json.loads(json.dumps(result.as_json()))) == result


def test_the_chance_of_losses_is_that_of_mcnemars_exact_test() -> None:
    assert [chance_of(0, 0), chance_of(1, 0), chance_of(5, 0)] == [1.0, 0.5, 1 / 32]
    # 9 against 1: (C(10,9) + C(10,10)) / 2^10
    assert chance_of(9, 1) == 11 / 1024


def test_a_check_of_another_kind_is_asked_and_judged() -> None:
    vector = Check("hi", kind="embedding")
    assert check_payload("tiny", vector) == {"model": "tiny", "input": "hi"}
    assert check_fault(vector, body({"data": [{"embedding": [0.5]}]})) == ""
    said = "asked for embedding of 'hi', it answered"
    assert (
        check_fault(vector, body({"data": [{"embedding": [0, 0]}]}))
        == f"{said} a vector of 2 numbers without a direction"
    )
    assert (
        check_fault(vector, Answer(404, error="no such path")) == f"{said} HTTP 404: no such path"
    )
    assert check_fault(vector, body({})).startswith(
        f"{said} no answer of kind embedding: it has no"
    )

    order = Check("hi", kind="rerank")
    assert check_payload("tiny", order)["documents"] == ["hi", "Something else."]
    assert (
        check_fault(order, body({"results": [{"index": 1, "relevance_score": 1}]}))
        == "asked for rerank of 'hi', it answered no order: its order of 2 documents is [1]"
    )

    assert check_payload("tiny", Check("hi", kind="transcription"))["file"] == SILENCE


def test_a_release_of_an_older_toolkit_has_the_same_json() -> None:
    plain = {"prompt": "hi", "contains": "", "max_tokens": 32, "timeout": 60.0}
    made = release(1)
    data = {**made.as_json(), "checks": [plain]}
    assert Release.from_json(data).as_json() == data
    named = {**data, "checks": [{**plain, "kind": "embedding"}]}
    assert Release.from_json(named).as_json() == named
