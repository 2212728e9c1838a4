"""The gates of a guard, run against replicas in memory."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.workflows.world import release
from toolkit.adapters.fakes.host import FakeHost
from toolkit.adapters.matching.matching import matching
from toolkit.domain.gates.guard import Answers, Guard
from toolkit.domain.gates.verdict import GateResult, Unsure, Verdict
from toolkit.domain.hosts.facts import ProcessState, SlotFacts
from toolkit.domain.replicas.answers import Answer
from toolkit.errors import InputError
from toolkit.workflows.guard import gates
from toolkit.workflows.guard.files import check_files
from toolkit.workflows.guard.gates import refusal, run_gates
from toolkit.workflows.guard.replicas import GatedReplica

OLD, NEW = GatedReplica("blue", 8100, release(1)), GatedReplica("green", 8101, release(2))
Says = Callable[[str, Mapping[str, Any]], str]


def host(says: Says) -> FakeHost:
    found = FakeHost(says=says)
    slots = tuple(
        SlotFacts(
            "tiny", each.slot, each.port, each.release, process=ProcessState.RUNNING, healthy=True
        )
        for each in (OLD, NEW)
    )
    found.facts = replace(found.facts, slots=slots)
    return found


def guard(tmp_path: Path, *expected: str, **more: Any) -> Guard:
    lines = [
        json.dumps(
            {"name": f"p{number}", "prompt": f"question {number}", "expect": json.loads(each)}
        )
        for number, each in enumerate(expected, start=1)
    ]
    (tmp_path / "x.jsonl").write_text("\n".join(lines), "utf-8")
    return Guard(answers=Answers("x.jsonl", directory=str(tmp_path), **more))


def run(found: FakeHost, asked: Guard, old: GatedReplica | None = OLD) -> list[GateResult]:
    said: list[str] = []
    results = list(run_gates(found, asked, NEW, old, said.append))
    assert [line.split(":")[0].strip() for line in said] == [each.gate for each in results]
    # It looks at what the others did; test_gates_figures.py is about it.
    return [each for each in results if each.gate != "health"]


def question(payload: Mapping[str, Any]) -> int:
    words = str(payload["messages"][-1]["content"]).split()
    return int(words[1]) if words[0] == "question" else 0


def verdicts(results: list[GateResult]) -> list[tuple[str, str]]:
    return [(each.gate, str(each.verdict)) for each in results]


PARIS = '{"contains": "Paris"}'


def test_an_unchanged_release_passes(tmp_path: Path) -> None:
    found = host(lambda version, _: "It is Paris.")
    assert verdicts(run(found, guard(tmp_path, PARIS, PARIS))) == [
        ("shape", "passed"),
        ("answers", "passed"),
    ]


def test_wrong_answers_are_found_beside_right_ones_of_the_serving_release(tmp_path: Path) -> None:
    found = host(lambda version, _: "It is Paris." if version == "v1" else "It is Rome.")
    *_, result = run(found, guard(tmp_path, PARIS))
    assert result.verdict is Verdict.FAILED
    assert result.reason.endswith("p1 (x.jsonl:1) answered 'It is Rome.', without 'Paris'")


def test_prompts_that_were_passed_each_time_are_named(tmp_path: Path) -> None:
    asked: list[str] = []

    def says(version: str, payload: Mapping[str, Any]) -> str:
        number = question(payload)
        if number == 3:
            asked.append(version)
        # 1 is passed, 2 is lost, 3 is lost once in three times, both fail 4, and 5 is won.
        wrong = {"v1": (4, 5), "v2": (2, 4) if len(asked) != 2 else (2, 3, 4)}
        return "Rome" if number in wrong[version] else "Paris"

    *_, result = run(host(says), guard(tmp_path, *[PARIS] * 5, lose_at_most=1))
    assert (str(result.verdict), result.passed) == ("passed", ("p1", "p5"))
    assert "passed" not in result.as_json()


def test_what_both_get_wrong_is_no_loss(tmp_path: Path) -> None:
    found = host(lambda version, payload: "Rome" if question(payload) == 1 else "Paris")
    assert verdicts(run(found, guard(tmp_path, PARIS, PARIS)))[-1] == ("answers", "passed")


def test_an_answer_that_differs_once_is_asked_again(tmp_path: Path) -> None:
    asked: list[str] = []

    def says(version: str, payload: Mapping[str, Any]) -> str:
        if question(payload) == 1:
            asked.append(version)
            return "Rome" if asked == ["v1", "v2"] else "Paris"
        return "Paris"

    assert verdicts(run(host(says), guard(tmp_path, PARIS, PARIS)))[-1] == ("answers", "passed")
    assert asked == ["v1", "v2"] * 3


@pytest.mark.parametrize(
    ("least", "verdict", "reason"),
    [(2, "passed", ""), (3, "failed", "answered 'Rome', without 'Paris' (1 of 4 as expected)")],
)
def test_so_many_of_so_many_answers_may_be_asked_for(
    tmp_path: Path, least: int, verdict: str, reason: str
) -> None:
    count = itertools.count()
    found = host(lambda version, _: "Paris" if version == "v1" or next(count) % 2 else "Rome")
    prompt = {
        "prompt": "question 1",
        "tries": {"least": least, "of": 4},
        "expect": {"contains": "Paris"},
    }
    (tmp_path / "x.jsonl").write_text(json.dumps(prompt), "utf-8")
    result = run(found, Guard(answers=Answers("x.jsonl", directory=str(tmp_path))))[-1]
    assert (result.verdict, result.reason[-len(reason) :] if reason else "") == (verdict, reason)


@pytest.mark.parametrize(
    ("late", "verdict", "asked"),
    [({1}, "passed", 3), ({2}, "passed", 3), ({1, 3}, "failed", 3), ({1, 2}, "failed", 2)],
)
def test_one_answer_that_does_not_come_leaves_the_other_tries(
    tmp_path: Path, late: set[int], verdict: str, asked: int
) -> None:
    found, count = host(lambda *_: "Paris"), itertools.count(1)
    answers, numbers = found.ask, list[int]()

    def ask(port: int, path: str, payload: Mapping[str, Any], timeout: float) -> Answer:
        numbers.append(next(count))
        if numbers[-1] in late:
            return Answer(0, error="TimeoutError: late")
        return answers(port, path, payload, timeout)

    found.ask = ask  # type: ignore[method-assign]
    prompt = {
        "prompt": "question 1",
        "tries": {"least": 2, "of": 3},
        "expect": {"contains": "Paris"},
    }
    (tmp_path / "x.jsonl").write_text(json.dumps(prompt), "utf-8")
    (result,) = run(found, Guard(answers=Answers("x.jsonl", directory=str(tmp_path))), None)
    assert (result.verdict, len(numbers)) == (verdict, asked)


def test_a_new_release_that_answers_nothing_fails_early(tmp_path: Path) -> None:
    found = host(lambda version, _: "Paris")
    asked = guard(tmp_path, *[PARIS] * 9)
    found.ask = without_answers(found)  # type: ignore[method-assign]
    results = run(found, asked, None)
    assert [(each.verdict, each.reason) for each in results] == [
        (
            Verdict.FAILED,
            "3 golden prompts in a row had no answer: gave no answer: TimeoutError: late",
        )
    ]


def without_answers(found: FakeHost) -> Callable[..., Answer]:
    return lambda *_: Answer(0, error="TimeoutError: late")


@pytest.mark.parametrize(
    ("late", "verdict", "reason"),
    [
        ((4, 5), Verdict.PASSED, ""),
        ((4, 5, 7, 8), Verdict.FAILED, "4 of 9 golden prompts that the serving release passes"),
        ((4, 5, 6), Verdict.FAILED, "3 golden prompts in a row had no answer: gave no answer"),
    ],
)
def test_a_prompt_that_is_asked_again_counts_once_among_those_without_an_answer(
    tmp_path: Path, late: tuple[int, ...], verdict: Verdict, reason: str
) -> None:
    found = host(lambda version, _: "Paris")
    given, silent = found.ask, without_answers(found)

    def ask(port: int, path: str, payload: Mapping[str, Any], timeout: float) -> Answer:
        if port == NEW.port and question(payload) in late:
            return silent()
        return given(port, path, payload, timeout)

    found.ask = ask  # type: ignore[method-assign]
    result = run(found, guard(tmp_path, *[PARIS] * 9, lose_at_most=2))[-1]
    assert (result.gate, result.verdict) == ("answers", verdict)
    assert result.reason.startswith(reason)


@pytest.mark.parametrize(("right", "verdict"), [("v2", "passed"), ("v3", "failed")])
def test_a_serving_release_that_answers_nothing_refuses_no_other(
    tmp_path: Path, right: str, verdict: str
) -> None:
    found = host(lambda version, _: "Paris" if version == right else "Rome")
    given, silent = found.ask, without_answers(found)
    asked: list[int] = []

    def ask(port: int, *rest: Any) -> Answer:
        asked.append(port)
        return silent() if port == OLD.port else given(port, *rest)

    found.ask = ask  # type: ignore[method-assign]
    results = [each for each in run(found, guard(tmp_path, *[PARIS] * 9)) if each.gate == "answers"]
    assert [str(each.verdict) for each in results] == [verdict]
    # two ways of its form, and three golden prompts
    assert asked.count(OLD.port) == 5


@pytest.mark.parametrize(
    ("right", "most", "verdict", "words"),
    [
        ("v2", 0, "passed", ""),
        ("v1", 2, "failed", "3 of 3 golden prompts that the serving release passes"),
        ("neither", 9, "passed", "6 of 9 golden prompts could not be judged, which turns nothing"),
        ("neither", 0, "could not tell", "6 of 9 golden prompts could not be judged: p4"),
    ],
)
def test_a_serving_release_that_dies_in_the_gate_is_compared_as_far_as_it_came(
    tmp_path: Path, right: str, most: int, verdict: str, words: str
) -> None:
    found = host(lambda version, _: "Paris" if version == right else "Rome")
    given, silent = found.ask, without_answers(found)

    def ask(port: int, path: str, payload: Mapping[str, Any], timeout: float) -> Answer:
        dead = port == OLD.port and question(payload) > 3
        return silent() if dead else given(port, path, payload, timeout)

    found.ask = ask  # type: ignore[method-assign]
    result = run(found, guard(tmp_path, *[PARIS] * 9, lose_at_most=most))[-1]
    assert (result.gate, str(result.verdict)) == ("answers", verdict)
    assert result.reason.startswith(words) and bool(result.reason) == bool(words)


def test_a_renamed_field_fails_before_any_golden_prompt_is_asked(tmp_path: Path) -> None:
    found = host(lambda version, _: "Paris")
    given = found.ask

    def renamed(port: int, path: str, payload: Mapping[str, Any], timeout: float) -> Answer:
        answer = given(port, path, payload, timeout)
        return (
            replace(answer, body=answer.body.replace('"content"', '"text"'))
            if port == NEW.port
            else answer
        )

    found.ask = renamed  # type: ignore[method-assign]
    (result,) = run(found, guard(tmp_path, PARIS))
    assert (result.gate, result.verdict) == ("shape", Verdict.FAILED)
    assert result.reason == "a chat: choices.message.content gone; a chat: new choices.message.text"


@pytest.mark.parametrize("both", [False, True])
def test_an_answer_in_another_models_name_fails_unless_the_serving_release_gives_it_too(
    tmp_path: Path, *, both: bool
) -> None:
    found = host(lambda version, _: "Paris")
    given = found.ask

    def named(port: int, path: str, payload: Mapping[str, Any], timeout: float) -> Answer:
        answer = given(port, path, payload, timeout)
        if port == OLD.port and not both:
            return answer
        other = {"model": "other"}
        events = tuple(json.dumps({**json.loads(each), **other}) for each in answer.events)
        body = answer.body and json.dumps({**json.loads(answer.body), **other})
        return replace(answer, body=body, events=events)

    found.ask = named  # type: ignore[method-assign]
    result = run(found, guard(tmp_path, PARIS))[0]
    words = "a chat: it says that the model is 'other', asked for 'tiny'"
    assert (str(result.verdict), words in result.reason) == (
        ("passed", False) if both else ("failed", True)
    )


def test_a_reason_commands_no_terminal(tmp_path: Path) -> None:
    found = host(lambda version, _: "Paris")
    found.ask = lambda *_: Answer(500, error="boom \x1b[2J\x07" + "x" * 5000)  # type: ignore[method-assign]
    (result,) = [
        each for each in run(found, guard(tmp_path, PARIS), None) if each.gate == "answers"
    ]
    assert "boom \\x1b[2J\\x07xx" in result.reason
    assert result.reason.isprintable()


def test_a_stream_that_breaks_off_fails_the_shape(tmp_path: Path) -> None:
    found = host(lambda version, _: "Paris")
    given = found.ask

    def broken(port: int, path: str, payload: Mapping[str, Any], timeout: float) -> Answer:
        answer = given(port, path, payload, timeout)
        cut = port == NEW.port and payload.get("stream")
        return replace(answer, error="a stream that breaks off") if cut else answer

    found.ask = broken  # type: ignore[method-assign]
    (result,) = run(found, Guard())
    assert result.reason == "asked for a chat as a stream, it answered a stream that breaks off"


def test_without_a_serving_release_only_golden_prompts_are_asked(tmp_path: Path) -> None:
    found = host(lambda version, _: "Paris")
    assert verdicts(run(found, guard(tmp_path, PARIS), None)) == [("answers", "passed")]
    assert verdicts(run(found, Guard(), None)) == []


def test_a_guard_that_is_off_asks_nothing(tmp_path: Path) -> None:
    found = host(lambda version, _: "Paris")
    assert run(found, replace(guard(tmp_path, PARIS), off=True)) == []
    assert found.events == []


def test_a_pattern_that_takes_too_long_leaves_the_verdict_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gates, "matching", lambda: matching(seconds=0.1))
    # No reader knows each text that takes a pattern for ever.
    monkeypatch.setattr("toolkit.config.golden.reading.endless", lambda *_: False)
    pattern = r"^(\s*-\s*\w*)*$"
    found = host(lambda version, _: "-  " * 60 + "!")
    *_, result = run(found, guard(tmp_path, json.dumps({"regex": pattern})))
    assert result.verdict is Verdict.UNKNOWN
    assert "p1 (x.jsonl:1) its pattern or schema took too long" in result.reason


@pytest.mark.parametrize(
    ("verdict", "unsure", "words"),
    [
        (Verdict.PASSED, Unsure.RETURN, ""),
        (Verdict.FAILED, Unsure.GO_ON, "did not pass the gate 'answers': why"),
        (Verdict.UNKNOWN, Unsure.GO_ON, ""),
        (Verdict.UNKNOWN, Unsure.RETURN, "could not be judged by the gate 'answers': why"),
    ],
)
def test_a_verdict_refuses_a_release_or_not(verdict: Verdict, unsure: Unsure, words: str) -> None:
    assert (
        refusal(
            [GateResult("shape", Verdict.PASSED), GateResult("answers", verdict, "why")],
            Guard(unsure=unsure),
        )
        == words
    )


def test_files_of_a_guard_are_read_before_anything_changes(tmp_path: Path) -> None:
    missing = Guard(answers=Answers("x.yaml", directory=str(tmp_path), place="registry.yaml:8:12"))
    with pytest.raises(InputError) as caught:
        check_files(missing)
    assert caught.value.message == f"registry.yaml:8:12: no file {tmp_path / 'x.yaml'}"
    check_files(replace(missing, off=True))
    check_files(guard(tmp_path, PARIS))
    with pytest.raises(InputError, match="it expects nothing"):
        check_files(guard(tmp_path, "{}"))


def test_a_gate_that_no_version_can_fail_is_refused(tmp_path: Path) -> None:
    asked = guard(tmp_path, PARIS, PARIS, lose_at_most=2, place="registry.yaml:8:12")
    with pytest.raises(InputError) as caught:
        check_files(asked)
    assert caught.value.message == (
        f"registry.yaml:8:12: {tmp_path / 'x.jsonl'} has 2 golden prompts, and `lose_at_most: 2` lets a version lose "
        "all of them"
    )
    check_files(guard(tmp_path, PARIS, PARIS, lose_at_most=1))
    check_files(guard(tmp_path, PARIS, PARIS, lose_at_most=2, at_least=0.5))
