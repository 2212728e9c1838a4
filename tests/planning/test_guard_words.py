"""A guard as people read it, and the probes that follow from its golden prompts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.planning.facts import release
from toolkit.domain.gates.golden import Expectation, GoldenPrompt
from toolkit.domain.gates.guard import (
    Answers,
    Benchmarks,
    Guard,
    PairedProbe,
    Shape,
    ShareStep,
    Speed,
)
from toolkit.domain.gates.kind import Kind
from toolkit.domain.gates.verdict import Unsure
from toolkit.domain.registry.release_parts import Check
from toolkit.planning.change.judged import golden_probes, guard_order
from toolkit.planning.guard.words import guard_words

WHOLE = Guard(
    steps=(ShareStep(0.01, 300, 50), ShareStep(0.1, 60)),
    bake=600,
    answers=Answers("golden/x.yaml", 0.95, 1, directory="/srv", place="r.yaml:1:1"),
    speed=Speed(20, 4),
    shape=Shape(("a.b", "c")),
    benchmarks=Benchmarks(("t.yaml",), lose_at_most=0.02, directory="/srv"),
)


@pytest.mark.parametrize(
    ("guard", "words"),
    [
        (Guard(), []),
        (Guard(off=True, bake=600), ["guard: off: its checks are all that it must prove"]),
        (Guard(bake=600, bake_requests=9), ["bake: 10 min and 9 requests", "unsure: goes back after 30 min"]),
        (
            replace(WHOLE, unsure=Unsure.GO_ON, patience=90),
            [
                "golden: golden/x.yaml, at most 1 lost, at least 95 % pass",
                "shape: may lose a.b, c",
                "speed: 20 pairs, 4 at once",
                "benchmarks: t.yaml, at most 2 % lost",
                "canary: 1 % for 5 min and 50 requests",
                "canary: 10 % for 1 min",
                "bake: 10 min",
                "unsure: goes on after 1 min 30 s",
            ],
        ),
    ],
)  # fmt: skip
def test_a_guard_is_told_by_its_parts(guard: Guard, words: list[str]) -> None:
    assert [f"{name}: {text}" for name, text in guard_words(guard)] == words


def test_the_json_of_a_guard_names_no_place_of_this_machine() -> None:
    data = WHOLE.as_json()
    assert data["answers"] == {"file": "golden/x.yaml", "at_least": 0.95, "lose_at_most": 1}
    assert "/srv" not in str(data)
    assert Guard().as_json()["answers"] is None


def prompt(
    expect: Expectation, kind: Kind = Kind.CHAT, tries: int = 1, tokens: int = 9
) -> GoldenPrompt:
    payload = {"messages": [], "max_tokens": tokens}
    return GoldenPrompt("p", "x:1", kind, payload, expect, tries)


def test_short_golden_prompts_with_one_text_are_probes() -> None:
    good = prompt(Expectation(contains=("Paris",)))
    others = (
        prompt(Expectation(regex="x")),
        prompt(Expectation(contains=("a", "b"))),
        prompt(Expectation(contains=("a",)), tokens=512),
        prompt(Expectation(contains=("a",)), tries=3),
        prompt(Expectation(order=(0,)), Kind.RERANK),
    )
    probe = PairedProbe(
        "/v1/chat/completions", {"model": "tiny", "messages": [], "max_tokens": 9}, "Paris", True
    )
    assert golden_probes(release(1), (*others, good), same=True) == (probe,)
    assert len(golden_probes(release(1), [good] * 50, same=False)) == 8


def test_a_guard_probes_with_checks_of_each_kind_and_golden_prompts() -> None:
    checks = (Check("hi"), Check("hi", kind="completion"), Check("hi", kind="embedding"))
    held = replace(release(2), checks=checks)
    order = guard_order(
        Guard(bake=60), "r", held, "green", release(1), "blue", [prompt(Expectation(exact="a"))]
    )
    assert [each.path for each in order.probes] == [
        "/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/chat/completions",
    ]  # fmt: skip
    assert order.probes[1].payload["prompt"] == "hi"
    assert order.probes[2].payload == {"model": "tiny", "input": "hi"}
    assert order.probes[3].contains == "a"
